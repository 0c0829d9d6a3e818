"""Thinning a series for a picture: the peaks stay, whatever else goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memprobe.analysis.thinning import extremes, thinned

LEVELS = st.lists(st.integers(0, 10**12), min_size=1, max_size=400)


@given(LEVELS, st.integers(4, 60))
def test_few_enough_points_and_the_highest_the_lowest_and_both_ends_among_them(levels, most):
    points = [(float(at), float(level)) for at, level in enumerate(levels)]

    kept = thinned(points, most)

    assert len(kept) <= most
    values = [value for _, value in kept]
    assert max(values) == max(levels)
    assert min(values) == min(levels)
    assert (kept[0], kept[-1]) == (list(points[0]), list(points[-1]))
    assert [moment for moment, _ in kept] == sorted({moment for moment, _ in kept})


def test_a_day_of_samples_keeps_a_peak_of_one_second() -> None:
    day = [(float(second), 1e9) for second in range(86_400)]
    day[54_321] = (54_321.0, 9e9)

    kept = thinned(day, 1600)

    assert [54_321.0, 9e9] in kept
    assert 800 <= len(kept) <= 1600


def test_uneven_times_are_sliced_by_time_not_by_position() -> None:
    dense = [(at / 1000, 1.0) for at in range(1000)]
    sparse = [(float(10 + at), 2.0 + at) for at in range(10)]

    kept = extremes([*dense, *sparse], 24)

    assert set(range(1000, 1010)) <= set(kept)


def test_a_short_series_stays_as_it_is() -> None:
    assert thinned([(0.0, 1.0), (0.0, 2.0)], 4) == [[0.0, 1.0], [0.0, 2.0]]
    assert thinned([], 4) == []
