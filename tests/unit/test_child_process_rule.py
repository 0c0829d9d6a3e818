"""MP503 on recordings in a few words: whose processes, whether at work, how much is their own."""

from __future__ import annotations

from typing import Any

import pytest
from test_evidence import MB, SECOND, Cell, findings, idle, notebook, program, told

from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Child, ChildProcess, ProcessHolder, Sample, Step

POOL = "multiprocessing.pool.Pool"


def process(pid: int, megabytes: float = 20, **fields: Any) -> ChildProcess:
    private = int(megabytes * MB)
    known = {
        "name": "python", "parent": 1, "session": 1, "started": SECOND // 2, "rss": 2 * private,
        "pss": private + private // 2, "private": private, "listens": False, "waits": True,
    }  # fmt: skip
    return ChildProcess(pid=pid, **{**known, **fields})


def holder(expr: str, *pids: int, type_name: str = POOL, **fields: Any) -> ProcessHolder:
    known = {"root": "notebook-namespace", "type": type_name}
    return ProcessHolder(expr=expr, pids=list(pids), **{**known, **fields})


def with_processes(
    recording: Recording, processes: list[ChildProcess], *holders: ProcessHolder
) -> Recording:
    recording.snapshots[-1].processes = processes
    recording.snapshots[-1].process_holders = list(holders)
    return recording


def pooled(*cells: Cell, pids: tuple[int, ...] = (8, 9), **fields: Any) -> Recording:
    """The first cell made a pool."""
    recording = notebook(Cell("pool"), *cells, held=[])
    processes = [process(pid, **fields) for pid in pids]
    return with_processes(recording, processes, holder("pool", *pids))


def one_of(recording: Recording) -> Finding:
    [found] = findings(recording)
    return found


def test_a_pool_that_no_recent_cell_used_is_left() -> None:
    found = one_of(pooled(*idle(5)))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP503", "suspect", 40 * MB)
    assert [(one.root, one.expr) for one in found.holders] == [("notebook-namespace", "pool")]
    assert (found.reclaim.where, found.reclaim.basis) == ("child-processes", "exact")
    assert (found.reclaim.bytes, found.reclaim.high) == (40 * MB, 60 * MB)
    assert found.fix == "pool.terminate()\npool.join()"
    assert found.created is not None
    assert found.created.cell == 1
    assert "2 processes, since cell 1" in found.why
    assert "5 cells ran since" in found.why
    assert not found.release


@pytest.mark.parametrize(
    "cells",
    [idle(4), [*idle(9), Cell(used="pool")], [*idle(9), Cell(used="f pool"), *idle(4)]],
)
def test_a_pool_in_use_is_not(cells: list[Cell]) -> None:
    assert findings(pooled(*cells)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"megabytes": 4.9},  # together below the threshold
        {"waits": False},
        {"waits": None},  # nobody can tell
        {"listens": True},
        {"role": "helper"},
        {"private": None},
    ],
)
def test_what_works_serves_or_is_small_is_left_alone(fields: dict[str, Any]) -> None:
    assert findings(pooled(*idle(9), **fields)) == []


def test_pages_that_are_shared_with_the_parent_do_not_count() -> None:
    assert findings(pooled(*idle(9), megabytes=1, rss=900 * MB, pss=300 * MB)) == []


def test_work_that_is_not_done_is_use() -> None:
    recording = notebook(Cell("pool"), *idle(9), held=[])
    with_processes(recording, [process(8)], holder("pool", 8, pending=1))
    assert findings(recording) == []


def test_cpu_since_the_last_use_is_work() -> None:
    recording = pooled(*idle(9), pids=(8,))
    for at, cpu in ((4, 10.0), (9, 10.0 + 0.2)):
        children = [Child(pid=8, rss=1, cpu=cpu)]
        recording.samples.append(Sample(t=at * SECOND, by="host", children=children))
    [row] = recording.snapshots[-1].processes or []
    row.cpu_ns = int(10.2e9)
    assert findings(recording) == []
    recording.samples[-1].children = [Child(pid=8, rss=1, cpu=10.02)]
    row.cpu_ns = int(10.02e9)
    assert told(recording) == [("MP503", "suspect", "pool", 20)]


def test_another_name_in_use_keeps_it() -> None:
    recording = notebook(Cell("pool"), Cell("scorer"), *idle(5), Cell(used="scorer"), held=[])
    inside = [Step(edge=".pool", type=POOL)]
    holders = [holder("pool", 8), holder("scorer", 8, path=inside)]
    assert findings(with_processes(recording, [process(8)], *holders)) == []


@pytest.mark.parametrize("root", ["module", "class-attribute", "frame", "thread"])
def test_what_no_name_of_the_notebook_holds_is_not_the_users_to_cut(root: str) -> None:
    recording = notebook(*idle(9), held=[])
    with_processes(recording, [process(8)], holder("jobs.POOL", 8, root=root))
    assert findings(recording) == []


def test_an_attribute_is_typed_and_a_dict_is_one_finding() -> None:
    recording = notebook(Cell("scorer"), *idle(5), held=[])
    inside = [Step(edge=".executor", type="x.ProcessPoolExecutor")]
    row = holder("scorer", 8, type_name="x.ProcessPoolExecutor", path=inside)
    found = one_of(with_processes(recording, [process(8)], row))
    assert [one.expr for one in found.holders] == ["scorer.executor"]
    assert found.fix == "scorer.executor.shutdown()"

    recording = notebook(Cell("jobs"), *idle(5), held=[])
    step = [Step(edge="[key]", type="subprocess.Popen")]
    rows = [holder("jobs", pid, type_name="subprocess.Popen", path=step) for pid in (8, 9)]
    found = one_of(with_processes(recording, [process(8), process(9)], *rows))
    assert found.exclusive_bytes == 40 * MB
    assert [one.expr for one in found.holders] == ["jobs"]
    assert found.fix.splitlines() == [
        "for one in jobs.values():", "    one.terminate()", "    one.wait()"
    ]  # fmt: skip


def test_what_a_process_started_belongs_to_it() -> None:
    recording = notebook(Cell("job"), *idle(5), held=[])
    rows = [process(8, 1), process(9, 30, parent=8)]
    found = one_of(with_processes(recording, rows, holder("job", 8, type_name="subprocess.Popen")))
    assert found.exclusive_bytes == 31 * MB
    assert [one.expr for one in found.holders] == ["job"]


def test_a_process_without_a_name_is_judged_by_the_cells_since_it_started() -> None:
    recording = with_processes(notebook(Cell("x"), *idle(5), held=[]), [process(8)])
    found = one_of(recording)
    assert [(one.root, one.expr) for one in found.holders] == [("child-process", "process 8")]
    assert found.fix == "!kill 8"
    assert findings(with_processes(notebook(Cell("x"), *idle(4), held=[]), [process(8)])) == []


def test_the_fingerprint_does_not_know_the_process() -> None:
    one = one_of(with_processes(notebook(Cell("x"), *idle(5), held=[]), [process(8)]))
    other = one_of(with_processes(notebook(Cell("x"), *idle(5), held=[]), [process(77)]))
    assert one.fingerprint == other.fingerprint


def reused(timeout: float | None, megabytes: float) -> Recording:
    recording = notebook(Cell("x"), *idle(5), held=[])
    expr = "joblib.externals.loky.get_reusable_executor()"
    row = holder(expr, 8, root="module", type_name="loky._ReusablePoolExecutor", timeout=timeout)
    return with_processes(recording, [process(8, megabytes)], row)


def test_reused_workers_that_end_by_themselves_are_advice_where_they_hold_much() -> None:
    assert findings(reused(300.0, 90)) == []
    assert told(reused(300.0, 120))[0][:2] == ("MP503", "advice")
    found = one_of(reused(None, 20))
    assert found.status == "suspect"
    assert found.fix.endswith("get_reusable_executor().shutdown(wait=True)")


def test_a_script_is_judged_at_its_end_only() -> None:
    def ended(reason: str, **fields: Any) -> Recording:
        recording = with_processes(program(), [process(8, **fields)])
        recording.snapshots[-1].reason = reason
        return recording

    assert told(ended("exit")) == [("MP503", "suspect", "process 8", 20)]
    assert findings(ended("request")) == []
    assert findings(ended("exit", waits=False)) == []
    assert findings(ended("exit", session=8)) == []  # a service of its own


def test_nobody_looked_is_not_nothing_there() -> None:
    recording = pooled(*idle(9))
    recording.snapshots[-1].processes = None
    assert findings(recording) == []
