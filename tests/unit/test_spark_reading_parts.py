"""What Spark and its JVM print, and what of it goes into a reading."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import types
from typing import Any

import pytest

from memprobe_probes import (
    spark_blocks,
    spark_broadcasts,
    spark_connect,
    spark_counts,
    spark_executors,
    spark_jvm,
    spark_workers,
)
from memprobe_probes.jvm_answers import JvmError
from memprobe_probes.roots import Root
from memprobe_probes.spark_holders import Name, Names

STORED = """\
broadcast_4_piece0 -> BlockStatus(StorageLevel(memory, 1 replicas),6380,0)
broadcast_3_python -> BlockStatus(StorageLevel(disk, 1 replicas),0,368931)
rdd_4_1 -> BlockStatus(StorageLevel(disk, memory, deserialized, 1 replicas),101856,7)
rdd_14_1 -> BlockStatus(StorageLevel(disk, memory, deserialized, 1 replicas),10,0)
input-0-1700000000000 -> BlockStatus(StorageLevel(memory, 1 replicas),5,0)
shuffle_1_2_3 -> BlockStatus(StorageLevel(disk, 1 replicas),0,9)
taskresult_9 -> BlockStatus(StorageLevel(memory, 1 replicas),8,0)
cache_0b6f_1 -> BlockStatus(StorageLevel(memory, 1 replicas),3,0)"""


def blocks(**by_executor: str) -> spark_blocks.Blocks:
    rows = [row for pair in by_executor.items() for row in spark_blocks.parsed(*pair)]
    return spark_blocks.Blocks(rows)


def test_blocks_by_kind() -> None:
    found = {row["kind"]: row for row in blocks(one=STORED, two="").by_kind()}
    assert found["rdd"] == {"kind": "rdd", "count": 2, "memory": 101866, "disk": 7}
    assert found["broadcast"] == {"kind": "broadcast", "count": 2, "memory": 6380, "disk": 368931}
    assert {kind: row["count"] for kind, row in found.items()} == {
        "rdd": 2, "broadcast": 2, "stream": 1, "shuffle": 1, "task": 1, "other": 1,
    }  # fmt: skip


def test_blocks_of_one_rdd_are_not_those_of_another() -> None:
    found = blocks(one=STORED, two=STORED)
    assert found.of("rdd") == {
        4: {"one": [101856, 7], "two": [101856, 7]}, 14: {"one": [10, 0], "two": [10, 0]},
    }  # fmt: skip
    assert found.of("broadcast")[3] == {"one": [0, 368931], "two": [0, 368931]}


def test_storage_memory_per_executor() -> None:
    text = "localhost:38069 -> (455501414,454947148)\n[::1]:7 -> (5,4)"
    assert spark_executors.rooms(text) == {
        "localhost:38069": (455501414, 454947148),
        "[::1]:7": (5, 4),
    }
    assert spark_executors.rooms("") == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Command exited with code 137", "exited 137"),
        ("Executor process exited with exit code 52.", "exited 52"),
        ("Executor heartbeat timed out after 130000 ms", "heartbeat timed out"),
        ("Container killed by YARN for exceeding memory limits. 5 GB used", "out of memory"),
        ("Executor killed by driver.", "killed"),
        ("Remote RPC client disassociated. Likely due to containers exceeding", "lost"),
        ("Executor decommission: worker decommissioned at 10.1.2.3", "decommissioned"),
        ("Worker spark://worker@10.1.2.3:4 said secret", "other"),
    ],
)
def test_why_an_executor_is_gone_is_one_of_our_words(text: str, word: str) -> None:
    assert spark_executors.reason_word(text) == word


def test_memory_usage() -> None:
    text = "init = 25(0K) used = 17(0K) committed = 26(0K) max = -1(-1K)"
    assert spark_jvm.usage(text) == {"init": 25, "used": 17, "committed": 26, "max": -1}
    assert spark_jvm.usage(None) == {}


def test_memory_after_a_collection() -> None:
    usage = "init = 0(0K) used = {}(0K) committed = 9(0K) max = -1(-1K)"
    text = f"{{CodeHeap 'profiled nmethods'={usage.format(3)}, G1 Old Gen={usage.format(64)}}}"
    assert spark_jvm.after_collection(text) == {"CodeHeap 'profiled nmethods'": 3, "G1 Old Gen": 64}


def test_class_histogram() -> None:
    text = (
        " num     #instances         #bytes  class name (module)\n"
        "-------------------------------------------------------\n"
        "   1:        136035       32854392  [B (java.base@17.0.15)\n"
        "Total        136035       32854392\n"
    )
    assert spark_jvm.classes(text) == [{"type": "[B", "count": 136035, "bytes": 32854392}]


def test_processes_that_threads_started_are_children() -> None:
    if spark_workers.children(os.getpid()) is None:
        pytest.skip("this Linux does not tell the children of a thread")
    began: list[subprocess.Popen[bytes]] = []
    there, seen = threading.Event(), threading.Event()

    def start() -> None:
        line = [sys.executable, "-c", "input()"]
        began.append(subprocess.Popen(line, stdin=subprocess.PIPE))
        there.set()
        seen.wait(60)  # the children of a thread that ended are another's

    thread = threading.Thread(target=start)
    thread.start()
    assert there.wait(60)
    (child,) = began
    try:
        assert child.pid in (spark_workers.children(os.getpid()) or [])
        assert spark_workers.parent(child.pid) == os.getpid()
        assert spark_workers.rss(child.pid)
    finally:
        seen.set()
        child.communicate(b"\n")
        thread.join()
    assert spark_workers.started(child.pid) == ""


def test_an_executor_is_known_by_its_command() -> None:
    program = "import sys; print(flush=True); input()"
    options = ["--executor-id", "7", "--app-id", "app-of-this-test"]
    line = ["java", "-c", program, *options]  # its name alone: a Python that is called java
    with subprocess.Popen(
        line, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert list(spark_workers.executors(b"app-of-this-test")) == [("7", child.pid)]
        assert list(spark_workers.executors(b"app-of-another")) == []
        rows: list[dict[str, Any]] = [{"id": "7"}, {"id": "8"}, {"id": "driver"}]
        spark_workers.ExecutorProcesses("app-of-this-test").measure(rows, None)
        child.communicate(b"\n")
    assert rows[0]["rss_by"] == "proc"
    assert rows[0]["jvm_rss"] > 0
    assert rows[1:] == [{"id": "8"}, {"id": "driver"}]


class Jvm:
    """Answers like a gateway to a JVM that knows these broadcasts: id → valid."""

    def __init__(self, **known: tuple[int, bool]) -> None:
        self.known = known

    def calls(self, wanted: Any) -> list[Any]:
        return [self._one(target.id, method) for target, method in wanted]

    def _one(self, java: str, method: str) -> Any:
        if java not in self.known:
            return JvmError("py4j.Py4JException")
        return self.known[java][0 if method == "id" else 1]


class Frames:
    def __init__(self, *java: str) -> None:
        self.java = list(java)

    def of_kind(self, kind: str) -> list[str]:
        return self.java if kind == "TorrentBroadcast" else []

    def is_held(self, java: str) -> bool:
        return java in self.java


def read(
    broadcasts: spark_broadcasts.Broadcasts, jvm: Jvm, frames: Frames, names: Names,
    stored: spark_blocks.Blocks | None,
) -> list[dict[str, Any]]:  # fmt: skip
    held = spark_broadcasts.held(frames, names)  # type: ignore[arg-type]
    return broadcasts.read(jvm, held, stored, 5, 2)  # type: ignore[arg-type]


def test_broadcast_with_its_copies_and_names(tmp_path: Any) -> None:
    file = tmp_path / "value"
    file.write_bytes(bytes(100))
    names = Names()
    names.by_java["o1"] = [Name("lookup", "notebook-namespace", None)]
    names.broadcasts["o1"] = (str(file), True)
    known = spark_broadcasts.Broadcasts(True)
    (row,) = read(known, Jvm(o1=(3, True)), Frames("o1"), names, blocks(one=STORED))
    assert row == {
        "id": 3, "file": 100, "value": True, "destroyed": False, "cell": 2, "since": 5,
        "memory": 0, "disk": 368931, "executors": {"one": [0, 368931]},
        "holders": [{"expr": "lookup", "root": "notebook-namespace"}],
    }  # fmt: skip


def test_broadcast_whose_name_is_gone_stays_while_it_is_stored() -> None:
    known = spark_broadcasts.Broadcasts(False)
    (row,) = read(known, Jvm(o1=(3, True)), Frames("o1"), Names(), blocks(one=STORED))
    assert row["holders"] == [{"expr": "?", "root": "interpreter"}]
    assert row["since"] is None  # it was there before us
    (row,) = read(known, Jvm(), Frames(), Names(), blocks(one=STORED))
    assert (row["id"], row["holders"], row["disk"]) == (3, [], 368931)
    (row,) = read(known, Jvm(), Frames(), Names(), None)
    assert (row["id"], row["memory"], row["disk"]) == (3, None, None)
    assert read(known, Jvm(), Frames(), Names(), blocks()) == []
    assert read(known, Jvm(), Frames(), Names(), blocks(one=STORED)) == []


def test_blocks_of_an_earlier_reading_say_nothing_of_a_broadcast() -> None:
    earlier = blocks(one=STORED)
    earlier.t = 4
    known = spark_broadcasts.Broadcasts(False)
    (row,) = read(known, Jvm(o1=(3, True)), Frames("o1"), Names(), earlier)
    assert (row["memory"], row["disk"], row["executors"]) == (None, None, {})


def test_broadcast_that_spark_made_is_no_row() -> None:
    known = spark_broadcasts.Broadcasts(False)
    assert read(known, Jvm(), Frames(), Names(), blocks(one=STORED)) == []


def test_what_is_not_loaded_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyspark.accumulators", "py4j.finalizer"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert spark_counts.accumulators() is None
    assert spark_counts.python_objects() is None


def test_accumulators_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("pyspark.accumulators")
    module._accumulatorRegistry = {0: object(), 1: object(), -1: object()}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert spark_counts.accumulators() == 2


class Client:
    def __init__(self, closed: bool) -> None:
        self._closed = closed


class Session:
    _default_session: Any = None

    def __init__(self, closed: bool = False) -> None:
        self._client = Client(closed)

    @property
    def version(self) -> str:
        raise AssertionError("would be a call to the server")


def test_connect_sessions_that_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spark_connect.read(1, []) is None
    module: Any = types.ModuleType(spark_connect.MODULE)
    module.SparkSession = Session
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert spark_connect.read(1, []) is None
    monkeypatch.setattr(Session, "_default_session", Session())
    found = [Session._default_session, Session(), Session(closed=True), 5]
    roots = [Root("notebook-namespace", f"x{at}", one) for at, one in enumerate(found)]
    fields = spark_connect.read(1, roots)
    assert fields is not None
    assert (fields["mode"], fields["sessions"]) == ("connect", 2)
    assert "caches" not in fields
    assert "Spark caches" in [one["what"] for one in fields["unmeasured"]]
