"""Reading a recording that may have been cut off at any byte; refusing what is none.

    read(path) -> Recording

A file that ends inside a line loses that line and nothing else. A bad line in the middle, a kind
or a field of a later version is skipped and counted in ``Recording.warnings``. A file whose first
record is no header of a format we know is refused with a RecordingError.
"""

from __future__ import annotations

import gc
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from memprobe.errors import RecordingError
from memprobe.recording import parts
from memprobe.recording.lines import (
    RECORDS,
    UnreadableLine,
    convert,
    familiar,
    parse,
    unknown_fields,
)
from memprobe.recording.schema import (
    FORMAT,
    Account,
    Allocations,
    End,
    Event,
    Header,
    Jvm,
    JvmLevel,
    Marker,
    Record,
    Sample,
    Snapshot,
    Spark,
)

DOCS_PAGE = "recording.md"

# A header is far below 64 KiB; reading no further keeps a huge file that is no recording cheap.
LONGEST_HEADER = 1 << 20

# Where they exist: never wait for a FIFO's writer, never leak the file into a child.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

HEADER_PREFIX = b'{"kind":"header"'


@dataclass
class Recording:
    """The records of one file in the order they were written, by kind.

    ``end`` is None where the run was cut off; ``torn`` says that the file ends inside a line;
    ``warnings`` are sentences about what was skipped.
    """

    path: Path
    header: Header
    samples: list[Sample] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    spark: list[Spark] = field(default_factory=list)
    jvm: list[Jvm] = field(default_factory=list)
    jvm_levels: list[JvmLevel] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    allocations: Allocations | None = None
    end: End | None = None
    torn: bool = False
    warnings: list[str] = field(default_factory=list)


def read(path: str | os.PathLike[str]) -> Recording:
    """Return the recording at ``path``.

    Raises RecordingError where there is no such file, it cannot be read, it is no recording, or
    a newer memprobe wrote it.
    """
    try:
        with _open(Path(path)) as file, _no_collections():
            recording = Recording(Path(path), _header(file, Path(path)))
            _read_records(file, recording)
    except OSError as error:
        raise RecordingError(
            f"cannot read {path}",
            cause=error.strerror or str(error),
            remedy="check the name and that you may read it",
        ) from None
    return recording


@contextmanager
def _no_collections() -> Iterator[None]:
    """Read without the garbage collector: records hold no cycles, and it would walk all of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _open(path: Path) -> BinaryIO:
    """Open a regular file for reading; a FIFO or a device is refused instead of waited for."""
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except ValueError as error:  # a NUL in the name
        raise _refusal(path, str(error), "check the name") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb", buffering=1 << 16)
    os.close(descriptor)
    if stat.S_ISDIR(mode) and parts.are_in(path):
        return parts.joined(path)
    if stat.S_ISDIR(mode):
        raise _refusal(path, "it is a directory", f"name the files in it: {path}/*.memprobe")
    raise _refusal(path, "it is not a regular file", "name a *.memprobe file")


def _header(file: BinaryIO, path: Path) -> Header:
    """Return the first record, or say precisely why this file is no recording."""
    line = file.readline(LONGEST_HEADER)
    if not line:
        raise _refusal(path, "it is empty", "record again: the run ended before its first record")
    try:
        raw = parse(line)
    except UnreadableLine:
        raise _no_first_record(path, line) from None
    if raw.get("kind") != "header":
        raise _refusal(
            path,
            "its first record is not a header",
            "name a file written by memprobe run or memprobe attach (*.memprobe)",
        )
    _refuse_newer(raw.get("format"), path)
    return _converted_header(raw, path)


def _no_first_record(path: Path, line: bytes) -> RecordingError:
    start = line.replace(b" ", b"")[: len(HEADER_PREFIX)]
    if not line.endswith(b"\n") and HEADER_PREFIX.startswith(start):
        return _refusal(
            path,
            "it was cut off before its first record",
            "record again: nothing was saved before the run or the disk ended",
        )
    return _refusal(
        path,
        "its first line is not a record",
        "name a file written by memprobe run or memprobe attach (*.memprobe)",
    )


def _refuse_newer(version: Any, path: Path) -> None:
    if isinstance(version, int) and version > FORMAT:
        raise RecordingError(
            f"cannot read {path}: it has format {version}, and this memprobe reads {FORMAT}",
            cause="a newer memprobe wrote it",
            remedy="pip install --upgrade memprobe-spark",
            docs=DOCS_PAGE,
        )


def _converted_header(raw: dict[str, Any], path: Path) -> Header:
    try:
        header = convert(raw, Header)
    except UnreadableLine as error:
        raise _refusal(path, f"its header is damaged: {error}", "record again") from None
    assert isinstance(header, Header)
    return header


def _refusal(path: Path, cause: str, remedy: str) -> RecordingError:
    return RecordingError(f"{path} is no recording", cause=cause, remedy=remedy, docs=DOCS_PAGE)


def _read_records(file: BinaryIO, recording: Recording) -> None:
    """Sort every record after the header into ``recording`` and count what had to be skipped."""
    skipped: Counter[str] = Counter()
    for record in _records(file, recording, skipped):
        _add(recording, record, skipped)
    recording.warnings = [_sentence(what, times) for what, times in skipped.items()]


def _records(file: BinaryIO, recording: Recording, skipped: Counter[str]) -> Iterator[Record]:
    for line in file:
        record = familiar(line) or _unfamiliar(line, recording, skipped)
        if record is not None:
            yield record


def _unfamiliar(line: bytes, recording: Recording, skipped: Counter[str]) -> Record | None:
    """Return what this version understands of a line that is not wholly as it knows them."""
    try:
        raw = parse(line)
        kind = RECORDS.get(raw.get("kind", ""))
        record = convert(raw, kind) if kind else None
    except (UnreadableLine, TypeError):
        # Without its newline the last line was being written when everything stopped.
        if line.endswith(b"\n"):
            skipped["unreadable line"] += 1
        else:
            recording.torn = True
        return None
    if record is None or kind is None:
        skipped[f"record of the unknown kind {str(raw.get('kind'))[:40]!r}"] += 1
        return None
    for name in unknown_fields(raw, kind):
        skipped[f"unknown field {raw['kind']}.{name[:40]}"] += 1
    return record


def _add(recording: Recording, record: Record, skipped: Counter[str]) -> None:
    match record:
        case Sample():
            recording.samples.append(record)
        case Marker():
            recording.markers.append(record)
        case Snapshot():
            recording.snapshots.append(record)
        case Event():
            recording.events.append(record)
        case Spark():
            recording.spark.append(record)
        case Jvm():
            recording.jvm.append(record)
        case JvmLevel():
            recording.jvm_levels.append(record)
        case Account():
            recording.accounts.append(record)
        case Allocations():
            recording.allocations = record
        case End():
            recording.end = _joined(recording.end, record)
        case Header():
            skipped["second header"] += 1


def _joined(earlier: End | None, later: End) -> End:
    """Return the later end record; what it does not know is taken from the earlier one.

    A probe writes its own end with what it measured; the host adds the exit status it saw.
    """
    if earlier is not None:
        for name in ("status", "signal", "peak", "wall", "cpu"):
            if getattr(later, name) is None:
                setattr(later, name, getattr(earlier, name))
    return later


def _sentence(what: str, times: int) -> str:
    return f"skipped {what}" if times == 1 else f"skipped {what} ({times} times)"
