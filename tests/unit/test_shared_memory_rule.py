"""MP504 on recordings in a few words: who maps it, who may still want it, what lets go of it."""

from __future__ import annotations

from typing import Any

import pytest
from test_evidence import MB, SECOND, Cell, findings, idle, notebook, program, told

from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Segment, SegmentHolder, Step

SHARED = "multiprocessing.shared_memory.SharedMemory"
NAME = "/dev/shm/psm_1a2b"


def segment(*holders: SegmentHolder, megabytes: float = 20, **fields: Any) -> Segment:
    known: dict[str, Any] = {
        "name": NAME, "bytes": int(megabytes * MB), "linked": True, "registered": True,
        "mapped": True, "open": True, "made": SECOND // 2, "users": 0,
    }  # fmt: skip
    return Segment(holders=list(holders), **{**known, **fields})


def holder(expr: str, type_name: str = SHARED, **fields: Any) -> SegmentHolder:
    return SegmentHolder(expr=expr, type=type_name, **{"root": "notebook-namespace", **fields})


def having(recording: Recording, *segments: Segment) -> Recording:
    recording.snapshots[-1].segments = list(segments)
    return recording


def left(one: Segment, *cells: Cell) -> Recording:
    """The first cell made a segment."""
    return having(notebook(Cell("shm arr"), *(cells or idle(5)), held=[]), one)


def closed(*holders: SegmentHolder, **fields: Any) -> Segment:
    return segment(*holders, **{"mapped": False, "open": False, **fields})


def one_of(recording: Recording) -> Finding:
    [found] = findings(recording)
    return found


def test_a_mapped_segment_that_no_recent_cell_used_is_left() -> None:
    found = one_of(left(segment(holder("shm", made=True))))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP504", "suspect", 20 * MB)
    assert [(one.root, one.expr) for one in found.holders] == [
        ("notebook-namespace", "shm"), ("shared-memory", NAME)
    ]  # fmt: skip
    assert (found.reclaim.where, found.reclaim.basis) == ("shared-memory", "exact")
    assert found.fix == "shm.close()\nshm.unlink()"
    assert found.created is not None
    assert found.created.cell == 1
    assert "nobody unlinked it" in found.why
    assert not found.release


@pytest.mark.parametrize(
    "cells", [idle(4), [*idle(9), Cell(used="shm")], [*idle(9), Cell(used="shm"), *idle(4)]]
)
def test_one_in_use_is_not(cells: list[Cell]) -> None:
    assert findings(left(segment(holder("shm", made=True)), *cells)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"megabytes": 9},
        {"bytes": None},
        {"users": 1},
        {"users": None},  # nobody looked
        {"unnamed": True},  # a frame shows its data
    ],
)
def test_small_ones_and_those_that_somebody_else_uses_are_left_alone(fields: Any) -> None:
    assert findings(left(segment(holder("shm", made=True), **fields))) == []


def test_what_was_only_attached_is_somebody_elses_to_unlink() -> None:
    assert findings(left(segment(holder("shm", made=False)))) == []


def test_mapped_and_without_a_name_somebody_unnamed_has_it() -> None:
    assert findings(left(segment())) == []


def test_an_array_in_use_keeps_it() -> None:
    rows = [holder("shm", made=True), holder("arr", "numpy.ndarray")]
    assert findings(left(segment(*rows), *idle(9), Cell(used="arr"))) == []
    assert told(left(segment(*rows)))[0][2] == f"shm arr {NAME}"


def test_a_name_alone_is_judged_by_the_cells_since_it_was_made() -> None:
    found = one_of(left(closed()))
    assert [(one.root, one.expr) for one in found.holders] == [("shared-memory", NAME)]
    assert found.fix.startswith('SharedMemory("psm_1a2b").unlink()')
    assert findings(left(closed(), *idle(4))) == []
    assert findings(left(closed(made=None))) == []


def test_a_text_that_is_its_name_is_a_way_to_it() -> None:
    text = holder("name", "str")
    assert findings(left(closed(text), *idle(9), Cell(used="name"))) == []
    found = one_of(left(closed(text)))
    assert [one.expr for one in found.holders] == [NAME, "name"]
    assert found.fix.splitlines()[-1] == "SharedMemory(name=name).unlink()"


def test_a_file_is_removed_and_what_has_no_name_is_deleted() -> None:
    table = holder("table", "numpy.memmap")
    fix = one_of(left(segment(table, registered=False))).fix
    assert fix == f"del table\nimport os; os.unlink({NAME!r})"
    step = [Step(edge=".cells", type="multiprocessing.sharedctypes.c_double_Array")]
    unlinked = segment(holder("board", step[0].type, path=step), linked=False, name="pym-7-x")
    found = one_of(left(unlinked))
    assert [one.expr for one in found.holders] == ["board.cells"]
    assert found.fix == "del board.cells"


def test_a_script_is_judged_at_its_end_by_the_names_it_leaves() -> None:
    def ended(reason: str, one: Segment) -> Recording:
        recording = having(program(), one)
        recording.snapshots[-1].reason = reason
        return recording

    assert told(ended("exit", closed())) == [("MP504", "suspect", NAME, 20)]
    assert findings(ended("request", closed())) == []
    assert findings(ended("exit", segment(linked=False))) == []


def test_the_fingerprint_knows_neither_the_random_name_nor_the_size() -> None:
    one, other = left(closed()), left(closed(name="/dev/shm/psm_ffff", megabytes=33))
    assert one_of(one).fingerprint == one_of(other).fingerprint
