"""Executors, broadcasts, blocks, streams and the JVM of a real application, read beside it."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import psutil
import pytest
import spark_clusters
from kernels import PATIENCE, Kernel

READING = """
from memprobe_probes import (
    roots, spark_blocks, spark_broadcasts, spark_caches, spark_counts, spark_executors,
    spark_frames, spark_holders, spark_jvm, spark_session, spark_streams,
)
from memprobe_probes.jvm_wire import Gateway

found = spark_session.find()
gateway = Gateway(found.address, found.port, found.token, timeout=20.0)
driver = spark_session.Driver(found, gateway)
driver.identify()
executors = spark_executors.Executors(driver.app)
known = spark_broadcasts.Broadcasts(False)

def reading(part):
    with gateway.scope():
        return part()

def read_executors():
    rows = executors.read(driver, spark_jvm.pid_on_this_host(gateway))
    return {row["id"]: row for row in rows}

def read_broadcasts():
    frames = spark_frames.Frames()
    frames.look(driver.found)
    frames.learn(driver, 10.0, trees=False)
    names = spark_holders.names_of(roots.named_roots(get_ipython()))
    held = spark_broadcasts.held(frames, names)
    return known.read(gateway, held, spark_blocks.listed(driver), 1, None)

def read_counts():
    return spark_counts.read(driver, spark_caches.session(driver))

def read_streams():
    return spark_streams.read(gateway, spark_caches.session(driver))
"""
SPILL = "spark.shuffle.spill.numElementsForceSpillThreshold"
PYTHON_JOB = "sc.parallelize(range(4), 2).map(lambda one: one + 1).sum()"
STREAM = """
from pyspark.sql import functions
ticks = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 10).load()
counted = ticks.groupBy(ticks.value % 5).count()
secret_name = counted.writeStream.format("noop").outputMode("complete").queryName("secret").start()
while not secret_name.lastProgress or not secret_name.lastProgress["stateOperators"]:
    assert secret_name.isActive, secret_name.exception()
    import time
    time.sleep(0.1)
"""

Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with a session on two executors that are JVMs of their own."""
    folder = tmp_path_factory.mktemp("spark")
    cluster = spark_clusters.local_cluster(folder)
    with cluster.kernel(folder) as running:
        running.run(cluster.session(**{SPILL: "10000"}))
        running.run(PYTHON_JOB)
        running.run(READING)
        yield running
        running.run("gateway.close(); spark.stop()", may_fail=True)


@pytest.fixture
def read(kernel: Kernel) -> Read:
    """Take one part of a reading; returns plain data."""
    return lambda part: kernel.value(f"reading({part})")


def of_broadcast(read: Read, number: int) -> dict[str, Any] | None:
    return next((row for row in read("read_broadcasts") if row["id"] == number), None)


def test_executors_with_their_storage_and_processes(kernel: Kernel, read: Read) -> None:
    kernel.run("kept = spark.range(100_000).cache(); kept.count()")
    rows = read("read_executors")
    assert set(rows) == {"0", "1", "driver"}
    own = {process.pid: process for process in spark_clusters.executors_below(kernel.pid)}
    assert len(own) == 2
    sizes = [process.memory_info().rss for process in own.values()]
    for name in ("0", "1"):
        row = rows[name]
        assert row["active"]
        assert row["rss_by"] == "proc"
        assert row["used"] + row["remaining"] == row["max"]
        assert any(abs(row["jvm_rss"] - size) < size / 4 for size in sizes)
        assert row["workers"] >= 2  # a daemon and what it started
        assert row["python_rss"] > 10 << 20
        assert row["spilled"] == 0
    assert sum(row["used"] for row in rows.values()) > 100_000
    assert rows["driver"]["jvm_rss"] > 100 << 20
    assert rows["driver"]["workers"] == 0


def test_blocks_are_what_spark_says_of_its_rdds(kernel: Kernel, read: Read) -> None:
    kernel.run("kept = spark.range(100_000).cache(); kept.count()")
    infos = (
        "[(i.id(), i.memSize(), i.numCachedPartitions()) for i in sc._jsc.sc().getRDDStorageInfo()]"
    )
    told = kernel.value(infos)
    found = read("lambda: spark_blocks.listed(driver).of('rdd')")
    assert {number: sum(one[0] for one in sizes.values()) for number, sizes in found.items()} == {
        number: size for number, size, _ in told
    }
    kinds = read("lambda: {row['kind']: row for row in spark_blocks.listed(driver).by_kind()}")
    assert kinds["rdd"]["count"] == sum(count for _, _, count in told)
    assert kinds["rdd"]["memory"] == sum(size for _, size, _ in told)


def test_a_broadcast_with_all_its_copies(kernel: Kernel, read: Read) -> None:
    kernel.run("import os; lookup = sc.broadcast(os.urandom(3_000_000))")
    number = kernel.value("lookup._jbroadcast.id()")
    row = of_broadcast(read, number)
    assert row is not None
    assert 3_000_000 <= row["file"] < 3_100_000
    assert not row["value"]
    assert [one["expr"] for one in row["holders"]] == ["lookup"]
    assert set(row["executors"]) == {"driver"}

    kernel.run("sc.parallelize(range(4), 4).map(lambda one: len(lookup.value)).sum(); lookup.value")
    row = of_broadcast(read, number)
    assert row is not None
    assert row["value"]
    assert len(row["executors"]) > 1
    assert row["memory"] > 6_000_000

    kernel.run("lookup.unpersist(blocking=True)")
    row = of_broadcast(read, number)
    assert row is not None
    assert set(row["executors"]) == {"driver"}
    assert row["file"]

    kernel.run("lookup.destroy(blocking=True)")
    row = of_broadcast(read, number)
    assert row is not None
    assert row["destroyed"]
    assert row["value"]  # the Python process has its copy still
    assert (row["memory"], row["disk"], row["file"]) == (0, 0, None)


def test_a_broadcast_without_a_name(kernel: Kernel, read: Read) -> None:
    kernel.run("import gc; lost = sc.broadcast(list(range(1000)))")
    number = kernel.value("lost._jbroadcast.id()")
    assert of_broadcast(read, number)
    kernel.run("del lost; gc.collect()")
    row = of_broadcast(read, number)
    assert row is not None
    assert row["holders"] == []
    assert row["memory"] > 0
    kernel.run("lines = sc.textFile(__import__('os').devnull); lines.getNumPartitions()")
    listed = read("lambda: sorted(spark_blocks.listed(driver).of('broadcast'))")
    rows = {row["id"] for row in read("read_broadcasts")}
    assert set(listed) - rows, "the settings that Spark reads files with are one too, and no row"


def test_the_jvm(kernel: Kernel, read: Read) -> None:
    kernel.run("sc._jvm.System.gc()")
    jvm = spark_clusters.driver_jvm(kernel)
    before = jvm.memory_info().rss  # its heap may shrink behind the collection
    row = read("lambda: spark_jvm.read(gateway)")
    known = sorted([before, jvm.memory_info().rss])
    assert row["pid"] == jvm.pid
    assert known[0] - (64 << 20) < row["rss"] < known[1] + (64 << 20)
    assert 10 << 20 < row["heap_after_gc"] <= row["heap_committed"] <= row["heap_max"]
    assert row["heap_used"] <= row["heap_committed"]
    assert sum(row["pools"].values()) > row["heap_used"] * 0.8
    assert row["collections"] > 0
    assert row["threads"] > 10
    assert row["classes"] > 1000
    assert set(row["buffers"]) == {"direct", "mapped"}


def test_reading_keeps_nothing_more_each_time(kernel: Kernel, read: Read) -> None:
    parts = ["read_executors", "read_broadcasts", "read_counts", "read_streams"]
    parts.append("lambda: spark_jvm.read(gateway)")
    for part in parts:
        read(part)
    before = read("lambda: gateway.held")
    counts = read("read_counts")
    for part in parts:
        read(part)
    assert read("lambda: gateway.held") == before
    # Fewer, where Python has collected what a test before this one had made.
    assert read("read_counts")["jvm_objects"] <= counts["jvm_objects"]


def test_counts(kernel: Kernel, read: Read) -> None:
    before = read("read_counts")
    kernel.run("total = sc.accumulator(0); spark.range(10).count(); " + PYTHON_JOB)
    after = read("read_counts")
    assert after["accumulators"] == before["accumulators"] + 1
    assert after["executions"] == before["executions"] + 1
    assert after["jobs"] >= before["jobs"] + 2
    assert after["stages"] >= before["stages"] + 2
    kernel.run("many = [spark.range(one) for one in range(50)]")
    more = read("read_counts")
    assert more["python_objects"] >= after["python_objects"] + 50
    assert more["jvm_objects"] >= after["jvm_objects"] + 50
    kernel.run("del many; gc.collect()")


RESTING = """
import gc
from memprobe_probes.spark import SparkReader

written = []
reader = SparkReader(
    lambda kind, **fields: written.append((kind, fields)), 0.0001, lambda: 0, get_ipython()
)
reader.read("cell")  # the rest that it takes after this lasts for the whole test
assert reader.due() is None
written.clear()
kept = []

def round(number):
    kept.extend(sc._jvm.java.util.ArrayList() for _ in range(2000))
    sc._jvm.System.gc()
    reader.cell_ended(number)
"""


def test_each_round_has_its_level_though_a_reading_is_not_due(kernel: Kernel) -> None:
    kernel.run(RESTING)
    kernel.run("reader.settle()")
    for number in range(1, 5):
        kernel.run(f"round({number})")
        if number == 2:  # the others wait, as they do where cells follow one another
            kernel.run("reader.settle()")
    assert kernel.value("reader.due()") is None
    kernel.run("spark.range(10).count(); sc._jvm.System.gc(); reader.read('cell')")
    rows = kernel.value("[fields for kind, fields in written if kind == 'jvm-level']")
    kernel.run("reader.close(); kept.clear(); gc.collect()")
    assert [row["cell"] for row in rows] == [1, 2, 3, 4]
    assert all(after["t"] > before["t"] for before, after in pairwise(rows))
    assert all(after["collections"] > before["collections"] for before, after in pairwise(rows))
    more = [after["jvm_objects"] - before["jvm_objects"] for before, after in pairwise(rows)]
    assert all(1800 < one < 2200 for one in more), more
    held = [after["python_objects"] - before["python_objects"] for before, after in pairwise(rows)]
    assert held == [2000, 2000, 2000]
    assert len({row["heap_after_gc"] for row in rows}) == 4, "each has that of its own collection"
    assert all(10 << 20 < row["heap_after_gc"] < 1 << 30 for row in rows)
    assert all(0 <= row["stored"] < 100 << 20 for row in rows)
    assert all(row["t"] - 60 * 10**9 < row["collected"] < row["t"] + 10**9 for row in rows)
    assert len({row["jobs"] for row in rows}) == 1, "the job came after the last of them"


def test_histogram_only_where_it_was_asked_for(read: Read) -> None:
    rows = read("lambda: spark_jvm.histogram(gateway, 20)")
    assert len(rows) == 20
    assert "[B" in [row["type"] for row in rows]
    assert rows == sorted(rows, key=lambda row: -row["bytes"])


def test_a_snapshot_counts_classes_where_asked_and_leaves_the_jvm_as_it_was(
    kernel: Kernel, read: Read
) -> None:
    before = read("read_counts")
    told = {asked: snapshot(kernel, *asked) for asked in ((), ("--jvm-histogram",))}
    assert told[()]["spark"]["jvm"]["classes_by_bytes"] == []
    rows = told["--jvm-histogram",]["spark"]["jvm"]["classes_by_bytes"]
    assert len(rows) == 50
    assert "[B" in [name for name, _, _ in rows]
    after = read("read_counts")
    assert after["jobs"] == before["jobs"]
    assert after["jvm_objects"] <= before["jvm_objects"]


def snapshot(kernel: Kernel, *options: str) -> Any:
    found = subprocess.run(
        [sys.executable, "-m", "memprobe", "snapshot", str(kernel.pid), "--quiet",
         "--output-format", "json", *options],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_a_streaming_query_with_its_state(kernel: Kernel, read: Read) -> None:
    assert read("read_streams") == []
    kernel.run(STREAM)
    (row,) = read("read_streams")
    assert row["active"]
    assert row["batches"] >= 0
    assert row["state_rows"] == 5
    assert row["state_bytes"] > 0
    assert row["id"] == kernel.value("secret_name.id")
    assert "secret" not in str(row)
    kernel.run("secret_name.stop()")
    assert read("read_streams") == []


def test_bytes_that_were_spilled(kernel: Kernel, read: Read) -> None:
    kernel.run(
        "spark.range(50_000).selectExpr('uuid() AS text').sort('text')"
        ".write.format('noop').mode('overwrite').save()"
    )
    rows = read("read_executors")
    told = kernel.value(
        "[sc._jsc.sc().statusStore().lastStageAttempt(one).diskBytesSpilled()"
        " for one in sc.statusTracker().getJobInfo(max(sc.statusTracker().getJobIdsForGroup()))"
        ".stageIds]"
    )
    assert 0 < sum(told) == sum(row["spilled"] for row in rows.values())


def test_an_executor_that_was_killed(kernel: Kernel, read: Read) -> None:
    victim = next(
        process
        for process in spark_clusters.executors_below(kernel.pid)
        if process.cmdline()[process.cmdline().index("--executor-id") + 1] == "0"
    )
    os.kill(victim.pid, signal.SIGKILL)
    psutil.wait_procs([victim], spark_clusters.PATIENCE)
    spark_clusters.until(lambda: not read("read_executors")["0"]["active"], "executor 0 is lost")
    row = read("read_executors")["0"]
    assert row["removed"] == "exited 137"
    assert (row["used"], row["blocks"]) == (0, 0)
    assert row.get("rss_by") != "proc"
    assert ast.literal_eval(repr(row)) == row  # plain data, and no handle of the JVM
