"""The copy of this process that walks: its answer, its end, and what if neither comes."""

from __future__ import annotations

import os
import time
from _signal import SIGALRM, SIGKILL  # type: ignore[import-not-found]

from .native_answer import Answer, Incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "memprobe-copy"  # of the process, from its first moment on
_GRACE = 1.0  # seconds after the copy should have ended itself
_LONGEST = 0.5  # seconds until it is looked whether it has had its time
_ENDINGS = {71: "there is no memory for its tables", 74: "its answer could not be written"}


class Crashed(Incomplete):
    """What killed the copy would have killed the program: nothing may walk there in its place."""


class Hung(Crashed):
    """It has not come to its end in its time: a second one would not either."""


class Child:
    """One copy at work. ``seconds`` is what it gets before the kernel ends it."""

    def __init__(
        self, walker: Any, request: tuple[Any, ...], seconds: int, known: bytes | None = None
    ) -> None:
        self._walker = walker
        self._owner = os.getpid()
        self._out = os.memfd_create("memprobe", os.MFD_CLOEXEC)
        self._until = time.monotonic() + seconds + _GRACE
        self._status: int | None = None
        self.cpu_ns = 0  # what it has taken, once it has ended
        try:
            self.pid = walker.spawn(request, self._out, seconds, known)
        except BaseException:
            self.close()
            raise

    def done(self) -> bool:
        """Whether it has ended; past its time it is ended here."""
        if self._status is not None:
            return True
        if os.getpid() != self._owner:
            raise Incomplete("this is a fork of the process that asked")
        if not self._has_ended() and time.monotonic() > self._until:
            self.kill()  # it is stopped, or was given no time: its own clock has not ended it
            self._status = SIGALRM
        return self._status is not None

    def wait(self, seconds: float) -> bool:
        """Wait up to so long for its end; return whether it has come."""
        until = time.monotonic() + seconds
        while not self.done():
            left = min(until - time.monotonic(), _LONGEST)
            if left <= 0:
                return False
            self._walker.rest(self.pid, int(left * 1000) + 1)
        return True

    def _has_ended(self) -> bool:
        try:
            self._ended(self._walker.wait(self.pid, False))
        except ChildProcessError:
            self._status = 0  # somebody else has waited for it: its answer may be there
        return self._status is not None

    def _ended(self, found: tuple[int, int] | None) -> None:
        if found is not None:
            self._status, self.cpu_ns = found

    def kill(self) -> None:
        """End it, and wait for that."""
        if self._status is None and not self._has_ended():
            try:
                os.kill(self.pid, SIGKILL)
                self._ended(self._walker.wait(self.pid, True))
            except OSError:
                self._status = 0

    def answer(self) -> Answer:
        """Return what it found. Raises ``Incomplete``: why there is nothing."""
        try:
            _explain(self._status)
            return Answer(_content(self._out))
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the answer; a copy that still works is ended."""
        if getattr(self, "pid", 0) and os.getpid() == self._owner:
            self.kill()
        out, self._out = self._out, -1
        if out >= 0:
            os.close(out)


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, size, 0)
    while len(content) < size:  # one call reads 2 GiB at most
        more = os.pread(descriptor, size - len(content), len(content))
        if not more:
            break
        content += more
    return content


def _explain(status: int | None) -> None:
    """Raise ``Incomplete`` unless the copy ended well."""
    if status is None:
        raise Incomplete("it is not finished")
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by == SIGALRM:
            raise Hung("it took longer than it may")
        if ended_by == SIGKILL:
            raise Incomplete("it was killed, as for lack of memory")
        raise Crashed(f"it crashed (signal {ended_by})")
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise Incomplete(_ENDINGS.get(code, f"it ended with {code}"))
