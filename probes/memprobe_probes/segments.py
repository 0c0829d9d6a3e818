"""The recording of a process on a cluster, copied in whole files to where it outlives the cluster.

What a cluster mounts from its cloud (Volumes, workspace files) refuses to be appended to, and what
the driver has on its own disk is gone with it. So the recording is written locally, as ever, and
what was added since the last copy becomes one more file ``part-000001``, ``part-000002`` …: whole
lines, compressed; a file of which only a part has arrived cannot be unpacked and is no part yet.

A thread of its own copies: writing to a mount may take seconds, or never come back.
"""

from __future__ import annotations

import _thread
import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY = 15.0  # seconds between two copies
LARGEST = 8 << 20  # bytes of the recording in one file, before they are packed
PATIENCE = 30.0  # seconds that the last copies may take
_BLOCK = 1 << 20
OUTCOME = "outcome.json"


def name_of(number: int) -> str:
    """Return the name of the file that holds the ``number``-th part; the first is 1."""
    return f"part-{number:06d}"


class Segments:
    """Copies ``spool`` into the first of ``folders`` that takes a file. Its methods never raise."""

    def __init__(self, spool: str, folders: Sequence[str], every: float = EVERY) -> None:
        self.spool = spool
        self.folder: str | None = None  # the one that takes them
        self.failed: str | None = None  # why nothing could be copied last
        self.number = 0  # of parts that were written
        self._folders = list(folders)
        self._every = every
        self._offset = 0
        self._pid = os.getpid()
        self._stopped = False
        self._started = False
        self._copying = _thread.allocate_lock()
        self._alarm = _thread.allocate_lock()  # held while there is nothing to wake up for
        self._ended = _thread.allocate_lock()  # held while the thread runs

    def start(self) -> None:
        """Start to copy."""
        try:
            self._alarm.acquire(False)
            self._ended.acquire(False)
            self._started = True
            _thread.start_new_thread(self._run, ())
        except Exception as error:
            self._started = False
            self.failed = _told(error)

    def wake(self) -> None:
        """Copy now, on the thread."""
        try:
            self._alarm.release()
        except RuntimeError:  # it is awake
            pass

    def finish(self, seconds: float = PATIENCE) -> bool:
        """Copy what is left and end the thread; return whether all of it has been copied."""
        if os.getpid() != self._pid:
            return False
        self._stopped = True
        if not self._started:
            return self.copy()
        self.wake()
        if not self._ended.acquire(timeout=seconds):
            self.failed = self.failed or f"writing to {self.folder} takes longer than {seconds:g} s"
            return False
        return self.failed is None

    def copy(self) -> bool:
        """Copy what is new; return whether all that is there has been copied."""
        if os.getpid() != self._pid:
            return False
        try:
            with self._copying:
                while content := self._new_lines():
                    self._write(name_of(self.number + 1), zlib.compress(content, 6))
                    self.number += 1
                    self._offset += len(content)
            self.failed = None
        except Exception as error:
            self.failed = _told(error)
        return self.failed is None

    def leave_word(self, text: str) -> bool:
        """Write how it ended, beside the parts."""
        try:
            self._write(OUTCOME, text.encode())
        except Exception as error:
            self.failed = _told(error)
            return False
        return True

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._alarm.acquire(timeout=self._every)
                self.copy()
            self.copy()
        except BaseException:
            pass
        finally:
            self._ended.release()

    def _new_lines(self) -> bytes:
        """Return the whole lines that follow what was copied; a line is never taken apart."""
        fd = os.open(self.spool, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            content = b""
            while block := os.pread(fd, _BLOCK, self._offset + len(content)):
                content += block
                if len(content) >= LARGEST and b"\n" in content:
                    break
        finally:
            os.close(fd)
        return content[: content.rfind(b"\n") + 1]

    def _write(self, name: str, content: bytes) -> None:
        """Write one whole file, in the folder that takes it; the first file decides which."""
        if self.folder is not None:
            _write_whole(os.path.join(self.folder, name), content)
            return
        refused = None
        for folder in self._folders:
            try:
                _write_whole(os.path.join(folder, name), content)
            except OSError as error:
                refused = error
                continue
            self.folder = folder
            return
        raise refused or FileNotFoundError("no folder was named")


def _write_whole(path: str, content: bytes) -> None:
    """Write a new file from its beginning to its end, as mounts of object stores want it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = memoryview(content)
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)  # what a mount could not store it says here, if ever


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
