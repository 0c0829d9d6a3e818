"""CPU time of a JVM and of the workers below it, by real processes that only look like them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from memprobe_probes import measure, spark_cpu

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU times are read from /proc")
PATIENCE = 60.0
# Starts what it is told, says its pid, works for half a second of CPU time, then waits.
WORK = (
    "import subprocess, sys, time\n"
    "below = subprocess.Popen(sys.argv[1:]) if sys.argv[1:] else None\n"
    "while time.process_time() < 0.5: pass\n"
    "print(below.pid if below else 0, flush=True)\n"
    "sys.stdin.read()\n"
    "if below: below.kill(); below.wait()\n"
)


@pytest.fixture
def jvm(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process called java, with a worker of PySpark below it; both have used half a second."""
    daemon = [sys.executable, "-c", WORK.replace("sys.argv[1:]", "[]"), "pyspark.daemon"]
    child = subprocess.Popen(
        [str(tmp_path / "java"), "-c", WORK, *daemon],
        executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    while child.stdout.readline().strip() == "0":
        pass  # the worker's own line: it has worked
    yield child
    assert child.stdin is not None
    child.stdin.close()
    child.wait(timeout=PATIENCE)


def clock(pid: int, monkeypatch: pytest.MonkeyPatch) -> spark_cpu.SparkCpu:
    found = SimpleNamespace(child=pid)
    monkeypatch.setattr(spark_cpu.spark_session, "find", lambda: found)
    return spark_cpu.SparkCpu()


def test_the_jvm_and_its_workers_are_told_apart(
    jvm: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_of = clock(jvm.pid, monkeypatch)
    deadline = time.monotonic() + PATIENCE
    own, workers = clock_of.read(look=True)
    while (workers or 0) < 0.45 and time.monotonic() < deadline:
        own, workers = clock_of.read(look=True)
    assert own is not None
    assert workers is not None
    times = psutil.Process(jvm.pid).cpu_times()
    assert own == pytest.approx(times.user + times.system, abs=0.3)
    assert workers >= 0.45
    assert clock_of.read(look=False)[1] == pytest.approx(workers, abs=0.3)


def test_workers_that_were_not_looked_for_are_not_counted(
    jvm: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clock(jvm.pid, monkeypatch).read(look=False)[1] == 0.0


def test_a_jvm_of_very_many_threads_is_not_searched(
    jvm: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_cpu, "MOST_THREADS", 0)
    assert clock(jvm.pid, monkeypatch).read(look=True)[1] == 0.0


def test_a_process_that_is_no_java_and_one_that_is_gone_are_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert clock(os.getpid(), monkeypatch).read(look=True) == (None, None)
    sleep = shutil.which("sleep")
    assert sleep is not None
    gone = subprocess.Popen([sleep, "0"])
    gone.wait()
    assert clock(gone.pid, monkeypatch).read(look=True) == (None, None)


def test_without_pyspark_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    probe = SimpleNamespace(_spark_cpu=None)
    assert measure.Probe.jvm_times(probe, look=True) == {}  # type: ignore[arg-type]
    assert probe._spark_cpu is None
