"""Session folders that nobody came back for: their host was killed before it could remove them.

A folder goes when its host and its target have ended and nothing in it is worth reading: it has no
records, or they are a week old. What may hold records that nobody has read yet stays.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path

SPOOL = "spool.memprobe"
HOST = "host"  # file: pid and start time of the host
WORTH_READING = 7 * 86400.0  # seconds
# A session that is just starting has no records either, and in a container with the same
# temporary folder its processes are not to be seen.
STARTING = 3600.0
MOST = 500  # folders looked at
_START_FIELD = 19  # of /proc/PID/stat after the command's name: start in ticks since boot


def host_line(pid: int | None = None) -> str:
    """Return what a folder keeps about this process, or about ``pid``: pid and start time.

    While a process of that number and start lives, the folder stays.
    """
    pid = os.getpid() if pid is None else pid
    return f"{pid} {_started(pid)}"


def sweep(base: Path, now: float | None = None) -> list[Path]:
    """Remove the folders below ``base`` that nobody needs, and return them. Never raises."""
    now = time.time() if now is None else now
    removed = []
    try:
        folders = [entry for entry in os.scandir(base) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    for folder in folders[:MOST]:
        if _is_own(folder) and _is_left(Path(folder.path), now):
            shutil.rmtree(folder.path, ignore_errors=True)
            removed.append(Path(folder.path))
    return removed


def _is_own(folder: os.DirEntry[str]) -> bool:
    try:
        return folder.stat(follow_symlinks=False).st_uid == os.getuid()
    except OSError:
        return False  # another memprobe has just removed its own


def _is_left(folder: Path, now: float) -> bool:
    age = now - _last_change(folder)
    if age < STARTING or _host_lives(folder) or _target_lives(folder):
        return False
    return age > WORTH_READING or not _has_records(folder)


def _last_change(folder: Path) -> float:
    """Return when anything in it was last written; infinity where that cannot be seen."""
    try:
        return max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return float("inf")


def _has_records(folder: Path) -> bool:
    try:
        return (folder / SPOOL).lstat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _host_lives(folder: Path) -> bool:
    try:
        pid, started = (folder / HOST).read_text().split()
    except (OSError, ValueError):
        return False  # a probe that was started from inside has no host
    return _started(int(pid)) == started


def _target_lives(folder: Path) -> bool:
    """Whether the process behind the records is there; a later one with its number is another."""
    try:
        with open(folder / SPOOL, "rb", opener=_without_following) as file:
            header = json.loads(file.readline(65536))
        pid, start = int(header["pid"]), float(header["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    born = _born(pid)
    return born is not None and born <= start + 1


def _born(pid: int) -> float | None:
    """Return when a process began, in unix seconds; None where there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return 0.0  # it is there: somebody else's


def _started(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[_START_FIELD].decode()
    except (OSError, IndexError):
        return ""


def _without_following(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return descriptor
