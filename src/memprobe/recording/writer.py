"""Write a recording: one line per record, whole lines only, never a rewrite."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import msgspec

from memprobe.errors import RecordingError
from memprobe.recording.schema import Record

PROOF_BYTES = 64 * 1024  # written and cut off again, so a full disk is known beforehand


class RecordingWriter:
    """The one writer of a recording file (mode 0600).

    ``failed`` holds the reason once a write did not succeed: from then on nothing more is
    written, and nothing is raised, because the target's run matters more than its recording.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.failed: str | None = None
        self.written = 0
        self._descriptor = descriptor
        self._encode = msgspec.json.Encoder().encode

    @classmethod
    def create(cls, path: Path, *, force: bool = False) -> RecordingWriter:
        """Open ``path`` for a new recording and prove that it can be written.

        Raises ``RecordingError`` where the file cannot be created, is no regular file, holds
        something already (unless ``force``), or the disk takes no more.
        """
        existed = path.exists()
        descriptor = _open(path)
        try:
            _prove(path, descriptor, force)
        except BaseException:
            os.close(descriptor)
            if not existed:
                path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    def rename(self, path: Path) -> None:
        """Give the file its final name; on trouble it keeps the one it has."""
        try:
            os.rename(self.path, path)
        except OSError:
            return
        self.path = path

    def write(self, record: Record) -> None:
        """Append one record."""
        self.write_line(self._encode(record) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Append one whole line (``line`` ends with a newline). Never raises."""
        if self.failed is not None:
            return
        try:
            self._write_all(line)
        except OSError as error:
            self.failed = os.strerror(error.errno or 0)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            self.failed = self.failed or "closed"

    def discard(self) -> None:
        """Close and delete: for a recording whose target never started."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write_all(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            count = os.write(self._descriptor, rest)
            self.written += count
            rest = rest[count:]


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _prove(path: Path, descriptor: int, force: bool) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise RecordingError(
            f"cannot record into {path}",
            cause="it is not a regular file",
            remedy="give -o a file name, for example -o run.memprobe",
        )
    if status.st_size and not force:
        raise RecordingError(
            f"cannot record into {path}",
            cause="the file exists and is not empty",
            remedy="choose another name, or overwrite it with --force",
        )
    try:
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        _try_to_fill(descriptor)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _try_to_fill(descriptor: int) -> None:
    # fsync makes file systems that allocate late (quotas, network volumes) answer now.
    try:
        rest = PROOF_BYTES
        while rest:
            rest -= os.write(descriptor, b"\n" * rest)
        os.fsync(descriptor)
    finally:
        os.ftruncate(descriptor, 0)


def _cannot_write(path: Path, error: OSError) -> RecordingError:
    remedies = {
        errno.ENOSPC: "free some space, or record elsewhere: -o /other/disk/run.memprobe",
        errno.EDQUOT: "free some of your quota, or record elsewhere with -o FILE",
        errno.ENOENT: "create the directory first, or choose another with -o FILE",
        errno.EISDIR: "give -o a file name inside it",
    }
    return RecordingError(
        f"cannot record into {path}",
        cause=(error.strerror or str(error)).lower(),
        remedy=remedies.get(error.errno or 0, "choose a place you may write to with -o FILE"),
    )
