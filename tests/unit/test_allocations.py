"""Which places a finding gets told, what they say of its origin, and how they read."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_report import full_report

from memprobe.analysis.allocations import add_sites, held, unplaced
from memprobe.analysis.summary import overhead
from memprobe.findings import Created, Finding, HeldObject, Holding, Reclaim
from memprobe.recording.reader import Recording
from memprobe.recording.schema import (
    Allocations,
    Group,
    GroupSites,
    Header,
    Holder,
    Site,
    Snapshot,
)
from memprobe.reporters import markdown, text
from memprobe.reporters.allocations import allocated

MIB = 2**20
LOAD = Site(file="etl.py", line=41, function="load", within="pandas read_csv", bytes=90 * MIB)
PARSE = Site(file="etl.py", line=50, function="parse", bytes=10 * MIB)


def snapshot(**fields: list[Site]) -> Snapshot:
    """Return one with two names that keep 100 MiB each and 5 MiB together.

    ``fields``: name → sites of what it keeps alone.
    """
    names = ("df", "other")
    groups = [
        Group(holders=[at], bytes=100 * MIB, sites=fields.get(name, []))
        for at, name in enumerate(names)
    ]
    shared = Group(holders=[0, 1], bytes=5 * MIB, sites=[Site(file="x.py", line=1, bytes=5 * MIB)])
    return Snapshot(
        t=7,
        holders=[
            Holder(id=at, root="module", expr=name, object=at, type="list")
            for at, name in enumerate(names)
        ],
        groups=[*groups, shared],
    )


def finding(
    expr: str = "df", exclusive: int = 100 * MIB, created: Created | None = None
) -> Finding:
    return Finding(
        code="MP101", name="growing-container", status="leaking", title="", context="script",
        object=HeldObject(type="list"), holders=[Holding(root="module", expr=expr)],
        exclusive_bytes=exclusive, shared_bytes=0, created=created,
        reclaim=Reclaim(bytes=exclusive, low=exclusive, high=exclusive),
    )  # fmt: skip


def told(found: Finding, *, log: Allocations | None = None, **sites: list[Site]) -> Finding:
    recording = Recording(Path("x"), Header(t=0), allocations=log)
    add_sites([found], recording, snapshot(**sites))
    return found


def log(*sites: Site, of: int = 0, at: int = 7) -> Allocations:
    return Allocations(t=9, snapshot=at, groups=[GroupSites(group=of, sites=list(sites))])


def test_a_finding_gets_the_places_of_what_its_holders_keep_alone() -> None:
    found = told(finding(), df=[PARSE, LOAD], other=[Site(file="y.py", line=1, bytes=MIB)])
    assert allocated(found) == [
        "etl.py:41 load, in pandas read_csv (90.0 MiB)",
        "etl.py:50 parse (10.0 MiB)",
    ]


def test_a_log_tells_of_the_snapshot_it_was_joined_to_and_of_no_other() -> None:
    assert allocated(told(finding(), log=log(LOAD)))
    assert allocated(told(finding(), log=log(LOAD, at=6))) == []
    assert allocated(told(finding(), log=log(LOAD, of=1))) == []


def test_a_few_bytes_say_nothing_about_the_others() -> None:
    assert allocated(told(finding(), df=[PARSE])) == []


def test_of_a_part_of_what_a_holder_keeps_nothing_is_told() -> None:
    assert allocated(told(finding(exclusive=30 * MIB), df=[LOAD])) == []


def test_places_below_a_hundredth_are_left_out() -> None:
    tiny = Site(file="etl.py", line=1, bytes=1000)
    assert len(allocated(told(finding(), df=[LOAD, tiny]))) == 1


def test_the_origin_of_an_object_is_where_it_was_certainly_allocated() -> None:
    found = told(finding(), df=[LOAD, PARSE])
    assert found.created == Created(file="etl.py", line=41, source="allocation")


def test_what_is_only_probable_is_said_so_and_is_no_origin() -> None:
    probable = Site(file="etl.py", line=41, bytes=90 * MIB, certain=False)
    found = told(finding(), df=[probable])
    assert allocated(found) == ["probably etl.py:41 (90.0 MiB)"]
    assert found.created is None


def test_an_origin_that_is_known_otherwise_stays() -> None:
    known = Created(cell=3, line=1)
    assert told(finding(created=known), df=[LOAD]).created == known


def test_an_origin_in_a_cell_is_the_cell() -> None:
    site = Site(file="123.py", line=3, cell=7, bytes=90 * MIB)
    assert told(finding(), df=[site]).created == Created(cell=7, line=3, source="allocation")


@pytest.mark.parametrize("record", [None, Allocations(t=1, failed="it is torn")])
def test_without_a_readable_log_there_is_no_table(record: Allocations | None) -> None:
    recording = Recording(Path("x"), Header(t=0), allocations=record)
    assert held(recording) is None
    assert unplaced([finding()], recording) == []


def test_a_finding_that_a_log_could_not_place_is_not_passed_over() -> None:
    recording = Recording(Path("x"), Header(t=0), allocations=log(LOAD))
    gaps = unplaced([finding()], recording)
    assert [gap.what for gap in gaps] == ["where the memory of df was allocated"]


def test_reports_tell_places_table_and_cost() -> None:
    report = full_report()
    report.findings[0].allocated = told(finding(), df=[LOAD]).allocated
    record = Allocations(
        t=9, held_bytes=120 * MIB, held=[LOAD], mapped_bytes=2**30, mapped=[PARSE], file_bytes=MIB
    )
    recording = Recording(Path("x"), Header(t=0), allocations=record)
    report.allocations, report.overhead = held(recording), overhead(recording)
    for page in (text.render(report, width=120), markdown.render(report).replace("\\_", "_")):
        assert "etl.py:41 load, in pandas read_csv (90.0 MiB)" in page
        assert "Where what was not freed was allocated" in page
        assert "120.0 MiB in all, by memray; and 1.0 GiB of address space, used or not" in page
        assert "memray slowed each allocation and wrote 1.0 MiB" in page


def test_a_name_from_a_stack_cannot_write_to_the_terminal() -> None:
    site = Site(file="a\x1b[2Jb.py", line=1, function="f\nx", bytes=90 * MIB)
    assert all(char.isprintable() for char in allocated(told(finding(), df=[site]))[0])
