"""A recording whose place takes whole files only: Volumes, workspace files, DBFS.

It is written on the local disk. While it grows, what was added is copied to ``PATH.parts`` as one
more whole file; when it is complete, the whole of it is written to ``PATH`` and the parts go. What
ends before that leaves the parts, and ``memprobe report PATH.parts`` reads them.
"""

from __future__ import annotations

import os

from .segments import EVERY, PATIENCE, Segments

MOUNTS = ("/Volumes/", "/Workspace/", "/dbfs/")
PARTS = ".parts"
_BLOCK = 1 << 20


def is_remote(path: str) -> bool:
    """Whether ``path`` lies where a file can only be written whole."""
    return os.path.abspath(path).startswith(MOUNTS)


class Copy:
    """Copies the recording ``spool`` to ``path`` until ``finish``.

    Making one raises FileExistsError or another OSError where ``path`` cannot be written, and
    leaves nothing then. The other methods never raise.
    """

    def __init__(self, spool: str, path: str, every: float = EVERY) -> None:
        self.spool = spool
        self.path = os.path.abspath(path)
        self.folder = self.path + PARTS
        for name in (self.path, self.folder):
            if os.path.lexists(name):
                raise FileExistsError(f"{name} is there already")
        os.mkdir(self.folder, 0o700)
        self._segments = Segments(spool, [self.folder], every)
        self._segments.copy()
        if self._segments.failed:
            reason = self._segments.failed
            self._remove_parts()
            raise OSError(f"cannot write to {self.folder}: {reason}")
        self._segments.start()

    @property
    def failed(self) -> str | None:
        """Why the last copy did not succeed."""
        return self._segments.failed

    def wake(self) -> None:
        """Copy now, on the thread."""
        self._segments.wake()

    def finish(self, seconds: float = PATIENCE) -> bool:
        """Copy the rest, then the whole; return whether it stands at ``path`` now."""
        if not self._segments.finish(seconds):
            return False
        try:
            _copy_whole(self.spool, self.path)
        except OSError as error:
            self._segments.failed = error.strerror or type(error).__name__
            return False
        self._remove_parts()
        return True

    def _remove_parts(self) -> None:
        try:
            for name in os.listdir(self.folder):
                os.unlink(os.path.join(self.folder, name))
            os.rmdir(self.folder)
        except OSError:
            return


def _copy_whole(source: str, target: str) -> None:
    """Write a new file in one go, from its beginning to its end."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        writing = os.open(target, flags, 0o600)
        try:
            while block := os.read(reading, _BLOCK):
                data = memoryview(block)
                while data:
                    data = data[os.write(writing, data) :]
        finally:
            os.close(writing)
    finally:
        os.close(reading)
