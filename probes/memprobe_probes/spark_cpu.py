"""CPU time of the driver's JVM and of the Python workers below it, at a cell's begin and end.

From ``/proc`` alone, so that a boundary costs microseconds and asks the JVM nothing. Seconds so
far; None where the JVM is not on this host, or the system does not tell.
"""

from __future__ import annotations

import os

from . import spark_session
from .spark_workers import WORKERS, command, parent, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
MOST_THREADS = 256  # of a JVM, each of which may have started a process: 1 ms per 100 of them


class SparkCpu:
    """Follows one JVM: it is the same for all applications of a process."""

    def __init__(self) -> None:
        self._jvm: tuple[int, str] | None = None  # pid, when it started
        self._daemons: tuple[int, ...] = ()

    def read(self, *, look: bool) -> tuple[float | None, float | None]:
        """Return the JVM's seconds and its workers'. ``look``: for workers that are new."""
        pid = self._pid()
        if pid is None:
            return None, None
        found = times(pid)
        if found is None:
            return None, None
        if look:
            self._daemons = _daemons(pid, self._daemons)
        own, ended = found
        return own, ended + sum(_all_of(daemon) for daemon in self._daemons)

    def _pid(self) -> int | None:
        """Return the JVM's pid; it outlives the application that was stopped."""
        if self._jvm is not None and started(self._jvm[0]) == self._jvm[1]:
            return self._jvm[0]
        found = spark_session.find()
        if found is None:
            return None
        pid = found.child if found.child is not None else os.getppid()
        if b"java" not in command(pid)[0].rpartition(b"/")[2]:
            return None
        self._jvm = pid, started(pid)
        return pid


def times(pid: int) -> tuple[float, float] | None:
    """Return the seconds that a process has used, and those of its children that have ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read(4096).rpartition(b")")[2].split()
        user, system, child_user, child_system = map(int, words[11:15])
    except (OSError, ValueError):
        return None
    return (user + system) / TICK, (child_user + child_system) / TICK


def _daemons(jvm: int, known: tuple[int, ...]) -> tuple[int, ...]:
    """Return the processes that start Python workers; those known where looking takes too long."""
    try:
        threads = os.listdir(f"/proc/{jvm}/task")
    except OSError:
        return ()
    if len(threads) > MOST_THREADS:
        return known
    below = [pid for thread in threads for pid in _children(jvm, thread)]
    return tuple(pid for pid in below if parent(pid) == jvm and _is_worker(pid))


def _is_worker(pid: int) -> bool:
    return any(mark in word for word in command(pid) for mark in WORKERS)


def _all_of(daemon: int) -> float:
    """Return the seconds of a daemon and of all workers that it has started."""
    found: Iterable[tuple[float, float] | None] = [
        times(daemon), *(times(pid) for pid in _children(daemon, str(daemon)))
    ]  # fmt: skip
    return sum(sum(one) for one in found if one is not None)


def _children(pid: int, thread: str) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            return [int(word) for word in file.read(65536).split()]
    except (OSError, ValueError):
        return []
