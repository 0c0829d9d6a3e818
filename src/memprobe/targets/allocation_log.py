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
from memprobe.recording.schema import Allocations, Event, GroupSites, Record, Site, Snapshot
from memprobe.targets.allocation_places import Hit, Live, Wanted
from memprobe.targets.allocation_stacks import Stacks, same_place

SUFFIX = ".memray.bin"
DOCS = "allocations.md"
MOST_HELD = 20  # rows of the table of what was still held
LEAST_HELD = 64 * 1024  # bytes of one of them
LEAST_SHARE = 0.01  # of a group's bytes: a smaller site is left out
MOST_STACKS = 4000  # largest stacks that are looked at for it
MOST_RECORDS = 10_000_000  # that are gone through one by one, at about a million a second
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
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o600))
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
                self._read(record)
        except KeyboardInterrupt:
            record.failed = "it was interrupted"
        except Exception as error:
            # Whatever memray's reader makes of a file that was cut off or is of another version.
            record.failed = f"{type(error).__name__}: {error}".splitlines()[0]
        return record

    def _read(self, record: Allocations) -> None:
        import memray

        with memray.FileReader(self.path) as reader:
            stacks = Stacks(self.cells, native=self.native)
            record.recorded = reader.metadata.total_allocations
            leaked = list(reader.get_leaked_allocation_records(merge_threads=True))
            live = self._replayed(record, reader)
            _tables(record, leaked, list(live.reserved()) if live else [], stacks)
            if live is not None and self._snapshot is not None:
                self._join(record, self._snapshot, live, stacks)

    def _settled(self, snapshot: Snapshot) -> bool:
        """Whether the log had ended when the snapshot was taken.

        Then an address in one is the same memory in the other; else it may be used again.
        """
        later = self._ended is not None and snapshot.t >= self._ended
        return later or snapshot.reason == "exit"

    def _replayed(self, record: Allocations, reader: Any) -> Live | None:
        """Go through the log allocation by allocation, where it is not too long for that."""
        if (record.recorded or 0) > MOST_RECORDS:
            record.unjoined = (
                f"more than {MOST_RECORDS:,} allocations; what was only mapped is not told apart"
            )
            return None
        groups = self._snapshot.groups if self._snapshot is not None else []
        if not any(group.places for group in groups):
            record.unjoined = "no snapshot noted where its objects lie"
        return Live(reader.get_allocation_records(), Wanted(groups))

    def _join(self, record: Allocations, snapshot: Snapshot, live: Live, stacks: Stacks) -> None:
        """Tell for each group of the last snapshot where its places had been allocated."""
        record.snapshot = snapshot.t
        settled = self._settled(snapshot)
        for number, hits in live.found().items():
            sites = stacks.merged(Hit(one, nbytes, own and settled) for one, nbytes, own in hits)
            least = LEAST_SHARE * sum(site.bytes or 0 for site in sites)
            sites = [site for site in sites if (site.bytes or 0) >= least]
            if sites:
                record.groups.append(GroupSites(group=number, sites=sites))


def _tables(record: Allocations, leaked: list[Any], reserved: list[Hit], stacks: Stacks) -> None:
    """Fill in what was held and what was only mapped: memray's own sums have both together."""
    largest = sorted(leaked, key=lambda one: -int(one.size))[:MOST_STACKS]
    held = stacks.merged(Hit(one, one.size, True) for one in largest)
    mapped = stacks.merged(reserved)
    for site in mapped:
        for other in held:
            if same_place(site, other):
                other.bytes = (other.bytes or 0) - (site.bytes or 0)
    record.mapped_bytes = sum(one.bytes for one in reserved)
    record.held_bytes = sum(one.size for one in leaked) - record.mapped_bytes
    record.held = _longest(held)
    record.mapped = _longest(mapped)


def _longest(sites: list[Site]) -> list[Site]:
    rows = [site for site in sites if (site.bytes or 0) >= LEAST_HELD]
    return sorted(rows, key=lambda site: -(site.bytes or 0))[:MOST_HELD]


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
