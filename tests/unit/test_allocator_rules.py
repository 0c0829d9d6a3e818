"""MP304, MP501 and MP502 on recordings in a few words: what allocators keep, and who grows."""

from __future__ import annotations

from typing import Any

import pytest
from test_evidence import MB, SECOND, Cell, findings, idle, notebook, program, told

from memprobe.analysis.summary import summarise
from memprobe.analysis.unmeasured import not_measured
from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Account, Holder, ProcessMemory, Unmeasured

POOL = "pyarrow.default_memory_pool()"


def accounted(recording: Recording, *, t: int = 90, rss: float = 400, **fields: Any) -> Recording:
    """Add a full account; all sizes are megabytes."""
    trimmable = fields.pop("trimmable", None)
    buckets = {name.replace("_", "-"): int(size * MB) for name, size in fields.items()}
    process = ProcessMemory(
        pid=7, rss=int(rss * MB), buckets=buckets,
        trimmable=None if trimmable is None else int(trimmable * MB),
    )  # fmt: skip
    recording.accounts.append(Account(t=t * SECOND, full=True, processes=[process]))
    return recording


def working(recording: Recording, *seconds: float) -> Recording:
    """Let the last cells use so much CPU, the other ones a thousandth of a second."""
    numbers = sorted({one.cell or 0 for one in recording.markers})
    used = dict(zip(reversed(numbers), reversed(seconds)))
    total = 0.0
    for marker in recording.markers:
        if marker.phase == "end":
            total += used.get(marker.cell or 0, 0.001)
        marker.cpu = total
    return recording


def quiet(*cells: Cell) -> Recording:
    return working(notebook(Cell("x"), *(cells or idle(6)), held=[]))


def one_of(recording: Recording) -> Finding:
    [found] = findings(recording)
    return found


# --- MP304 ------------------------------------------------------------------------------------


def test_an_idle_pool_that_keeps_much_is_told_with_what_empties_it() -> None:
    found = one_of(accounted(quiet(), arrow_retained=160))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP304", "suspect", 160 * MB)
    assert found.fix == f"import pyarrow; {POOL}.release_unused()"
    assert [one.expr for one in found.holders] == [POOL]
    assert (found.reclaim.low, found.reclaim.high, found.reclaim.basis) == (
        160 * MB, 160 * MB, "estimate"
    )  # fmt: skip


@pytest.mark.parametrize("megabytes", [12, 60, 139])  # of 400
def test_what_every_deleted_table_leaves_in_the_pool_is_advice(megabytes: float) -> None:
    recording = accounted(quiet(), arrow_retained=megabytes)
    assert [row[:2] for row in told(recording)] == [("MP304", "advice")]


def test_live_data_in_the_pool_may_keep_pages_beside_it() -> None:
    assert one_of(accounted(quiet(), arrow_retained=60, arrow_live=30)).reclaim.low == 0


@pytest.mark.parametrize("used", ["pa", "pd", "pq f", "table"])
def test_a_pool_that_a_recent_cell_used_is_warm(used: str) -> None:
    recording = quiet(*idle(9), Cell(used=used), *idle(4))
    assert recording.snapshots
    recording.snapshots[-1].holders = [
        Holder(id=0, root="notebook-namespace", expr="table", object=0, type="pyarrow.Table")
    ]
    assert findings(accounted(recording, arrow_retained=40)) == []
    recording.accounts.clear()
    assert told(accounted(recording, arrow_retained=60))[0][:2] == ("MP304", "advice")


def test_little_of_it_a_short_notebook_or_no_account_is_nothing() -> None:
    assert findings(accounted(quiet(), arrow_retained=9)) == []
    assert findings(accounted(quiet(*idle(3)), arrow_retained=40)) == []
    assert findings(quiet()) == []
    assert findings(accounted(program(), arrow_retained=60)) == []


def test_an_account_of_before_says_nothing_of_now() -> None:
    recording = accounted(quiet(), arrow_retained=160)
    failed = Unmeasured(what="the memory account in buckets", why="it did not come to its end")
    recording.accounts.append(Account(t=91 * SECOND, reason="interval"))  # a cheap one: no buckets
    assert len(findings(recording)) == 1
    recording.accounts.append(Account(t=92 * SECOND, reason="marker", unmeasured=[failed]))
    assert findings(recording) == []
    told = not_measured(recording, summarise(recording))
    assert [one.why for one in told if one.what == failed.what] == [failed.why]


# --- MP501 ------------------------------------------------------------------------------------


def test_what_a_trim_gives_back_is_told() -> None:
    found = one_of(accounted(quiet(), malloc_retained=270, trimmable=250))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP501", "suspect", 250 * MB)
    assert found.fix == "import ctypes; ctypes.CDLL(None).malloc_trim(0)"
    assert (found.reclaim.bytes, found.reclaim.basis) == (250 * MB, "simulated")
    assert "19.1 MiB of it lie between blocks in use, and stay" in found.why


@pytest.mark.parametrize("megabytes", [101, 150, 239])  # of 400
def test_what_every_program_that_frees_much_leaves_is_advice(megabytes: float) -> None:
    recording = accounted(quiet(), malloc_retained=megabytes, trimmable=megabytes)
    assert [row[:2] for row in told(recording)] == [("MP501", "advice")]


def test_where_the_last_cells_worked_it_is_advice() -> None:
    recording = working(notebook(Cell("x"), *idle(6), held=[]), 0.001, 0.4, 0.001)
    assert told(accounted(recording, malloc_retained=250, trimmable=250))[0][:2] == (
        "MP501", "advice"
    )  # fmt: skip
    unknown = notebook(Cell("x"), *idle(6), held=[])
    assert told(accounted(unknown, malloc_retained=250, trimmable=250))[0][1] == "advice"


def test_little_or_a_small_part_is_nothing() -> None:
    assert findings(accounted(quiet(), malloc_retained=99, trimmable=99)) == []
    assert findings(accounted(quiet(), malloc_retained=130, trimmable=79)) == []
    assert findings(accounted(quiet(), rss=800, malloc_retained=150, trimmable=150)) == []
    assert findings(accounted(program(), malloc_retained=110, trimmable=110)) == []


def test_where_a_trim_is_useless_that_is_said_and_nothing_promised() -> None:
    found = one_of(accounted(quiet(), malloc_retained=30, python_free=90, trimmable=1))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP501", "advice", MB)
    assert found.holders[0].expr == "arenas of Python's allocator"
    assert "a trim would give 976.6 KiB back" in found.why
    assert "malloc_trim" not in found.fix
    # Another malloc: nobody can tell what it keeps.
    assert findings(accounted(quiet(), malloc_retained=30, python_free=90)) == []


# --- MP502 ------------------------------------------------------------------------------------


def grown(
    megabytes: float = 20, runs: int = 4, *, cells: list[Cell] | None = None
) -> Recording:  # fmt: skip
    recording = working(notebook(*(cells or [Cell("f", source="same")] * runs), held=[]))
    rss = 100 * MB
    for marker in recording.markers:
        rss += int(megabytes * MB) if marker.phase == "end" else 0
        marker.rss = rss
    return recording


@pytest.mark.parametrize("bucket", ["malloc_other", "native_other", "native_objects", "unknown"])
def test_rounds_that_leave_memory_without_an_owner_are_told_with_memray(bucket: str) -> None:
    found = one_of(accounted(accounted(grown(), t=0, malloc_other=3), **{bucket: 84}))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP502", "suspect", 80 * MB)
    assert "memprobe run --memray" in found.fix
    assert found.growth is not None
    assert (found.growth.bytes_per_round, found.growth.rounds) == (20 * MB, 4)
    assert found.reclaim.low == 0


@pytest.mark.parametrize(
    "buckets",
    [
        {"malloc_other": 10},
        {"malloc_retained": 79, "malloc_other": 3},  # MP501's
        {"python_objects": 100},
        {"array_buffers": 100, "malloc_other": 20},
    ],
)
def test_growth_that_has_an_owner_or_is_free_is_not_native(buckets: dict[str, float]) -> None:
    assert findings(accounted(accounted(grown(), t=0, malloc_other=3), **buckets)) == []


def test_memory_that_was_there_before_did_not_grow() -> None:
    assert findings(accounted(accounted(grown(), t=0, malloc_other=80), malloc_other=84)) == []


def test_too_few_rounds_or_one_without_growth_are_none() -> None:
    def judged(recording: Recording) -> list[Finding]:
        return findings(accounted(accounted(recording, t=0, malloc_other=3), malloc_other=84))

    assert judged(grown(40, runs=2)) == []
    assert judged(grown(0.5)) == []
    uneven = grown()
    for marker in uneven.markers[-2:]:
        marker.rss = 160 * MB
    assert judged(uneven) == []


def test_a_container_that_grew_in_the_same_rounds_owns_it() -> None:
    recording = accounted(accounted(grown(), t=0, malloc_other=3), malloc_other=84)
    for number, marker in enumerate(recording.markers):
        if marker.phase == "end":
            marker.lengths = {"handles": number + 1}
            marker.used = ["handles"]
    assert "MP502" not in [one.code for one in findings(recording)]


def test_what_is_retained_and_what_grows_are_never_taken_for_each_other() -> None:
    both = accounted(accounted(grown(), t=0, malloc_other=3), malloc_retained=101, trimmable=101)
    assert [one.code for one in findings(both)] == ["MP501"]
    leak = accounted(accounted(grown(), t=0, malloc_other=3), malloc_other=84, trimmable=2)
    assert [one.code for one in findings(leak)] == ["MP502"]
