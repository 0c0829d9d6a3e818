"""The recording of a job as it arrives: part after part, into the recording on this machine."""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memprobe.databricks.stores import Store
from memprobe.recording.drain import Drain
from memprobe.recording.schema import End, Header, Record
from memprobe.recording.writer import RecordingWriter
from memprobe_probes.segments import OUTCOME, name_of

QUIET = 3.0  # seconds without anything new after which nothing more is expected


class Parts:
    """Fetches what a task copies into one of ``stores``, in order and each part once."""

    def __init__(self, stores: Sequence[Store], writer: RecordingWriter) -> None:
        self.number = 0  # of parts that have arrived
        self.header: Header | None = None
        self.last = 0  # monotonic ns over there, of the last record
        self.outcome: dict[str, Any] | None = None
        self._drain = Drain(Path(), writer, hold_end=True, watch=self._see)
        self._stores = list(stores)
        self._torn = b""  # of the next part, what there was of it

    @property
    def end(self) -> End | None:
        """The probe's own last record, once it has arrived."""
        return self._drain.held

    @property
    def complete(self) -> bool:
        """Whether the task has said how it ended, and every part of its recording is here."""
        return self.outcome is not None and self.number >= int(self.outcome.get("parts") or 0)

    def fetch(self) -> int:
        """Fetch what is new and return how many parts that were. Raises the SDK's errors."""
        before = self.number
        for store in self._stores:
            names = set(store.names())
            while name_of(self.number + 1) in names:
                if not self._take(store.get(name_of(self.number + 1))):
                    break
            if OUTCOME in names and self.outcome is None:
                self.outcome = _outcome(store.get(OUTCOME))
            if self.number:
                self._stores = [store]  # the task copies into one only
                break
        return self.number - before

    def take_whole(self, content: bytes) -> None:
        """Add a recording that is complete already."""
        self._drain.feed(content)

    def fetch_rest(self, patience: float) -> None:
        """Fetch until all is here, at most ``patience`` seconds. Raises the SDK's errors.

        Where the task was killed nobody says what all is: then until nothing more appears.
        """
        deadline = time.monotonic() + patience
        quiet = time.monotonic() + QUIET
        while True:
            if self.fetch():
                quiet = time.monotonic() + QUIET
            if self.complete or time.monotonic() > min(deadline, quiet):
                break
            time.sleep(0.5)
        self._salvage()

    def _take(self, packed: bytes) -> bool:
        """Add one part; False where only the beginning of it has arrived."""
        try:
            content = zlib.decompress(packed)
        except zlib.error:
            self._torn = packed
            return False
        self._torn = b""
        self.number += 1
        self._drain.feed(content)
        return True

    def _salvage(self) -> None:
        """Take the whole lines of a part whose writing was cut off."""
        with contextlib.suppress(zlib.error):
            content = zlib.decompressobj().decompress(self._torn)
            self._drain.feed(content[: content.rfind(b"\n") + 1])
        self._torn = b""

    def _see(self, record: Record) -> None:
        self.last = max(self.last, record.t)
        if isinstance(record, Header):
            self.header = self.header or record


def _outcome(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except ValueError:  # it has not arrived whole
        return None
    return found if isinstance(found, dict) else None
