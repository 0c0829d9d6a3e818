"""Which processes have a probe in them, and what its spool says right now."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprobe.analysis.slope import recent_slope

_TAIL = 64 * 1024  # bytes of a spool's end: minutes of samples


@dataclass(frozen=True)
class LiveSession:
    """A probe at work. ``slope`` is in bytes of RSS per second; None: not known."""

    session: str
    folder: Path
    pid: int
    program: str
    start: float  # unix seconds
    state: str  # busy, idle, unknown
    slope: float | None
    method: str = ""  # how the probe came in

    @property
    def is_run(self) -> bool:
        """Whether it has no thread: it was there from the start, and cannot be joined."""
        return self.method in ("run", "record", "")


def session_bases() -> list[Path]:
    """Return the folders that may hold this user's session folders.

    Two, since whoever started the probe may have lived without ``XDG_RUNTIME_DIR``.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    own = Path(tempfile.gettempdir(), f"memprobe-{os.getuid()}")
    return [Path(runtime, "memprobe"), own] if runtime else [own]


def live_sessions(created: dict[int, float | None]) -> dict[int, LiveSession]:
    """Return pid → session for every probe in one of these processes (pid → start time)."""
    found = {}
    for folder in _folders():
        session = _session(folder)
        if session is not None and _is_running(session, created):
            found[session.pid] = session
    return found


def _is_running(session: LiveSession, created: dict[int, float | None]) -> bool:
    if session.pid not in created:
        return False
    born = created[session.pid]  # later than the session: another process took the number
    return not (born and session.start and born > session.start + 1)


def _folders() -> list[Path]:
    return [
        folder for base in session_bases() if _is_own(base) for folder in sorted(base.iterdir())
    ]


def _is_own(base: Path) -> bool:
    """Tell whether to believe what a folder says: a real one that only this user can write."""
    try:
        status = base.lstat()
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    return private and status.st_uid == os.getuid()


def _session(folder: Path) -> LiveSession | None:
    try:
        header, tail = _ends(folder / "spool.memprobe")
    except OSError:
        return None  # a client that joined has no spool, and a probe may leave right now
    pid = header.get("pid")
    if not isinstance(pid, int) or any(record.get("kind") == "end" for record in tail):
        return None
    return LiveSession(
        session=str(header.get("session") or folder.name),
        folder=folder,
        pid=pid,
        program=str(header.get("program") or ""),
        start=float(header.get("start") or 0.0),
        state=_state(tail),
        slope=recent_slope([(r["t"] / 1e9, r["rss"]) for r in tail if _is_sample(r)]),
        method=str(header.get("method") or ""),
    )


def _ends(spool: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a spool's first record and those of its last 64 KiB; torn lines are left out."""
    with spool.open("rb") as file:
        first = file.readline(_TAIL)
        size = os.fstat(file.fileno()).st_size
        start = max(len(first), size - _TAIL)
        file.seek(start)
        lines = file.read(_TAIL).split(b"\n")
    records = [_record(line) for line in lines]
    return _record(first) or {}, [record for record in records if record is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_sample(record: dict[str, Any]) -> bool:
    numbers = isinstance(record.get("t"), int) and isinstance(record.get("rss"), int)
    return record.get("kind") == "sample" and numbers


def _state(tail: list[dict[str, Any]]) -> str:
    """Tell from the last cell marker whether a cell is running."""
    cells = [r for r in tail if r.get("kind") == "marker" and r.get("marker", "cell") == "cell"]
    phases = [r.get("phase", "end") for r in cells]
    if not phases:
        return "unknown"
    return "busy" if phases[-1] == "start" else "idle"
