"""When the next expensive piece of the probe's work is due."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from memprobe_probes import sampler
from memprobe_probes.sampler import FIRST_COST, Governor

SECOND = 1_000_000_000


class Clock:
    """Time that passes when the test says so, and what of it the process has worked."""

    def __init__(self) -> None:
        self.wall = 50 * SECOND
        self.worked = 3 * SECOND

    def passes(self, wall: float, worked: float) -> None:
        self.wall += int(wall * SECOND)
        self.worked += int(worked * SECOND)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    fake = SimpleNamespace(monotonic_ns=lambda: made.wall, process_time_ns=lambda: made.worked)
    monkeypatch.setattr(sampler, "time", fake)
    return made


def test_the_first_waits_as_if_there_had_been_one(clock: Clock) -> None:
    governor = Governor(0.01)
    clock.passes(FIRST_COST / 0.0025 / SECOND - 0.1, 0)
    assert not governor.due()
    clock.passes(0.2, 0)
    assert governor.due()


def test_work_buys_a_rest_of_its_cost_by_the_share(clock: Clock) -> None:
    governor = Governor(0.01)
    governor.rest_after(20_000_000)
    assert governor.next_due == clock.wall + 2 * SECOND
    governor.rest_after(20_000_000, routine=True)
    assert governor.next_due == clock.wall + 8 * SECOND


def test_of_a_script_what_it_works_counts_and_a_quarter_of_what_it_waits(clock: Clock) -> None:
    governor = Governor(0.01, by_work=True)
    governor.rest_after(100_000_000)
    clock.passes(9.9, 9.9)
    assert not governor.due()
    clock.passes(0.2, 0.2)
    assert governor.due()
    governor.rest_after(100_000_000)
    clock.passes(30, 0)  # the machine is busy with others, or the script waits
    assert not governor.due()
    clock.passes(10.1, 0)
    assert governor.due()


def test_several_threads_do_not_make_time_go_faster(clock: Clock) -> None:
    governor = Governor(0.01, by_work=True)
    governor.rest_after(100_000_000)
    clock.passes(5, 20)
    assert not governor.due()
    assert governor.next_due == clock.wall + 5 * SECOND
