"""What the probe reads of child processes: real ones, and the names that lead to them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from memprobe_probes import child_processes, process_owners
from memprobe_probes.roots import Root

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux's /proc")
MB = 10**6
WAITS = "x = bytearray(b'x' * 30_000_000); print('ready', flush=True); input()"
WORKS = "x = bytearray(b'x' * 30_000_000); print('ready', flush=True)\nwhile True: pass"


@pytest.fixture(scope="module")
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    yield from started(WAITS)


@pytest.fixture(scope="module")
def working() -> Iterator[subprocess.Popen[bytes]]:
    yield from started(WORKS)


def started(program: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        job.stdout.readline()
        yield job
        job.kill()


def row_of(pid: int) -> dict[str, Any]:
    rows = child_processes.rows()
    assert rows is not None
    [row] = [one for one in rows if one["pid"] == pid]
    return row


def test_a_process_is_told_with_what_is_its_own(waiting: subprocess.Popen[bytes]) -> None:
    row = row_of(waiting.pid)
    assert (row["parent"], row["role"], row["listens"]) == (os.getpid(), "child", False)
    assert 30 * MB < row["private"] <= row["pss"] <= row["rss"] < 80 * MB
    assert 0 < (time.monotonic_ns() - row["started"]) / 1e9 < 600


def test_who_sleeps_waits_and_who_computes_does_not(
    waiting: subprocess.Popen[bytes], working: subprocess.Popen[bytes]
) -> None:
    deadline = time.monotonic() + 60
    while not row_of(waiting.pid)["waits"]:  # the interpreter may still be on its way there
        assert time.monotonic() < deadline
    assert row_of(working.pid)["waits"] is False


def test_a_forked_child_shares_its_parents_pages_and_is_not_charged_for_them() -> None:
    own = bytearray(b"x" * 40_000_000)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    ended = context.Event()
    child = context.Process(target=lambda: (ready.set(), ended.wait()))
    child.start()
    try:
        assert ready.wait(60)
        row = row_of(child.pid or 0)
        assert row["rss"] >= row["private"] + 35 * MB
        assert len(own) == 40_000_000
    finally:
        ended.set()
        child.join()


def test_a_process_that_is_gone_is_left_out() -> None:
    job = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    rows = child_processes.rows()
    assert rows is not None
    assert job.pid not in [one["pid"] for one in rows]
    job.wait()
    assert child_processes.stat(job.pid) is None
    assert child_processes.run_ns(job.pid) is None


def test_without_proc_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_processes.spark_workers, "children", lambda pid: None)
    assert child_processes.rows() is None


class Runner:
    def __init__(self, executor: Any) -> None:
        self.executor = executor


class Hostile:
    """Whoever runs a line of this ends the process."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __getattribute__(self, name: str) -> Any:
        os._exit(77)

    def __eq__(self, other: object) -> bool:
        os._exit(78)

    def __hash__(self) -> int:
        os._exit(79)

    def __len__(self) -> int:
        os._exit(80)


def found(pids: list[int], **names: Any) -> list[dict[str, Any]]:
    roots = [Root("notebook-namespace", expr, obj) for expr, obj in names.items()]
    rows = process_owners.holders(pids, roots)
    assert roots == []
    return [row for row in rows if row["root"] == "notebook-namespace"]


def edges(row: dict[str, Any]) -> str:
    return row["expr"] + "".join(step["edge"] for step in row["path"])


def test_names_lead_to_processes_through_containers_and_attributes(
    waiting: subprocess.Popen[bytes],
) -> None:
    rows = found(
        [waiting.pid], job=waiting, jobs=[waiting], by_name={"north": waiting},
        runner=Runner([waiting]), other="text", number=waiting.pid,
    )  # fmt: skip
    assert sorted(map(edges, rows)) == [
        "by_name[key]", "job", "jobs[0]", "runner.executor[0]"
    ]  # fmt: skip
    assert {row["type"] for row in rows} == {"subprocess.Popen"}
    assert {tuple(row["pids"]) for row in rows} == {(waiting.pid,)}


def test_a_hostile_object_is_not_asked_anything(waiting: subprocess.Popen[bytes]) -> None:
    rows = found([waiting.pid], trap=Hostile(waiting), traps={"a": [Hostile(waiting)]})
    assert sorted(map(edges, rows)) == ["trap.job", "traps[key][0].job"]


def test_a_search_ends_though_the_heap_is_large_and_goes_in_circles(
    waiting: subprocess.Popen[bytes],
) -> None:
    ring: list[Any] = [list(range(100)) for _ in range(100_000)]
    ring.append(ring)
    began = time.thread_time()
    assert found([waiting.pid], ring=ring) == []
    assert time.thread_time() - began < 2


def test_a_pool_and_an_executor_are_told_as_such_and_left_as_they_are() -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool, ProcessPoolExecutor(1, context) as executor:
        assert pool.map(abs, [-1]) == [1]
        assert executor.submit(abs, -1).result() == 1
        runner = Runner(executor)
        children = {one.pid for one in multiprocessing.active_children()}
        gc.collect()
        before = sys.getrefcount(pool), sys.getrefcount(executor), vars(pool).keys()
        rows = found([pid for pid in children if pid], pool=pool, runner=runner)
        assert (sys.getrefcount(pool), sys.getrefcount(executor), vars(pool).keys()) == before
        by_edge = {edges(row): row for row in rows}
        assert by_edge["pool"]["type"] == "multiprocessing.pool.Pool"
        assert len(by_edge["pool"]["pids"]) == 2
        assert by_edge["runner.executor"]["type"].endswith(".ProcessPoolExecutor")
        assert by_edge["runner.executor"]["pending"] == 0
        assert pool.map(abs, [-2]) == [2]
        pool.terminate()
        pool.join()
