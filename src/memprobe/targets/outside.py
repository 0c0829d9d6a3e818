"""Read a process's memory from outside: it works while the target holds the GIL in C."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from memprobe.recording.schema import Child, Sample
from memprobe_probes import limits, native_child

GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)
# What the command lines of Spark's JVMs hold: of all of them, and of an executor.
SPARK = "org.apache.spark."
EXECUTOR = "CoarseGrainedExecutorBackend"


class OutsideSampler:
    """Samples one process and everything below it. Sizes are bytes.

    spark-submit starts the JVM first, and that the Python: there the JVM, its executors and its
    Python workers belong to the process too.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process: psutil.Process | None = None
        self._jvm: psutil.Process | None = None  # that started the process

    def sample(self) -> Sample | None:
        """Return a reading with ``by="host"``, or ``None`` when the process is gone."""
        try:
            if self._process is None:
                self._process = psutil.Process(self.pid)
                self._jvm = spark_jvm_above(self._process)
            with self._process.oneshot():
                return self._read(self._process)
        except GONE:
            return None

    def _read(self, process: psutil.Process) -> Sample | None:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Sample(
            t=time.monotonic_ns(),
            by="host",
            rss=process.memory_info().rss,
            peak=high_water(self.pid),
            used=limits.used(self.pid),
            children=self._children(process),
            threads=process.num_threads(),
        )

    def _children(self, process: psutil.Process) -> list[Child]:
        below = list(_read(process.children(recursive=True)))
        if self._jvm is None:
            return below
        known = {process.pid, *(child.pid for child in below)}
        return [*below, *(child for child in self._beside(self._jvm) if child.pid not in known)]

    def _beside(self, jvm: psutil.Process) -> list[Child]:
        """Return the JVM and what it runs for Spark; what else is below it may be somebody's."""
        try:
            found = _read([jvm, *jvm.children(recursive=True)])
            return [child for child in found if child.role != "child"]
        except GONE:
            self._jvm = None
            return []


def spark_jvm_above(process: psutil.Process) -> psutil.Process | None:
    """Return the Spark JVM that started a process, directly or by a shell between them."""
    for above in process.parents():
        try:
            if above.name() == "java" and _mentions(above.cmdline(), SPARK):
                return above
        except psutil.Error:
            continue  # it ended meanwhile, or is not ours to read
    return None


def high_water(pid: int) -> int | None:
    """Return the kernel's high-water mark of a process's RSS in bytes (Linux), else ``None``."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _read(processes: list[psutil.Process]) -> Iterator[Child]:
    for process in processes:
        try:
            if process.name() != native_child.NAME:  # a copy's memory is the process's own
                rss, times = process.memory_info().rss, process.cpu_times()
                cpu = times.user + times.system
                yield Child(pid=process.pid, role=_role(process), rss=rss, cpu=cpu)
        except psutil.Error:
            continue  # it ended meanwhile, or is not ours to read


def _role(process: psutil.Process) -> str:
    command = process.cmdline()
    if process.name() == "java" and _mentions(command, SPARK):
        return "executor-jvm" if _mentions(command, EXECUTOR) else "driver-jvm"
    if _mentions(command, "pyspark.daemon") or _mentions(command, "pyspark.worker"):
        return "python-worker"
    return "child"


def _mentions(command: list[str], text: str) -> bool:
    return any(text in part for part in command)
