"""Ctrl-C as a wish that is looked at, and not as an exception that may fall anywhere.

A KeyboardInterrupt between reading a line and writing it loses the line, and one in the middle of
leaving leaves half of it undone. So while a recording is followed the handler only counts; whoever
waits is woken, and what to do is decided where nothing can be lost.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts the signals that ask us to end, while its block runs; what is ignored stays ignored.

    Outside the main thread, where Python delivers no signals, none is ever counted.
    """

    def __init__(self, numbers: tuple[signal.Signals, ...] = ENDING) -> None:
        self.numbers: list[int] = []  # of the signals that came, in their order
        self._watched = numbers
        self._former: dict[int, Any] = {}
        self._wakeup = self._former_wakeup = -1
        self._woken = -1

    @property
    def count(self) -> int:
        """How many signals have come so far."""
        return len(self.numbers)

    def __enter__(self) -> Interrupts:
        self._woken, self._wakeup = _pipe()
        try:
            # Written to by the C handler: a signal just before we sleep wakes us too.
            self._former_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            return self
        for number in self._watched:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a job in the background
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._woken)
        os.close(self._wakeup)

    def wait(self, seconds: float, beyond: int = 0) -> bool:
        """Sleep until more than ``beyond`` signals have come; ``False`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.count <= beyond:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if select.select([self._woken], [], [], left)[0]:
                os.read(self._woken, 4096)
        return True

    def check(self) -> None:
        """Raise KeyboardInterrupt here, at a place that was chosen, if a signal has come."""
        if self.numbers:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.numbers.append(number)


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe that blocks nobody; without ``pipe2``, as on macOS, too."""
    if hasattr(os, "pipe2"):
        return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
