"""Stand between a shell and the target without either noticing: signals, stops, the exit status.

The target shares our process group, so the terminal's own signals (Ctrl-C, Ctrl-\\, Ctrl-Z) reach
it without us; what somebody sends to our pid alone is passed on.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
)
STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
FROM_KERNEL = 0x80  # si_code SI_KERNEL: typed at the terminal, so the whole group has it


class Stopped(NamedTuple):
    """The target was stopped by this signal."""

    signal: int


class ChildSignals:
    """Context in which signals wait for us instead of ending us; entered before the spawn."""

    def __init__(self) -> None:
        # What was ignored when we started (nohup, a background job) stays ignored in the target.
        self._ours = {
            number: former
            for number in PASSED_ON
            if (former := signal.getsignal(number)) != signal.SIG_IGN
        }
        self._watched = {*self._ours, signal.SIGCHLD}
        self._early: list[int] = []
        self._pid = 0
        self._mask: set[Any] = set()

    def __enter__(self) -> ChildSignals:
        for number in self._ours:
            # A handler, not a block: exec resets handlers, but would inherit a blocked signal.
            signal.signal(number, lambda number, frame: self._early.append(number))
        return self

    def follow(self, pid: int) -> None:
        """From now on wait for signals and pass them on to ``pid``."""
        self._pid = pid
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        for number in self._early:
            self._send(number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pid:
            # What comes while the target ends was meant for it, not for its report.
            while signal.sigtimedwait(set(self._ours), 0) is not None:
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, former in self._ours.items():
            signal.signal(number, former if former is not None else signal.SIG_DFL)

    def wait(self, seconds: float) -> bool:
        """Wait for the next signal and pass it on; ``False`` when the time was over first."""
        info = signal.sigtimedwait(self._watched, max(seconds, 0.0))
        if info is None:
            return False
        if info.si_signo != signal.SIGCHLD and info.si_code != FROM_KERNEL:
            self._send(info.si_signo)
        return True

    def reap(self) -> tuple[int, Any] | Stopped | None:
        """Return the target's (wait status, usage) once it has ended, ``None`` while it runs.

        When job control has stopped the target, stop like it, and let it go on afterwards.
        """
        pid, status, usage = os.wait4(self._pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if not os.WIFSTOPPED(status):
            return status, usage
        stop = os.WSTOPSIG(status)
        if stop in STOPS:
            self._stop_like_target(stop)
        return Stopped(stop)

    def _stop_like_target(self, number: int) -> None:
        handler = signal.signal(number, signal.SIG_DFL)
        # Sent while it is blocked, so that it is one with the terminal's own, if that is pending.
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # stopped here, until continued
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        # Gone, or it has become another user: not ours to tell.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, number)
