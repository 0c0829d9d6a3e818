"""A Spark application notices nothing of the probe, and the probe survives what happens to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import spark_clusters
from kernels import Kernel
from running import HOST, PROGRAMS
from spark_clusters import Cluster, until

from memprobe.recording.reader import read
from memprobe.recording.schema import Jvm, Spark
from memprobe.targets.kernel import Attachment, AttachOptions, attach

STATE = f"import sys; sys.path.insert(0, {str(PROGRAMS / 'spark')!r}); import driver_state"
RELEASED = 1.2  # seconds: py4j's own thread lets go of objects once per second
SLOW = 60.0  # seconds until a command must have answered
JOB = """
orders = spark.range(20_000).selectExpr("id", "id % 7 AS shop", "id * 3 AS amount")
names = spark.createDataFrame([(n, f"shop {n}") for n in range(7)], "shop int, name string")
rows = (orders.filter("amount % 2 = 0").join(names, "shop").groupBy("name")
        .agg({"amount": "sum"}).orderBy("name").collect())
result = [tuple(row) for row in rows]
"""
# A job whose task waits for a file, so that a test says when it ends.
HELD = """
import os, time
def held(rows):
    while not os.path.exists({gate!r}):
        time.sleep(0.02)
    return rows
print("begun", flush=True)
total = sc.parallelize(range(100), {parts}).mapPartitions(held).sum()
"""


@dataclass
class Driver:
    """A kernel with a session, followed by an attachment in each test."""

    kernel: Kernel
    cluster: Cluster

    @property
    def jvm(self) -> psutil.Process:
        return spark_clusters.driver_jvm(self.kernel)


def attached(kernel: Kernel, path: Path, **options: Any) -> Attachment:
    chosen = AttachOptions(output=path, program="etl.ipynb", interval=0.5, **options)
    return attach(kernel.connection_file, kernel.pid, chosen)


def readings(records: list[Any]) -> list[Spark]:
    return [record for record in records if isinstance(record, Spark)]


def has(met: Callable[[Spark], object]) -> Callable[[list[Any]], bool]:
    return lambda records: any(met(reading) for reading in readings(records))


def errors(path: Path) -> list[str | None]:
    return [event.detail for event in read(path).events if event.event == "probe-error"]


@pytest.fixture(scope="module", params=["true", "false"], ids=["pinned", "unpinned"])
def driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """A session in local mode, in both of the ways that pyspark can talk to its JVM."""
    folder = tmp_path_factory.mktemp("local")
    cluster = spark_clusters.local(folder)
    with cluster.kernel(folder, PYSPARK_PIN_THREAD=request.param) as kernel:
        kernel.run(cluster.session(**{"spark.scheduler.mode": "FAIR"}))
        kernel.run(STATE)
        kernel.run("sc.setLogLevel('WARN'); sc.setLocalProperty('spark.scheduler.pool', 'mine')")
        kernel.run("sc.setJobGroup('mine', 'a group of the notebook')")
        kernel.run("cached = spark.range(1000).cache(); assert cached.count() == 1000")
        kernel.run(JOB)
        yield Driver(kernel, cluster)


def settled(kernel: Kernel) -> int:
    """Return how many objects the JVM keeps for Python once py4j has let go of the rest."""
    seen: list[int] = []

    def look() -> bool:
        time.sleep(RELEASED)
        seen.append(kernel.value("driver_state.bindings(sc)"))
        return len(seen) > 2 and seen[-1] == seen[-2]

    until(look, "py4j lets go of what it has")
    return seen[-1]


def connections(driver: Driver) -> int:
    """Return how many connections the kernel has to its JVM."""
    port = driver.kernel.value("sc._gateway.gateway_parameters.port")
    found = psutil.Process(driver.kernel.pid).net_connections("tcp")
    return sum(1 for one in found if one.raddr and one.raddr.port == port)


def test_nothing_is_left_of_a_visit(driver: Driver, tmp_path: Path) -> None:
    kernel = driver.kernel
    kernel.value("driver_state.seen(spark)")  # what the first look loads is there from then on
    before, objects = kernel.value("driver_state.seen(spark)"), settled(kernel)
    wires = connections(driver)
    result = kernel.value("result")
    assert "spark.scheduler.pool=mine" in before["properties"]
    assert before["log_level"] == "WARN"
    attachment = attached(kernel, tmp_path / "a.memprobe")
    records = kernel.wait_for(attachment, has(lambda one: one.caches))
    assert attachment.ask("snapshot", timeout=SLOW) is not None
    during = kernel.value("driver_state.seen(spark)")
    attachment.detach()
    after = kernel.value("driver_state.seen(spark)")
    assert readings(records)[-1].caches[0].partitions == readings(records)[-1].caches[0].cached
    differ = {name for name in before if not before[name] == during[name] == after[name]}
    assert not differ, {name: (before[name], during[name], after[name]) for name in differ}
    until(lambda: settled(kernel) <= objects, "the JVM keeps nothing for the probe")
    assert connections(driver) == wires
    jobs = kernel.value("sc._jsc.sc().dagScheduler().numTotalJobs()")
    kernel.run(JOB)
    assert kernel.value("result") == result
    # The user's own job still runs under the user's own group.
    assert kernel.value("sc._jsc.sc().dagScheduler().numTotalJobs()") > jobs
    assert kernel.value("len(driver_state.seen(spark)['jobs_of_group'])") > len(
        before["jobs_of_group"]
    )
    assert not errors(tmp_path / "a.memprobe")


def test_readings_come_while_an_action_runs(driver: Driver, tmp_path: Path) -> None:
    kernel, gate = driver.kernel, tmp_path / "gate"
    cell = kernel.start_cell(HELD.format(gate=str(gate), parts=2))
    kernel.wait_for_output(cell, "begun")
    attachment = attached(kernel, tmp_path / "b.memprobe")
    records = kernel.wait_for(attachment, has(lambda one: one.caches and one.executors))
    assert any(isinstance(record, Jvm) for record in records)
    assert attachment.ask("snapshot", timeout=SLOW) is not None
    gate.touch()
    assert kernel.finish(cell)["status"] == "ok"
    assert kernel.value("total") == 4950
    attachment.detach()
    assert not errors(tmp_path / "b.memprobe")


def test_stopped_jvm_holds_up_neither_memprobe_nor_other_cells(
    driver: Driver, tmp_path: Path
) -> None:
    kernel, jvm = driver.kernel, driver.jvm
    attachment = attached(kernel, tmp_path / "c.memprobe")
    kernel.wait_for(attachment, has(lambda one: one.caches))
    jvm.suspend()
    try:
        until(lambda: jvm.status() == psutil.STATUS_STOPPED, "the JVM stands still")
        began = time.monotonic()
        kernel.run("aside = 1")
        assert time.monotonic() - began < 5.0, "a cell without Spark waited for the JVM"
        assert attachment.ask("status", timeout=SLOW) is not None
        cell = kernel.start_cell("counted = spark.range(10).count()")
        assert attachment.ask("snapshot", timeout=SLOW) is not None
        assert attachment.detach(), "the probe did not hear that it should leave"
        assert attachment.ended is not None
    finally:
        jvm.resume()
    assert kernel.finish(cell)["status"] == "ok"
    assert kernel.value("counted") == 10
    unmeasured = [row for one in read(tmp_path / "c.memprobe").spark for row in one.unmeasured]
    assert any("JVM" in row.why for row in unmeasured)
    assert not errors(tmp_path / "c.memprobe")
    # It can come back, and finds everything as it was.
    again = attached(kernel, tmp_path / "d.memprobe")
    kernel.wait_for(again, has(lambda one: one.caches))
    again.detach()


def test_sessions_that_come_and_go(tmp_path: Path) -> None:
    cluster = spark_clusters.local(tmp_path)
    with cluster.kernel(tmp_path) as kernel:
        attachment = attached(kernel, tmp_path / "e.memprobe")
        kernel.run("early = 1")
        kernel.run(cluster.session())
        first = kernel.value("sc.applicationId")
        seen = kernel.wait_for(attachment, has(lambda one: one.app == first))
        kernel.run("other = spark.newSession(); other.range(5).createOrReplaceTempView('five')")
        seen = kernel.wait_for(attachment, has(lambda one: one.sessions == 2))
        kernel.run("spark.stop()")
        kernel.run(f"del spark, sc, other\n{cluster.session()}")
        second = kernel.value("sc.applicationId")
        assert second != first
        kernel.run("kept = spark.range(100).cache(); kept.count()")
        seen = kernel.wait_for(attachment, has(lambda one: one.app == second and one.caches))
        assert [holder.expr for holder in readings(seen)[-1].caches[0].holders] == ["kept"]
        _kill_jvm(kernel, attachment)
        assert attachment.detach()
    assert not errors(tmp_path / "e.memprobe")


def _kill_jvm(kernel: Kernel, attachment: Attachment) -> None:
    jvm = spark_clusters.driver_jvm(kernel)
    jvm.send_signal(signal.SIGKILL)
    # Its parent does not wait for it.
    until(lambda: jvm.status() == psutil.STATUS_ZOMBIE, "the end of the JVM")
    kernel.run("still_here = 1")
    seen = kernel.wait_for(attachment, has(lambda one: one.unmeasured and one.caches is None))
    assert all(one.caches is None for one in readings(seen)[-1:]), "an unknown is not an empty list"
    assert kernel.run("spark.range(1).count()", may_fail=True)["status"] == "error"
    assert kernel.run("after_all = still_here + 1")["status"] == "ok"


def test_executor_lost_in_the_middle_of_a_job(tmp_path: Path) -> None:
    """On a cluster of processes: a master, two workers, and an executor below each."""
    gate = tmp_path / "gate"
    with (
        spark_clusters.standalone(tmp_path) as cluster,
        cluster.kernel(tmp_path / "kernel") as kernel,
    ):
        kernel.run(cluster.session(**{"spark.executor.cores": "1"}))
        attachment = attached(kernel, tmp_path / "f.memprobe")
        cell = kernel.start_cell(HELD.format(gate=str(gate), parts=4))
        kernel.wait_for_output(cell, "begun")
        records = kernel.wait_for(attachment, has(lambda one: len(_measured(one)) == 2))
        for one in _measured(readings(records)[-1]):
            assert one.rss_by == "proc"
            assert one.jvm_rss > 50_000_000
        victim, *_ = [
            executor
            for worker in cluster.workers
            for executor in spark_clusters.executors_below(worker.pid)
        ]
        victim.send_signal(signal.SIGKILL)
        kernel.wait_for(attachment, has(lambda one: len(_measured(one)) == 2 and _lost(one)))
        gate.touch()
        assert kernel.finish(cell)["status"] == "ok"
        assert kernel.value("total") == 4950
        attachment.detach()
    assert not errors(tmp_path / "f.memprobe")


def _measured(reading: Spark) -> list[Any]:
    """Return the executors that are alive and whose processes were found, without the driver."""
    rows = reading.executors or []
    return [row for row in rows if row.active and row.id != "driver" and row.jvm_rss]


def _lost(reading: Spark) -> list[Any]:
    return [row for row in reading.executors or [] if not row.active]


def test_connect_says_what_it_cannot_know(tmp_path: Path) -> None:
    with (
        spark_clusters.connect(tmp_path) as cluster,
        cluster.kernel(tmp_path / "kernel") as kernel,
    ):
        kernel.run(cluster.session())
        kernel.run("cached = spark.range(1000).cache(); assert cached.count() == 1000")
        line = [sys.executable, "-c", HOST, "attach", str(kernel.connection_file)]
        done = subprocess.run(
            [*line, "--duration", "3", "-o", str(tmp_path / "g.memprobe")],
            capture_output=True, text=True, timeout=SLOW, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert kernel.value("cached.count()") == 1000
    told = done.stdout.partition("Not measured")[2]
    assert re.search(r"Spark caches.*Connect", told, re.DOTALL), done.stdout
    recording = read(tmp_path / "g.memprobe")
    assert not recording.jvm
    for one in recording.spark:
        assert one.mode == "connect"
        assert (one.executors, one.broadcasts, one.blocks) == (None, None, None)
    assert not errors(tmp_path / "g.memprobe")


def test_memprobe_needs_no_pyspark(tmp_path: Path) -> None:
    """Every module of ours is imported where neither Spark nor what it needs can be."""
    absent = ("pyspark", "py4j", "pandas", "pyarrow", "numpy", "grpc")
    source = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({absent!r}))
import memprobe, memprobe_probes
for package in (memprobe, memprobe_probes):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".launch" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print("imported")
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=SLOW, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("imported\n", "")
