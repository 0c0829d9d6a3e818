"""Which processes have a probe in them, and what its spool says right now."""

from __future__ import annotations

import json
import os
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


def session_base() -> Path:
    """Return the folder that holds this user's session folders."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        if runtime and os.stat(runtime).st_uid == os.getuid():
            return Path(runtime, "memprobe")
    except OSError:
        pass
    return Path(tempfile.gettempdir(), f"memprobe-{os.getuid()}")


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
    base = session_base()
    try:
        if base.is_symlink() or base.stat().st_uid != os.getuid():
            return []  # not ours: whatever it says is not to be believed
        return sorted(folder for folder in base.iterdir() if (folder / "config.json").is_file())
    except OSError:
        return []


def _session(folder: Path) -> LiveSession | None:
    try:
        config = json.loads((folder / "config.json").read_text())
        first, tail = _ends(folder / "spool.memprobe")
    except (OSError, ValueError):
        return None
    header = first if first.get("kind") == "header" else {}
    pid = header.get("pid") or (config.get("pid") if isinstance(config, dict) else None)
    if not isinstance(pid, int) or any(record.get("kind") == "end" for record in tail):
        return None
    return LiveSession(
        session=str(config.get("session") or folder.name),
        folder=folder,
        pid=pid,
        program=str(config.get("program") or header.get("program") or ""),
        start=float(header.get("start") or 0.0),
        state=_state(tail),
        slope=recent_slope([(r["t"] / 1e9, r["rss"]) for r in tail if _is_sample(r)]),
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
