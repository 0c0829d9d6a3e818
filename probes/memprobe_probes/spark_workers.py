"""The processes of executors on this host, and the resident memory of them and their workers.

From ``/proc`` alone: an executor is a Java process whose command names the application and the
executor. Its Python workers are below it: a daemon and what that forked.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
SHORTEST_REST, LONGEST_REST = 5.0, 300.0  # seconds between two looks at all processes
_LONGEST_COMMAND = 1 << 20
WORKERS = (b"pyspark.daemon", b"pyspark.worker", b"pyspark.sql.worker", b"pyspark.sql.streaming")


class ExecutorProcesses:
    """Knows the processes of one application's executors that run on this host."""

    def __init__(self, app: str) -> None:
        self._app = app.encode()
        self._known: dict[str, tuple[int, str]] = {}  # executor → pid, when it started
        self._rest = SHORTEST_REST
        self._not_before = 0.0

    def measure(self, rows: Iterable[dict[str, Any]], driver: int | None) -> None:
        """Add ``jvm_rss``, ``python_rss``, ``workers`` and ``rss_by`` where a process is here.

        ``driver`` is the pid of the driver's JVM: in local mode that is the executor.
        """
        rows = list(rows)
        self._look_again({row["id"] for row in rows} - {"driver"})
        for row in rows:
            pid = driver if row["id"] == "driver" else self._known.get(row["id"], (None,))[0]
            size = None if pid is None else rss(pid)
            if pid is None or size is None:
                continue
            sizes = worker_sizes(pid)
            row.update(jvm_rss=size, rss_by="proc", python_rss=None, workers=None)
            if sizes is not None:
                row.update(python_rss=sum(sizes.values()), workers=len(sizes))

    def _look_again(self, wanted: set[str]) -> None:
        self._known = {
            name: found for name, found in self._known.items()
            if name in wanted and started(found[0]) == found[1]
        }  # fmt: skip
        missing = wanted - set(self._known)
        now = time.monotonic()
        if not missing or now < self._not_before:
            return
        found = {name: pid for name, pid in executors(self._app) if name in missing}
        self._known.update((name, (pid, started(pid))) for name, pid in found.items())
        # Executors of other hosts are never found: ask ever less often.
        self._rest = SHORTEST_REST if found else min(self._rest * 2, LONGEST_REST)
        self._not_before = time.monotonic() + self._rest


def executors(app: bytes) -> Iterator[tuple[str, int]]:
    """Yield (executor, pid) of the executors of an application on this host."""
    for pid in _pids():
        words = command(pid)
        if _after(words, b"--app-id") == app and b"java" in words[0].rpartition(b"/")[2]:
            name = _after(words, b"--executor-id")
            if name is not None:
                yield name.decode("utf-8", "replace"), pid


def worker_sizes(jvm: int) -> dict[int, int] | None:
    """Return pid → resident bytes of the Python workers below a JVM; None where nobody can tell."""
    below = children(jvm)
    if below is None:
        return None
    tops = [pid for pid in below if any(mark in word for word in command(pid) for mark in WORKERS)]
    pids = [*tops, *(pid for top in tops for pid in children(top) or ())]
    sizes = {pid: rss(pid) for pid in pids}
    return {pid: size for pid, size in sizes.items() if size is not None}


def children(pid: int) -> list[int] | None:
    """Return the processes that any thread of a process started; None where Linux does not say."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return None
    found: list[int] = []
    told = False
    for thread in threads:
        text = _read(f"/proc/{pid}/task/{thread}/children", 1 << 16)
        told = told or text is not None
        found += [int(word) for word in (text or b"").split()]
    return found if told else None


def rss(pid: int) -> int | None:
    """Return the resident bytes of a process, or None."""
    words = (_read(f"/proc/{pid}/statm", 128) or b"").split()
    return int(words[1]) * PAGE if len(words) > 1 else None


def started(pid: int) -> str:
    """Return when a process started, in ticks since the machine did; "" where it is gone."""
    text = _read(f"/proc/{pid}/stat", 4096) or b""
    words = text.rpartition(b")")[2].split()
    return words[19].decode() if len(words) > 19 else ""


def parent(pid: int) -> int | None:
    """Return the process that is above a process, or None."""
    words = (_read(f"/proc/{pid}/stat", 4096) or b"").rpartition(b")")[2].split()
    return int(words[1]) if len(words) > 1 else None


def command(pid: int) -> list[bytes]:
    """Return the words of a process's command; an empty one where it is gone."""
    return (_read(f"/proc/{pid}/cmdline", _LONGEST_COMMAND) or b"").split(b"\0")


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _after(words: list[bytes], option: bytes) -> bytes | None:
    """Return what follows an option in a command, or None."""
    position = words.index(option) + 1 if option in words else len(words)
    return words[position] if position < len(words) else None


def _read(path: str, most: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        return os.read(fd, most)
    except OSError:
        return None
    finally:
        os.close(fd)
