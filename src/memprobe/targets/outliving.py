"""What a script leaves behind when its process has ended: children that run on, shared memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from memprobe.recording.reader import read

SEGMENTS = Path("/dev/shm")
OF_SPARK = ("driver-jvm", "executor-jvm", "python-worker")
GRACE = 10.0  # seconds in which Spark's processes notice that the driver's Python has ended
CLOCK = 1.0  # seconds by which the clocks of header and process table may differ


def segments() -> set[str]:
    """Return the names of this user's shared memory segments."""
    try:
        return {entry.name for entry in os.scandir(SEGMENTS) if entry.stat().st_uid == os.getuid()}
    except OSError:
        return set()


def left_by(recording: Path, before: set[str], earlier: list[str] | None) -> list[str]:
    """Return what the process of ``recording`` left, as far as others before it left it too.

    ``earlier`` is what the processes before left, None for the first one: what only one of
    several processes seems to leave may be anybody's.
    """
    found = [*_children(recording), *_memory(before)]
    return found if earlier is None else [one for one in earlier if one in found]


def _children(recording: Path) -> list[str]:
    run = read(recording)
    pids = {child.pid: child.role for sample in run.samples for child in sample.children or []}
    left = {pid: role for pid, role in pids.items() if _is_left(pid, run.header.start)}
    _await_end([pid for pid, role in left.items() if role in OF_SPARK])
    names = []
    for pid, role in left.items():
        if _is_left(pid, run.header.start):
            names.append(f"a {role} process ({_name(pid)})")
    return sorted(set(names))


def _is_left(pid: int, since: float) -> bool:
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and process.create_time() >= since - CLOCK)
    except psutil.Error:
        return False


def _name(pid: int) -> str:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "ended"


def _await_end(pids: list[int]) -> None:
    """Wait a moment until these have ended: a JVM needs one to see that nobody is there."""
    processes = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
    psutil.wait_procs(processes, GRACE)


def _memory(before: set[str]) -> list[str]:
    new = segments() - before
    return ["shared memory in /dev/shm"] if new else []
