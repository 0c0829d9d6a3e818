"""What a finding promises: the simulation where it stands for the bundle, else an estimate."""

from __future__ import annotations

import pytest
from synthetic_report import output_history

from memprobe.analysis.retention import Bundle
from memprobe.analysis.returned import reclaim
from memprobe.findings import Finding, Reclaim
from memprobe.recording.schema import Group
from memprobe.reporters.phrases import gives

MB = 1_000_000
MIB = 2**20


def group(
    holders: list[int], nbytes: int, returned: int | None, untrimmed: int | None = None
) -> Group:
    """Return a group of ``nbytes`` MB of which ``returned`` MB go back to the system."""
    back = None if returned is None else returned * MB
    at_once = back if untrimmed is None else untrimmed * MB
    return Group(holders=holders, bytes=nbytes * MB, returned=back, returned_untrimmed=at_once)


def promised(*groups: Group) -> tuple[str, float, float, float, float | None]:
    """Return basis, bytes, low, high and at once of a bundle of ``groups``, in MB."""
    total = sum(one.bytes for one in groups)
    bundle = Bundle((), groups, total, total, total, 0)
    found = reclaim(bundle)
    at_once = None if found.at_once is None else found.at_once / MB
    return found.basis, found.bytes / MB, found.low / MB, found.high / MB, at_once


def test_the_set_of_all_holders_was_simulated_with_everything_inside_it() -> None:
    inner, whole = group([1], 30, 5), group([1, 2], 100, 120, 90)
    assert promised(whole, inner) == ("simulated", 120, 120, 120, 90)


def test_parts_without_a_common_holder_add_up() -> None:
    assert promised(group([1], 60, 60), group([2], 40, 39, 20)) == ("simulated", 99, 99, 100, 80)


def test_what_two_sets_contain_counts_once() -> None:
    common = group([2], 50, 50)
    found = promised(group([1, 2], 60, 110), group([2, 3], 40, 90), common)
    assert found == ("simulated", 150, 150, 150, 150)


def test_parts_that_share_arenas_are_the_lower_end_of_an_estimate() -> None:
    found = promised(group([1], 60, 10), group([2], 40, 10))
    assert found == ("estimate", 100, 20, 100, None)


def test_a_whole_that_stays_with_the_allocator_is_not_promised() -> None:
    assert promised(group([1], 100, 0)) == ("simulated", 0, 0, 0, 0)


def test_without_a_simulation_it_is_an_estimate() -> None:
    assert promised(group([1], 60, None)) == ("estimate", 60, 60, 60, None)
    assert promised(group([1], 60, 60), group([2], 40, None))[0] == "estimate"


def finding(freed: int, back: int, at_once: int | None) -> Finding:
    """Return a finding; sizes in MiB."""
    one = output_history()
    one.exclusive_bytes = freed * MIB
    one.reclaim = Reclaim(
        bytes=back * MIB, low=back * MIB, high=back * MIB, basis="simulated",
        at_once=None if at_once is None else at_once * MIB,
    )  # fmt: skip
    return one


@pytest.mark.parametrize(
    ("freed", "back", "at_once", "text"),
    [
        (500, 500, 500, "500.0 MiB back (simulated)"),
        (500, 497, 496, "500.0 MiB back (simulated)".replace("500", "497")),
        (500, 500, None, "500.0 MiB back (simulated)"),
        (500, 520, 520, "520.0 MiB back (simulated)"),
        (
            500, 500, 380,
            "500.0 MiB back (simulated); 380.0 MiB at once, the allocator keeps 120.0 MiB until "
            "malloc_trim",
        ),
        (
            500, 300, 300,
            "300.0 MiB back (simulated); 500.0 MiB are freed, of which 200.0 MiB stay with the "
            "allocator for new objects",
        ),
    ],
)  # fmt: skip
def test_what_the_allocator_keeps_is_said(
    freed: int, back: int, at_once: int | None, text: str
) -> None:
    assert gives(finding(freed, back, at_once)) == text
