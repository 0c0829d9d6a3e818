"""The log of allocations that ``memprobe run --memray`` writes beside the recording.

The target's own memray writes it; we make the file beforehand, so that only its owner can read it,
and read it once the target has ended. What it says becomes one record of the recording: a report
needs the log no more.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from memprobe.errors import RecordingError, TargetError
from memprobe.recording.naming import free
from memprobe.recording.schema import Allocations, Event, Record, Snapshot
from memprobe.targets.allocation_reading import Question, answer
from memprobe.targets.session import write_private

SUFFIX = ".memray.bin"
DOCS = "allocations.md"
FAILED = "allocations-failed"  # the probe's event
IMPORT = 30.0  # seconds a Python may take to import memray


class AllocationLog:
    """One log: made before the target starts, read after its end, named like the recording."""

    def __init__(self, path: Path, *, native: bool) -> None:
        self.path = path
        self.native = native
        self.cells: dict[str, int] = {}  # file → execution count, told by the kernel
        self._snapshot: Snapshot | None = None  # the last one
        self._ended: int | None = None  # when the target's memray had stopped, on its clock
        self._trouble: str | None = None  # why the target could not write it

    @classmethod
    def create(cls, recording: Path, *, native: bool, force: bool) -> AllocationLog:
        """Make the empty file beside ``recording``; RecordingError where there is one already."""
        path = beside(recording)
        if path.exists() and path.stat().st_size and not force:
            raise RecordingError(
                f"cannot write allocations to {path}",
                cause="the file exists and is not empty",
                remedy="choose another name with -o, or overwrite it with --force",
                docs=DOCS,
            )
        try:
            with suppress(FileNotFoundError):
                path.unlink()
            write_private(path, b"")
        except OSError as error:
            raise RecordingError(
                f"cannot write allocations to {path}",
                cause=(error.strerror or str(error)).lower(),
                remedy="choose a place you may write to with -o FILE",
                docs=DOCS,
            ) from None
        return cls(path, native=native)

    @property
    def config(self) -> dict[str, Any]:
        """What the probe is told."""
        return {"file": str(self.path.absolute()), "native": self.native}

    def follow(self, recording: Path) -> None:
        """Take the name that fits the recording's final one."""
        path = beside(recording)
        if path != self.path:
            path = free(path)
            with suppress(OSError):
                os.rename(self.path, path)
                self.path = path

    def discard(self) -> None:
        """Delete it: the target never started."""
        self.path.unlink(missing_ok=True)

    def see(self, record: Record) -> None:
        """Note what the probe recorded, as far as it concerns the log."""
        if isinstance(record, Snapshot) and record.skipped is None:
            self._snapshot = record
        elif isinstance(record, Event) and record.event == FAILED:
            self._trouble = record.detail

    def ended(self, reply: dict[str, Any] | None) -> None:
        """Note the kernel's answer to ``end-log``: from now on nothing is added."""
        if reply is not None and reply.get("ok"):
            self.cells = dict(reply["result"]["cells"])
            self._ended = time.monotonic_ns()

    def read(self) -> Allocations:
        """Return what the log says. Never raises: what could not be read is in ``failed``."""
        record = Allocations(t=time.monotonic_ns(), file=self.path.name, native=self.native)
        try:
            record.file_bytes = self.path.stat().st_size
            if self._trouble or not record.file_bytes:
                record.failed = self._trouble or "the program ended before memray had started"
                self.discard()
            else:
                question = Question(
                    str(self.path.absolute()), record, self.cells, self._snapshot, self._settled()
                )
                record = answer(question)
        except KeyboardInterrupt:
            record.failed = "it was interrupted"
        except Exception as error:
            record.failed = f"{type(error).__name__}: {error}".splitlines()[0]
        return record

    def _settled(self) -> bool:
        """Whether the log had ended when the last snapshot was taken.

        Then an address in one is the same memory in the other; else it may be used again.
        """
        snapshot = self._snapshot
        if snapshot is None:
            return False
        later = self._ended is not None and snapshot.t >= self._ended
        return later or snapshot.reason == "exit"


def beside(recording: Path) -> Path:
    """Return the log's path: ``etl.memprobe`` → ``etl.memray.bin``."""
    stem = recording.stem if recording.suffix == ".memprobe" else recording.name
    return recording.with_name(stem + SUFFIX)


def require_memray(line: tuple[str, ...]) -> None:
    """Raise TargetError where the Python that ``line`` starts cannot import memray.

    A command that is no Python by its name is not asked: the probe in it says so in the report.
    """
    if not line or line[0] == sys.executable:
        if importlib.util.find_spec("memray") is not None:
            return
        raise _missing(sys.executable, "No module named 'memray'")
    python = shutil.which(line[0])
    if python is None or not re.fullmatch(r"(python|pypy)[0-9.]*", os.path.basename(line[0])):
        return
    try:
        asked = subprocess.run(
            [python, "-c", "import memray"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=IMPORT, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise _missing(python, str(error)) from None
    if asked.returncode:
        raise _missing(python, (asked.stderr.strip().splitlines() or ["it failed"])[-1])


def _missing(python: str, cause: str) -> TargetError:
    return TargetError(
        f"cannot record allocations: {python} cannot import memray",
        cause=cause,
        remedy=f"install it there: {python} -m pip install memray; or run without --memray",
        docs=DOCS,
    )
