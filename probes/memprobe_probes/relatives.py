"""The processes around this one that belong to its context: what it started, and its JVM."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST = 64  # processes
_SPARK, _EXECUTOR = b"org.apache.spark.", b"CoarseGrainedExecutorBackend"
_WORKERS = (b"pyspark.daemon", b"pyspark.worker")
_COARSE = {"RssAnon": "private", "RssFile": "files", "RssShmem": "shared-memory"}


def below(pid: int) -> list[int]:
    """Return the pids of all that a process started, down to the last; [] where it is not told."""
    found: list[int] = []
    pending = [pid]
    while pending and len(found) < MOST:
        for child in _children(pending.pop()):
            if child not in found:
                found.append(child)
                pending.append(child)
    return found


def role(pid: int) -> tuple[str, bool]:
    """Return a process's role, and whether it is a JVM."""
    name, command = _content(f"/proc/{pid}/comm").strip(), _content(f"/proc/{pid}/cmdline")
    if name == b"java":
        if _SPARK not in command:
            return "child", True
        return ("executor-jvm" if _EXECUTOR in command else "driver-jvm"), True
    worker = any(one in command for one in _WORKERS)
    return ("python-worker" if worker else "child"), False


def is_copy(pid: int) -> bool:
    """Whether it is a copy of this process in which the walker works."""
    return _content(f"/proc/{pid}/comm").strip() == b"memprobe-copy"


def coarse(pid: int, its_role: str) -> dict[str, Any] | None:
    """Return the row of a process in an ``account`` record, told from afar; None: it has ended."""
    sizes = {}
    for line in _content(f"/proc/{pid}/status").decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name in _COARSE and value.split()[:1]:
            sizes[_COARSE[name]] = int(value.split()[0]) * 1024
    if not sizes:
        return None
    return {"pid": pid, "role": its_role, "rss": sum(sizes.values()), "buckets": sizes}


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    told = b" ".join(_content(f"/proc/{pid}/task/{one}/children") for one in threads)
    return [int(word) for word in told.split()]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 18)
    except OSError:
        return b""
