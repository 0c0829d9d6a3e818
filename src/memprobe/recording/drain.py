"""Copy a probe's spool into the recording, whole lines only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from memprobe.recording.lines import familiar, understood
from memprobe.recording.schema import End, Record
from memprobe.recording.writer import RecordingWriter

BLOCK = 1 << 20  # bytes read at once


class Drain:
    """Follows a spool that may not exist yet and that another process appends to.

    With ``hold_end`` the probe's own ``end`` record is kept back in ``held``: the host knows the
    exit status and the true peak, and writes one complete ``end`` in its place. ``watch`` is
    called with every record.
    """

    def __init__(
        self, spool: Path, writer: RecordingWriter, *, hold_end: bool = False,
        watch: Callable[[Record], None] | None = None,
    ) -> None:  # fmt: skip
        self._watch = watch
        self.held: End | None = None
        self.lines = 0
        self._spool = spool
        self._writer = writer
        self._hold_end = hold_end
        self._descriptor = -1
        self._tail = b""

    def pull(self) -> list[Record]:
        """Copy every whole new line and return the records among them.

        A line that no reader of this version understands is copied and not returned.
        """
        if self._descriptor < 0 and not self._open():
            return []
        records: list[Record] = []
        while block := os.read(self._descriptor, BLOCK):
            records += self.feed(block)
        return records

    def feed(self, block: bytes) -> list[Record]:
        """Copy the whole lines of the next bytes of a spool, which came some other way."""
        *lines, self._tail = (self._tail + block).split(b"\n")
        return [record for line in lines if (record := self._copy(line)) is not None]

    def close(self) -> None:
        """Let go of the spool. A torn last line stays behind, uncopied."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(
                self._spool, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
        except OSError:
            return False
        return True

    def _copy(self, line: bytes) -> Record | None:
        record = familiar(line) or understood(line)
        self.lines += 1
        if self._watch is not None and record is not None:
            self._watch(record)
        if self._hold_end and isinstance(record, End):
            self.held = record
        else:
            self._writer.write_line(line + b"\n")
        return record
