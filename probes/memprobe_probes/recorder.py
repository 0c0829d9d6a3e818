"""The append-only writer of a recording: one JSON line per record, flushed per line."""

from __future__ import annotations

import os
import time

from . import plain_json
from .descriptors import close_own, identity, out_of_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Shares of the size cap: from the first on the sampler slows down; above the second only
# snapshots and the end are written, so that a long recording still says what was there.
CROWDED = 0.5
RESERVED = 0.75
# Kept free for the last records, which must always find room: half for events, half for the end.
END_ROOM = 4096

_ROUTINE = ("interval", "marker")


class Recorder:
    """Writes records to ``path`` (created 0600, never followed through a link).

    ``cap`` is the largest size of the file in bytes. A write never raises: after the first
    failure ``failed`` says why and everything later is dropped, because a torn line may only be
    the last one.
    """

    def __init__(self, path: str, cap: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._fd: int = out_of_the_way(os.open(path, flags, 0o600))
        self._file = identity(self._fd)
        self._pid = os.getpid()
        self.path = path
        self.cap = cap
        self.written = 0
        self.dropped = 0
        self.failed: str | None = None

    @property
    def crowded(self) -> bool:
        """Whether half of the cap is used, so that the sampler should slow down."""
        return self.written > self.cap * CROWDED

    def write(self, kind: str, **fields: Any) -> bool:
        """Append one record; return whether it was written whole. A forked child writes nothing."""
        if self._fd < 0 or self.failed or os.getpid() != self._pid:
            return False
        record = {"kind": kind, "t": time.monotonic_ns()}
        record.update(fields)
        line = plain_json.dumps(record)
        return self._append(
            _importance(kind, fields), line.encode("utf-8", "backslashreplace") + b"\n"
        )

    def close(self) -> None:
        """Close the file; later writes are dropped. Safe to call twice."""
        fd, self._fd = self._fd, -1
        close_own(fd, self._file)

    def _append(self, kind: str, line: bytes) -> bool:
        if self.written + len(line) > self._room(kind):
            self.dropped += 1
            return False
        if identity(self._fd) != self._file:
            self.failed = "the program closed the recording's file descriptor"
            return False
        try:
            done = os.write(self._fd, line)
        except OSError as error:
            self.failed = error.strerror or "write failed"
            return False
        self.written += done
        if done < len(line):
            self.failed = "short write"
        return done == len(line)

    def _room(self, kind: str) -> float:
        if kind == "end":
            return self.cap
        if kind == "event":
            return self.cap - END_ROOM / 2
        if kind == "snapshot":
            return self.cap - END_ROOM
        return self.cap * RESERVED


def _importance(kind: str, fields: dict[str, Any]) -> str:
    """Return whose share of the cap a record may use: routine snapshots have no reserve."""
    if kind == "account":  # it goes with its snapshot
        kind = "snapshot"
    return "sample" if kind == "snapshot" and fields.get("reason") in _ROUTINE else kind
