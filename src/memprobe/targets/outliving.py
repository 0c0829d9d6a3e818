"""What a script leaves behind when its process has ended: children that run on, shared memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from memprobe.recording.reader import read

SEGMENTS = Path("/dev/shm")
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
    names = []
    for pid, role in pids.items():
        try:
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and process.create_time() >= run.header.start - CLOCK:
                names.append(f"a {role} process ({process.name()})")
        except psutil.Error:
            continue
    return sorted(set(names))


def _memory(before: set[str]) -> list[str]:
    new = segments() - before
    return ["shared memory in /dev/shm"] if new else []
