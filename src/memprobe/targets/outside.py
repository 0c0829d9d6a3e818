"""Read a process's memory from outside: it works while the target holds the GIL in C."""

from __future__ import annotations

import time

import psutil

from memprobe.recording.schema import Child, Sample
from memprobe_probes import limits, native_child

GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


class OutsideSampler:
    """Samples one process and everything below it. Sizes are bytes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process: psutil.Process | None = None

    def sample(self) -> Sample | None:
        """Return a reading with ``by="host"``, or ``None`` when the process is gone."""
        try:
            self._process = self._process or psutil.Process(self.pid)
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
            children=_children(process),
            threads=process.num_threads(),
        )


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


def _children(process: psutil.Process) -> list[Child]:
    children = []
    for child in process.children(recursive=True):
        try:
            if child.name() == native_child.NAME:
                continue  # its memory is the process's own
            children.append(Child(pid=child.pid, role=_role(child), rss=child.memory_info().rss))
        except psutil.Error:
            continue  # it ended meanwhile, or is not ours to read
    return children


def _role(process: psutil.Process) -> str:
    if process.name() == "java":
        return "driver-jvm"
    command = process.cmdline()
    if any("pyspark.daemon" in part or "pyspark.worker" in part for part in command):
        return "python-worker"
    return "child"
