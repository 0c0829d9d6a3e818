"""From cells and holders to findings: recordings in a few words, judged by the real rules."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprobe import detectors
from memprobe.analysis.evidence import Evidence, State, gather
from memprobe.analysis.retention import bundles
from memprobe.config import Config
from memprobe.errors import UsageError
from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Group, Header, Holder, Marker, Sample, Snapshot, Step

MB = 10**6
SECOND = 10**9
ROOTS = {
    "sys.last_value": "traceback",
    "get_ipython().InteractiveTB.tb": "traceback",
    "Out": "ipython-output",
    "_": "ipython-output",
    "?": "interpreter",
}


@dataclass
class Cell:
    """One executed cell; names are separated by blanks. It takes ``seconds``."""

    bound: str = ""
    used: str = ""
    deleted: str = ""
    error: str | None = None
    shows: bool = False
    seconds: float = 1.0
    source: str | None = None  # told by its hash; default: what it binds and uses
    running: bool = False
    replayed: bool = False


@dataclass
class Held:
    """``megabytes`` that need all of the ``holders`` (separated by blanks)."""

    holders: str
    megabytes: float = 20
    via: str = ""
    path: tuple[Step, ...] = ()
    low: int | None = None
    high: int | None = None


def idle(count: int = 5, **fields: Any) -> list[Cell]:
    """Return cells that use nothing that matters."""
    return [Cell(bound=f"step{n}", **fields) for n in range(count)]


def notebook(
    *cells: Cell, held: list[Held], later: float = 0.0, first: int = 1, **more: Any
) -> Recording:
    """Return a recording whose last snapshot is ``later`` seconds after the last cell."""
    now, markers = 0.0, []
    for number, cell in enumerate(cells, first):
        markers += _markers(cell, number, now)
        now += cell.seconds
    return _recording("notebook", markers, now + later, held, **more)


def program(*held: Held) -> Recording:
    """Return a script's recording."""
    return _recording("script", [], 1.0, list(held))


def _markers(cell: Cell, number: int, now: float) -> list[Marker]:
    fields: dict[str, Any] = {
        "cell": number, "cell_id": f"id{number}", "used": cell.used.split(),
        "bound": dict.fromkeys(cell.bound.split(), 1), "deleted": cell.deleted.split(),
        "hash": cell.source or f"{cell.bound}/{cell.used}/{cell.shows}",
    }  # fmt: skip
    end = int((now + cell.seconds) * SECOND)
    if cell.replayed:
        return [Marker(t=0, phase="replay", source="history", **fields)]
    started = Marker(t=int(now * SECOND), phase="start", **fields)
    if cell.running:
        return [started]
    return [started, Marker(t=end, phase="end", error=cell.error, shows=cell.shows, **fields)]


def _recording(
    context: Any, markers: list[Marker], now: float, held: list[Held], *,
    types: dict[str, str] | None = None, addresses: int = 0,
) -> Recording:  # fmt: skip
    exprs = list(dict.fromkeys(expr for one in held for expr in one.holders.split()))
    ids = {expr: number + addresses for number, expr in enumerate(exprs)}
    holders = [_holder(expr, ids[expr], (types or {}).get(expr), context) for expr in exprs]
    groups = [
        Group(
            holders=[ids[expr] for expr in one.holders.split()], bytes=int(one.megabytes * MB),
            via=one.via.split(), path=list(one.path), low=one.low, high=one.high,
        )
        for one in held
    ]  # fmt: skip
    snapshot = Snapshot(t=int(now * SECOND), holders=holders, groups=groups)
    return Recording(
        path=Path("x.memprobe"), header=Header(t=0, context=context), markers=markers,
        samples=[Sample(t=int(now * SECOND))], snapshots=[snapshot],
    )  # fmt: skip


def _holder(expr: str, number: int, type_name: str | None, context: str) -> Holder:
    """Return the holder ``expr``: ``Out[3]``, ``_3`` or ``_@3`` (``_`` that shows output 3)."""
    shown, _, cell = expr.partition("@")
    digits = "".join(char for char in expr if char.isdigit())
    output = expr.startswith(("Out[", "_"))
    root = ROOTS.get(shown) or ("ipython-output" if output else "notebook-namespace")
    if context == "script" and root == "notebook-namespace":
        root = "module"
    of_cell = int(cell or digits) if output and (cell or digits) else None
    # All names of one output point to one object.
    held = number if of_cell is None else 10_000 + of_cell
    return Holder(
        id=number, root=root, expr=shown, object=held, type=type_name or "pandas.DataFrame",
        cell=of_cell,
    )  # fmt: skip


def findings(recording: Recording, **config: Any) -> list[Finding]:
    return detectors.run(gather(recording, replace(Config(), **config)))


def told(recording: Recording, **config: Any) -> list[tuple[str, str, str, int]]:
    """Return (code, status, holders, megabytes) of each finding."""
    return [
        (one.code, one.status, " ".join(held.expr for held in one.holders),
         one.exclusive_bytes // MB)
        for one in findings(recording, **config)
    ]  # fmt: skip


# --- MP202: names -----------------------------------------------------------------------------


@pytest.mark.parametrize(("idle_cells", "fires"), [(4, False), (5, True), (12, True)])
def test_a_name_is_stale_after_five_cells(idle_cells: int, fires: bool) -> None:
    recording = notebook(Cell("df"), *idle(idle_cells), held=[Held("df")])
    assert told(recording) == ([("MP202", "suspect", "df", 20)] if fires else [])


@pytest.mark.parametrize("use", [Cell(used="df"), Cell(bound="df"), Cell("x", used="f df")])
def test_every_use_starts_the_count_again(use: Cell) -> None:
    assert told(notebook(Cell("df"), *idle(9), use, *idle(4), held=[Held("df")])) == []
    assert told(notebook(Cell("df"), *idle(9), use, *idle(5), held=[Held("df")]))


def test_the_number_of_cells_is_configured() -> None:
    recording = notebook(Cell("df"), *idle(2), held=[Held("df")])
    assert told(recording, stale_cells=2)
    assert not told(recording, stale_cells=3)


def test_time_makes_a_name_stale_only_while_other_cells_ran() -> None:
    alone = notebook(Cell("df"), later=100_000, held=[Held("df")])
    assert told(alone) == []
    beside = notebook(Cell("df"), Cell("x", seconds=599), held=[Held("df")])
    assert told(beside) == []
    beside = notebook(Cell("df"), Cell("x", seconds=600), held=[Held("df")])
    assert told(beside) == [("MP202", "suspect", "df", 20)]
    assert told(beside, stale_seconds=601.0) == []
    [one] = findings(beside)
    assert one.last_used is not None
    assert (one.last_used.cell, one.last_used.seconds_ago) == (1, 600.0)
    assert "1 cell has run since, 10 min ago" in one.why


def test_a_cell_that_still_runs_uses_its_names() -> None:
    cells = [Cell("df"), *idle(9), Cell(used="df", running=True)]
    assert told(notebook(*cells, later=9999, held=[Held("df")])) == []


def test_a_running_cell_counts_as_one_that_ran_since() -> None:
    cells = [Cell("df"), Cell("x", running=True)]
    assert told(notebook(*cells, later=100, held=[Held("df")])) == []
    assert told(notebook(*cells, later=700, held=[Held("df")]))


def test_cells_of_before_count_and_their_times_are_unknown() -> None:
    cells = [Cell("df", replayed=True), *idle(5, replayed=True)]
    [one] = findings(notebook(*cells, later=3000, held=[Held("df")]))
    assert one.created is not None
    assert (one.created.cell, one.created.source) == (1, "history")
    assert one.last_used is not None
    assert (one.last_used.cell, one.last_used.seconds_ago) == (1, None)
    assert "min ago" not in one.why


def test_a_name_that_no_cell_ever_mentioned_waits_for_enough_cells() -> None:
    assert told(notebook(*idle(4), later=9999, held=[Held("df")])) == []
    [one] = findings(notebook(*idle(5), held=[Held("df")]))
    assert (one.created, one.last_used) == (None, None)
    assert "none of the cells" in one.why


def test_a_name_that_a_callback_may_read_is_not_stale() -> None:
    recording = notebook(Cell("df other"), *idle(9), held=[Held("df"), Held("other", 30)])
    recording.snapshots[0].awaited = ["df"]
    assert [row[2] for row in told(recording)] == ["other"]


def test_a_name_in_use_reaches_the_same_data() -> None:
    cells = [Cell("df view"), *idle(5), Cell(used="view")]
    assert told(notebook(*cells, held=[Held("df view", 500)])) == []
    # What only the stale one holds is still to be had, and the rest is said to be shared.
    [one] = findings(notebook(*cells, held=[Held("df view", 500), Held("df", 30)]))
    assert (one.exclusive_bytes, one.shared_bytes) == (30 * MB, 500 * MB)


def test_a_name_was_made_where_it_was_bound_last() -> None:
    cells = [Cell("df"), Cell("x"), Cell("df"), Cell(used="df"), *idle(5)]
    [one] = findings(notebook(*cells, held=[Held("df")]))
    assert one.created is not None
    assert (one.created.cell, one.created.cell_id, one.created.line) == (3, "id3", 1)
    assert one.last_used is not None
    assert one.last_used.cell == 4


def test_names_that_hold_together_are_one_finding() -> None:
    cells = [Cell("train"), Cell("again"), *idle(5)]
    [one] = findings(notebook(*cells, held=[Held("train again", 40), Held("again", 5)]))
    assert {held.expr for held in one.holders} == {"train", "again"}
    assert one.exclusive_bytes == 45 * MB
    assert one.fix in ("del train, again", "del again, train")


def test_pieces_too_small_by_themselves_are_added_up_and_promised_once() -> None:
    cells = [Cell("a b c"), *idle(5)]
    small = [Held("a", 5), Held("a b", 6)]
    assert told(notebook(*cells, held=small)) == [("MP202", "suspect", "a b", 11)]
    # `b` alone would be counted with `a` and again with `c`.
    chain = [Held("b", 5), Held("a b", 6), Held("b c", 7)]
    assert told(notebook(*cells, held=chain)) == [("MP202", "suspect", "b a c", 18)]


def test_pieces_around_one_holder_are_one_finding() -> None:
    cells = [Cell("a b c d"), *idle(5)]
    pieces = [Held("a b", 5), Held("a c", 5), Held("a d", 5)]
    assert told(notebook(*cells, held=pieces)) == [("MP202", "suspect", "a b c d", 15)]
    # A few shared bytes tie nobody.
    pieces = [Held("a b", 6), Held("a c", 6), Held("a d", 0.1)]
    assert told(notebook(*cells, held=pieces)) == [("MP202", "suspect", "a b c", 12)]


@pytest.mark.parametrize("root", ["?", "df ?", "Out[1] ?", "sys.last_value ?"])
def test_what_something_without_a_name_holds_too_is_not_promised(root: str) -> None:
    cells = [Cell("df", shows=True, error="E"), *idle(9)]
    assert told(notebook(*cells, held=[Held(root, 500)])) == []


def test_below_the_threshold_nothing_is_said() -> None:
    cells = [Cell("df", shows=True, error="E"), *idle(9)]
    for holders in ("df", "Out[1]", "sys.last_value"):
        assert told(notebook(*cells, held=[Held(holders, 9.999)])) == []
        assert told(notebook(*cells, held=[Held(holders, 10)]))
        assert told(notebook(*cells, held=[Held(holders, 1)]), min_bytes=MB)


def test_the_range_of_what_comes_back_adds_up() -> None:
    held = [Held("df", 20, low=15 * MB, high=30 * MB), Held("df", 10)]
    [one] = findings(notebook(Cell("df"), *idle(5), held=held))
    reclaim = one.reclaim
    assert (reclaim.low, reclaim.bytes, reclaim.high) == (25 * MB, 30 * MB, 40 * MB)


# --- MP201: outputs ---------------------------------------------------------------------------


def test_an_output_is_advice_at_first_and_then_a_leak() -> None:
    shown = Cell(used="df", shows=True)
    held = [Held("Out[1] _1 _@1")]
    assert told(notebook(shown, held=held)) == [("MP201", "advice", "Out[1] _1 _", 20)]
    assert told(notebook(shown, Cell("x"), held=held)) == [("MP201", "leaking", "Out[1] _1 _", 20)]


def test_a_stale_name_beside_an_output_makes_it_a_suspicion_of_both() -> None:
    cells = [Cell("df", used="df", shows=True), *idle(5)]
    [one] = findings(notebook(*cells, held=[Held("_@1 df Out[1] _1")]))
    assert (one.code, one.status, one.also) == ("MP201", "suspect", ["MP202"])
    assert one.fix == "%xdel _1\ndel df"


def test_a_name_in_use_makes_its_output_free_of_charge() -> None:
    cells = [Cell("df", shows=True), *idle(5), Cell(used="df")]
    assert told(notebook(*cells, held=[Held("df Out[1] _1", 900)])) == []


def test_a_stale_name_beside_a_fresh_output_is_advice() -> None:
    cells = [Cell("df"), *idle(5), Cell(shows=True)]
    held = [Held("df Out[7]", 50)]
    assert told(notebook(*cells, held=held)) == [("MP201", "advice", "df Out[7]", 50)]


def test_three_versions_are_three_findings_that_are_told_apart() -> None:
    cells = [Cell("df", used="df", shows=True) for _ in range(3)] + [Cell(bound="df"), Cell("x")]
    held = [Held("Out[1] _1", 20), Held("Out[2] _2", 30), Held("Out[3] _3 _@3", 40)]
    found = findings(notebook(*cells, held=held))
    assert [one.exclusive_bytes // MB for one in found] == [40, 30, 20]
    assert {one.code for one in found} == {"MP201"}
    base = found[0].fingerprint
    assert [one.fingerprint for one in found] == [base, f"{base}-2", f"{base}-3"]


@pytest.mark.parametrize("name", ["Out", "_oh", "_1"])
def test_an_output_that_a_recent_cell_read_is_in_use(name: str) -> None:
    held = [Held("Out[1] _1")]
    cells = [Cell(shows=True), *idle(3), Cell(used=name)]
    assert told(notebook(*cells, *idle(4), held=held)) == []
    assert told(notebook(*cells, *idle(5), held=held))


def test_reading_another_output_is_no_use_of_this_one() -> None:
    cells = [Cell(shows=True), Cell(shows=True), Cell(used="_2")]
    held = [Held("Out[1] _1", 20), Held("Out[2] _2", 30)]
    assert told(notebook(*cells, held=held)) == [("MP201", "leaking", "Out[1] _1", 20)]


@pytest.mark.parametrize("name", ["_", "__", "___"])
@pytest.mark.parametrize(("shown_since", "in_use"), [(0, True), (2, True), (3, False)])
def test_reading_the_last_outputs_uses_the_last_three(
    name: str, shown_since: int, in_use: bool
) -> None:
    between = [Cell(used="small", shows=True) for _ in range(shown_since)]
    cells = [Cell(shows=True), *idle(2), *between, *idle(1), Cell(used=name)]
    assert bool(told(notebook(*cells, held=[Held("Out[1] _1")]))) is not in_use


def test_reading_underscore_before_the_output_was_there_is_no_use_of_it() -> None:
    cells = [Cell(used="_"), Cell(shows=True), Cell("x")]
    assert told(notebook(*cells, held=[Held("Out[2] _2")]))


def test_an_output_of_a_cell_that_nobody_saw_is_left_behind() -> None:
    found = told(notebook(*idle(9), first=50, held=[Held("Out[7] _7")]))
    assert [row[:2] for row in found] == [("MP201", "leaking")]


# --- MP104: tracebacks ------------------------------------------------------------------------

FAILED = Cell(used="load", error="ValueError")
FRAMES = (Step(edge=".__traceback__", type="traceback"), Step(edge=".raw", type="pandas.DataFrame"))


def test_the_last_exception_is_advice_at_first_and_then_a_leak() -> None:
    held = [Held("sys.last_value get_ipython().InteractiveTB.tb", via="traceback", path=FRAMES)]
    assert [row[:2] for row in told(notebook(FAILED, held=held))] == [("MP104", "advice")]
    [one] = findings(notebook(FAILED, Cell("x"), held=held))
    assert (one.code, one.status) == ("MP104", "leaking")
    assert one.object.name == "raw"
    assert "cell 1 failed" in one.why
    assert one.fix == "import sys; sys.last_value = None\nget_ipython().InteractiveTB.tb = None"


def test_a_failure_of_before_we_came_is_judged_by_the_cells_that_are_known() -> None:
    held = [Held("sys.last_value", via="traceback")]
    replayed = [Cell("x", replayed=True), Cell("y", replayed=True)]
    assert [row[:2] for row in told(notebook(*replayed, held=held))] == [("MP104", "leaking")]


def test_a_name_in_use_reaches_the_locals_of_a_failed_cell_too() -> None:
    cells = [Cell("df"), FAILED, *idle(2), Cell(used="df")]
    assert told(notebook(*cells, held=[Held("df sys.last_value", 800)])) == []


def test_a_stored_exception_keeps_frames_even_while_its_name_is_used() -> None:
    cells = [Cell("errors"), Cell(used="errors"), Cell(used="errors")]
    held = [Held("errors", 60, via="traceback frame", path=FRAMES)]
    [one] = findings(notebook(*cells, held=held))
    assert (one.code, one.status, one.object.name) == ("MP104", "leaking", "raw")
    assert "keep the text of the exception, not the exception, in `errors`" in one.fix
    assert "errors.__traceback__ = None" in one.fix
    assert one.why.startswith("cell 1 kept an exception")  # and did not fail by it
    # Not MP202 as well, however stale the name is.
    [one] = findings(notebook(Cell("errors"), *idle(9), held=held))
    assert (one.code, one.also) == ("MP104", [])


def test_a_displayed_exception_without_its_own_rule_is_an_output_left_behind() -> None:
    cells = [Cell("error", used="error", shows=True), *idle(5)]
    held = [Held("error Out[1]", 60, via="traceback", path=FRAMES)]
    assert [row[:2] for row in told(notebook(*cells, held=held))] == [("MP104", "leaking")]
    ignored = told(notebook(*cells, held=held), ignore=("MP104",))
    assert [row[:2] for row in ignored] == [("MP201", "leaking")]


def test_an_exception_stored_by_the_last_cell_is_advice() -> None:
    held = [Held("errors", 60, via="traceback", path=FRAMES)]
    assert [row[:2] for row in told(notebook(Cell("errors"), held=held))] == [("MP104", "advice")]


def test_in_a_script_only_exceptions_are_judged_and_at_once() -> None:
    stored = Held("errors", 60, via="traceback", path=FRAMES)
    last = Held("sys.last_value", 70, via="traceback", path=FRAMES)
    found = findings(program(stored, last, Held("df", 500)))
    assert [(one.code, one.status) for one in found] == [("MP104", "leaking")] * 2
    assert [one.holders[0].expr for one in found] == ["sys.last_value", "errors"]
    assert {one.context for one in found} == {"script"}


# --- all rules --------------------------------------------------------------------------------


def everything() -> Recording:
    cells = [Cell("df"), Cell("both", shows=True), replace(FAILED), *idle(5)]
    held = [Held("df", 20), Held("both Out[2] _2", 30), Held("sys.last_value", 40)]
    return notebook(*cells, held=held)


def test_grave_findings_come_first_then_large_ones() -> None:
    fresh = [Cell("a b"), *idle(5), Cell(shows=True)]
    held = [Held("Out[7]", 900), Held("a", 20), Held("b", 30)]
    assert [row[:3] for row in told(notebook(*fresh, held=held))] == [
        ("MP202", "suspect", "b"), ("MP202", "suspect", "a"), ("MP201", "advice", "Out[7]"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({}, ["MP104", "MP201+MP202", "MP202"]),
        ({"select": ("MP202",)}, ["MP202", "MP202"]),
        ({"select": ("mp2",)}, ["MP201+MP202", "MP202"]),
        ({"select": ("output-history",)}, ["MP201"]),
        ({"ignore": ("MP201",)}, ["MP104", "MP202", "MP202"]),
        ({"ignore": ("MP2",)}, ["MP104"]),
        ({"select": ("MP2",), "ignore": ("MP202",)}, ["MP201"]),
        ({"ignore": ("MP",)}, []),
    ],
)
def test_rules_are_selected_and_ignored(config: dict[str, Any], codes: list[str]) -> None:
    found = findings(everything(), **config)
    assert ["+".join([one.code, *one.also]) for one in found] == codes


@pytest.mark.parametrize("config", [{"select": ("MP999",)}, {"ignore": ("stale-variables",)}])
def test_a_rule_that_does_not_exist_is_said(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no rule"):
        findings(everything(), **config)


def test_no_snapshot_no_findings() -> None:
    recording = everything()
    recording.snapshots[0].skipped = "it would have taken too long"
    assert findings(recording) == []


def test_the_last_snapshot_that_measured_anything_counts() -> None:
    recording = everything()
    recording.snapshots.append(Snapshot(t=99, skipped="too long"))
    assert len(findings(recording)) == 3
    recording.snapshots.append(Snapshot(t=100))
    assert findings(recording) == []


# --- fingerprints -----------------------------------------------------------------------------


def prints(recording: Recording) -> list[str]:
    return [one.fingerprint for one in findings(recording)]


def test_a_fingerprint_is_the_same_for_other_sizes_addresses_and_cell_numbers() -> None:
    cells = [Cell("df", source="aa"), Cell("v", shows=True, source="bb"), FAILED, *idle(5)]

    def run(*, scale: int, first: int, addresses: int) -> list[str]:
        held = [Held("df", 20 * scale), Held(f"Out[{first + 1}] _{first + 1}", 15 * scale),
                Held("sys.last_value", 12 * scale, via="traceback", path=FRAMES)]  # fmt: skip
        return prints(notebook(*cells, held=held, first=first, addresses=addresses))

    known = run(scale=1, first=1, addresses=0)
    assert len(set(known)) == 3
    assert run(scale=7, first=1, addresses=0) == known
    assert run(scale=1, first=40, addresses=0) == known
    assert run(scale=1, first=1, addresses=1000) == known


def test_a_fingerprint_differs_by_source_type_name_and_rule() -> None:
    held = [Held("df")]
    seen = [
        prints(notebook(Cell("df", source="aa"), *idle(5), held=held)),
        prints(notebook(Cell("df", source="bb"), *idle(5), held=held)),
        prints(notebook(Cell("df", source="aa"), *idle(5), held=held, types={"df": "list"})),
        prints(notebook(Cell("dx", source="aa"), *idle(5), held=[Held("dx")])),
        prints(notebook(Cell("", source="aa", shows=True), *idle(5), held=[Held("Out[1]")])),
        prints(notebook(Cell("df", source="aa"), *idle(5), held=[Held("df", path=FRAMES)])),
    ]
    assert all(len(one) == 1 and len(one[0]) == 12 for one in seen)
    assert len({one[0] for one in seen}) == len(seen)


# --- bundles against their definition ---------------------------------------------------------

_NAMES = "abcdef"


@st.composite
def _snapshots(draw: st.DrawFn) -> tuple[Snapshot, set[int]]:
    """Return a snapshot of up to six holders, and which of them may be cut."""
    count = draw(st.integers(1, len(_NAMES)))
    ids = range(count)
    some = st.frozensets(st.sampled_from(ids), min_size=1, max_size=3)
    sets = draw(st.sets(some, min_size=1, max_size=10))
    groups = [Group(holders=sorted(one), bytes=draw(st.integers(0, 15))) for one in sorted(
        sets, key=sorted)]  # fmt: skip
    holders = [Holder(id=n, root="module", expr=_NAMES[n], object=n, type="list") for n in ids]
    return Snapshot(t=0, holders=holders, groups=groups), set(ids) - draw(
        st.sets(st.sampled_from(ids), max_size=2)
    )


@given(_snapshots(), st.integers(1, 12))
def test_bundles_are_what_they_are_defined_to_be(
    drawn: tuple[Snapshot, set[int]], least: int
) -> None:
    snapshot, cuttable = drawn
    found = bundles(snapshot, lambda holder, _: holder.id in cuttable, least)
    members = [{holder.id for holder in bundle.holders} for bundle in found]
    for bundle, ids in zip(found, members, strict=True):
        kept = [group for group in snapshot.groups if ids.issuperset(group.holders)]
        touched = [group for group in snapshot.groups if ids.intersection(group.holders)]
        assert ids <= cuttable
        assert bundle.exclusive == sum(group.bytes for group in kept) >= least
        assert bundle.low == bundle.high == bundle.exclusive
        assert bundle.exclusive + bundle.shared == sum(group.bytes for group in touched)
        assert bundle.largest.bytes == max(group.bytes for group in kept)
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(members, 2))
    assert [b.exclusive for b in found] == sorted((b.exclusive for b in found), reverse=True)
    # No large group that could come back is overlooked.
    for group in snapshot.groups:
        if group.bytes >= least and cuttable.issuperset(group.holders):
            assert any(ids.issuperset(group.holders) for ids in members)


@given(_snapshots(), st.integers(1, 12))
def test_a_holder_that_may_not_be_cut_for_one_group_blocks_only_that(
    drawn: tuple[Snapshot, set[int]], least: int
) -> None:
    snapshot, _ = drawn
    blocked = snapshot.groups[:2]
    found = bundles(snapshot, lambda _, group: group not in blocked, least)
    promised = [group for bundle in found for group in bundle.groups]
    assert not any(group in blocked for group in promised)
    assert sum(b.exclusive for b in found) <= sum(
        group.bytes for group in snapshot.groups if group not in blocked
    )


def test_holders_have_the_states_that_the_rules_speak_of() -> None:
    recording = everything()
    evidence: Evidence = gather(recording, Config())
    snapshot = recording.snapshots[0]
    states = {
        holder.expr: evidence.state(holder, snapshot.groups[0]) for holder in snapshot.holders
    }
    assert states == {
        "df": State.STALE, "both": State.STALE, "Out[2]": State.LEFT, "_2": State.LEFT,
        "sys.last_value": State.LEFT,
    }  # fmt: skip
