"""Real Spark for scenarios: its settings, what it stores, and that nothing of it is left behind.

A scenario with ``needs = ["pyspark"]`` starts its session as any notebook does; the settings come
from the environment, so that the same program runs in one process or with executors of their own.
What Spark stores is asked of Spark itself: no part of memprobe takes part.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .kernel import execute

NEED = "pyspark"
LOCAL = "local[2]"
EXECUTORS = "local-cluster[2,1,1024]"  # two executors with JVMs of their own
MARK = "MEMPROBE_SCENARIO_RUN"  # in the environment of everything that a run starts
PATIENCE = 60  # seconds for the processes of a run to end by themselves
QUICK_START = "-XX:TieredStopAtLevel=1"  # programs of seconds gain nothing from the slow compiler
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.log.level": "ERROR",
}

MEASURES = {
    # Storage memory of every executor, the one in the driver included, as the block managers'
    # master has it. Of disk only what RDDs have there: the status store's sum over executors
    # counts a broadcast's file once more where it is removed (seen with Spark 4.3).
    "executors": """
def _measure():
    status = sc._jsc.sc().getExecutorMemoryStatus().iterator()
    memory = {}
    while status.hasNext():
        pair = status.next()
        memory[pair._1()] = pair._2()._1() - pair._2()._2()
    known = sc._jsc.sc().statusStore().executorList(True)
    known = [known.apply(number) for number in range(known.size())]
    ids = {one.hostPort(): one.id() for one in known}
    held = {ids.get(port, port): used for port, used in memory.items()}
    disk = sum(one.diskSize() for one in sc._jsc.sc().getRDDStorageInfo())
    return {**held, "disk": disk} if disk else held
""",
    # The heap of the driver's JVM after a collection.
    "driver-jvm": """
def _measure():
    sc._jvm.System.gc()
    beans = sc._jvm.java.lang.management.ManagementFactory.getMemoryMXBean()
    return {"driver": beans.getHeapMemoryUsage().getUsed()}
""",
    # The resident memory of the Python processes that work for executors.
    "python-workers": """
def _measure():
    import os, psutil
    workers = {}
    for child in psutil.Process(os.getpid()).children(recursive=True):
        if "pyspark.daemon" in child.cmdline():
            workers[str(child.pid)] = child.memory_info().rss
    return workers
""",
}
STEADY = """
def _steady():
    import gc, json, time
    gc.collect()
    seen = [_measure()]
    while len(seen) < 30 and (len(seen) < 5 or len({str(one) for one in seen[-3:]}) > 1):
        time.sleep(0.4)
        seen.append(_measure())
    return json.dumps(seen[-1])


from pyspark import SparkContext as _context

sc, _kept = _context._active_spark_context, globals().get("sc")
print(_steady())
sc = _kept
del _steady, _measure, _context, _kept
"""


def stored(client: Any, where: str) -> dict[str, int]:
    """Return the bytes that are held now, by executor or process, once they no longer change."""
    told: dict[str, int] = json.loads(execute(client, MEASURES[where] + STEADY, counts=False))
    return told


def missing() -> str | None:
    """Return what Spark needs beside its Python package and does not find here."""
    home = os.environ.get("JAVA_HOME")
    found = Path(home, "bin", "java").exists() if home else shutil.which("java")
    return None if found else "java"


def environment(master: str = LOCAL, *, quick: bool = True) -> dict[str, str]:
    """Return the environment in which a program's Spark is small, quiet and on this host only."""
    words = ["--master", master, "--driver-memory", "1g"]
    words += ["--driver-java-options", QUICK_START] if quick else []
    words += [word for name, value in SETTINGS.items() for word in ("--conf", f"{name}={value}")]
    return {
        **os.environ,
        "PYSPARK_SUBMIT_ARGS": " ".join([*words, "pyspark-shell"]),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@contextmanager
def marked(variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """Give an environment whose processes are known again, and wait for the last of them.

    Raises ``TimeoutError`` where one of them, a JVM above all, outlives the block; it is killed.
    """
    mark = uuid.uuid4().hex
    try:
        yield {**variables, MARK: mark}
    finally:
        _wait(f"{MARK}={mark}".encode())


def _wait(mark: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := _running(mark):
        if time.monotonic() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"left running: {', '.join(left.values())}")
        time.sleep(0.2)


def _running(mark: bytes) -> dict[int, str]:
    """Return the names of the processes that have ``mark`` in their environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in folder.joinpath("environ").read_bytes().split(b"\0"):
                name = folder.joinpath("comm").read_text(encoding="utf-8").strip()
                found[int(folder.name)] = name
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found
