"""The processes that this one started and that are still there: how large, since when, at work.

From ``/proc`` alone, so on Linux only. Sizes are bytes, times nanoseconds. Of a command line only
is asked whether it is one of Spark's or one of Python's own helpers; none of it is kept. Spark's
processes have readers of their own and are left out.
"""

from __future__ import annotations

import os
import time

from . import spark_workers
from .native_child import NAME as OWN_COPY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

TICK_NS = 10**9 // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
MOST = 256  # processes
MOST_THREADS = 64
MOST_FILES = 4096
SMALL = 4 << 20  # bytes; of smaller ones the parts are not asked for
LOOKS_NS = 60_000_000  # so long a process is watched: does it work?
BUDGET_NS = 300_000_000  # for the kernel to add up the pages of large processes
AT_WORK_NS = 1_000_000  # CPU in that time
_SPARK = (b"org.apache.spark.", b"pyspark.daemon", b"pyspark.worker", b"pyspark.sql.")
_HELPERS = (b"resource_tracker", b"multiprocessing.forkserver", b"semaphore_tracker")
_LISTENS = b"0A"  # TCP_LISTEN


class Stat:
    """What ``/proc/PID/stat`` says of a process."""

    __slots__ = ("cpu_ns", "name", "parent", "pid", "session", "started", "state")

    def __init__(self, pid: int, text: bytes) -> None:
        head, _, tail = text.rpartition(b")")
        words = tail.split()
        self.pid = pid
        self.name = head.partition(b"(")[2].decode("utf-8", "replace")
        self.state = words[0].decode("ascii", "replace")
        self.parent, self.session = int(words[1]), int(words[3])
        self.cpu_ns = (int(words[11]) + int(words[12])) * TICK_NS
        self.started = _monotonic(int(words[19]) * TICK_NS)


def rows() -> list[dict[str, Any]] | None:
    """Return a row per process below this one, and per orphan of its session; None: unknown."""
    below = descendants(os.getpid())
    if below is None:
        return None
    found = [*below, *_orphans({one.pid for one in below})][:MOST]
    before = {one.pid: run_ns(one.pid) for one in found}
    began = time.monotonic_ns()
    result = [_row(one) for one in found]
    _measure(result, began)
    if any((row["rss"] or 0) >= SMALL for row in result):
        time.sleep(max(0, began + LOOKS_NS - time.monotonic_ns()) / 1e9)
    return [_with_work(row, before[row["pid"]]) for row in result]


def descendants(top: int) -> list[Stat] | None:
    """Return the living processes below ``top``, without Spark's; None where nobody can tell."""
    first = spark_workers.children(top)
    if first is None:
        return None
    found: list[Stat] = []
    pending = first
    while pending and len(found) < MOST:
        one = stat(pending.pop())
        if one is None or one.state in "ZX" or one.name == OWN_COPY or _is_sparks(one.pid):
            continue
        found.append(one)
        pending += spark_workers.children(one.pid) or []
    return found


def stat(pid: int) -> Stat | None:
    """Return what the system says of a process, or None where it is gone."""
    text = spark_workers._read(f"/proc/{pid}/stat", 4096)
    try:
        return Stat(pid, text) if text else None
    except (IndexError, ValueError):
        return None


def run_ns(pid: int) -> int | None:
    """Return the CPU time of all living threads of a process, or None where nobody counts it."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task")[:MOST_THREADS]:
            text = spark_workers._read(f"/proc/{pid}/task/{thread}/schedstat", 128)
            if text is None:
                return None
            total += int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return total


def _orphans(known: set[int]) -> Iterator[Stat]:
    """Yield processes of this one's session whose parent has ended.

    Only where this process leads the session, as a kernel does: a session is inherited and
    nothing else, so everything in it descends from here.
    """
    own = os.getpid()
    if os.getsid(0) != own:
        return
    for pid in spark_workers._pids():
        if pid == own or pid in known:
            continue
        one = stat(pid)
        if one is None or one.session != own or one.state in "ZX" or one.name == OWN_COPY:
            continue
        if not _is_sparks(pid):
            yield one


def _row(one: Stat) -> dict[str, Any]:
    return {
        "pid": one.pid, "name": one.name, "parent": one.parent, "session": one.session,
        "role": "helper" if _mentions(one.pid, _HELPERS) else "child",
        "started": one.started, "cpu_ns": one.cpu_ns, "rss": spark_workers.rss(one.pid),
        "pss": None, "private": None, "listens": None, "waits": None,
    }  # fmt: skip


def _measure(found: list[dict[str, Any]], began: int) -> None:
    """Add what of each process is its own, the largest first and as far as there is time."""
    large = [row for row in found if (row["rss"] or 0) >= SMALL]
    listening = _listening() if large else set()
    for row in sorted(large, key=lambda row: -row["rss"]):
        if time.monotonic_ns() - began > BUDGET_NS:
            break
        parts = _rollup(row["pid"])
        row["pss"], row["private"] = parts.get("Pss"), _private(parts)
        row["listens"] = _listens(row["pid"], listening)


def _with_work(row: dict[str, Any], before: int | None) -> dict[str, Any]:
    after = run_ns(row["pid"])
    now = stat(row["pid"])
    if before is not None and after is not None and now is not None:
        row["waits"] = after - before < AT_WORK_NS and now.state in "SIT"
    return row


def _rollup(pid: int) -> dict[str, int]:
    """Return the parts of a process's resident memory in bytes; {} where they are not told."""
    text = spark_workers._read(f"/proc/{pid}/smaps_rollup", 1 << 14) or b""
    parts = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) == 3 and words[2] == b"kB":
            parts[words[0][:-1].decode("ascii", "replace")] = int(words[1]) * 1024
    return parts


def _private(parts: dict[str, int]) -> int | None:
    names = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")
    return sum(parts.get(name, 0) for name in names) if "Private_Dirty" in parts else None


def _listening() -> set[bytes]:
    """Return the inodes of the TCP sockets that wait for somebody to connect.

    Without those of this process: a forked one has inherited them.
    """
    found: set[bytes] = set()
    for table in ("tcp", "tcp6"):
        text = spark_workers._read(f"/proc/self/net/{table}", 1 << 20) or b""
        for line in text.splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTENS:
                found.add(words[9])
    return found.difference(_sockets(os.getpid()) or ())


def _listens(pid: int, listening: set[bytes]) -> bool | None:
    """Whether a process has such a socket: a server, that others may use."""
    own = _sockets(pid)
    return None if own is None else not listening.isdisjoint(own)


def _sockets(pid: int) -> set[bytes] | None:
    """Return the inodes of the sockets that a process has open, or None."""
    folder = f"/proc/{pid}/fd"
    found = set()
    try:
        for number in os.listdir(folder)[:MOST_FILES]:
            try:
                target = os.readlink(f"{folder}/{number}")
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1].encode())
    except OSError:
        return None
    return found


def _is_sparks(pid: int) -> bool:
    return _mentions(pid, _SPARK)


def _mentions(pid: int, marks: Iterable[bytes]) -> bool:
    words = spark_workers.command(pid)
    return any(mark in word for mark in marks for word in words)


def _monotonic(since_boot: int) -> int:
    """Return a time since the machine started, in ns, as the clock of a recording."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return since_boot
    return time.monotonic_ns() - (time.clock_gettime_ns(clock) - since_boot)
