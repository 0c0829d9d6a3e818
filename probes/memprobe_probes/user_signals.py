"""Keep the program's signal handlers out of our code, and lose none of their exceptions.

A Python signal handler runs wherever its thread happens to be. In the middle of a measurement its
exception (Ctrl-C, a time-out, ``sys.exit`` on SIGTERM) would end in our code, not in the user's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys
from _functools import partial  # type: ignore[import-not-found]
from types import TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CAN_HOLD = hasattr(_signal, "sigtimedwait") and hasattr(_signal, "pthread_sigmask")


class Held:
    """Between ``hold`` and ``release`` no signal with a Python handler arrives in this thread.

    Either may raise what a handler raises that was waiting already; ``release`` must follow all
    the same, so both belong into one ``try … finally``.
    """

    def __init__(self, came: list[int]) -> None:
        self._came = came
        self._handled: set[int] = set()
        self._before: set[int] = set()

    def hold(self) -> None:
        """Keep signals away. Linux only; elsewhere this does nothing."""
        if _CAN_HOLD:
            handled = {n for n in _signal.valid_signals() if callable(_signal.getsignal(n))}
            self._before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
            self._handled = handled - self._before
            # This runs waiting handlers after it has blocked: the mask must be known by now.
            _signal.pthread_sigmask(_signal.SIG_BLOCK, self._handled)

    def release(self) -> None:
        """Let signals through again; those that came meanwhile are appended to ``came``."""
        handled, self._handled = self._handled, set()
        if not handled:
            return
        try:
            self._came.extend(number for number in handled if self._take(number))
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self._before)

    @staticmethod
    def _take(number: int) -> bool:
        return number in _signal.sigpending() and _signal.sigtimedwait({number}, 0) is not None


def behind(error: BaseException) -> tuple[int, ...]:
    """Return the signal whose handler raised ``error``, as a tuple of none or one number."""
    codes = set(_codes(error.__traceback__))
    for number in _signal.valid_signals():
        handler = _signal.getsignal(number)
        if handler is _signal.default_int_handler:
            if isinstance(error, KeyboardInterrupt):
                return (number,)
        elif callable(handler) and _code(handler) in codes:
            return (number,)
    return ()


def _codes(step: TracebackType | None) -> Iterator[Any]:
    while step is not None:
        yield step.tb_frame.f_code
        step = step.tb_next


def _code(handler: Any) -> Any:
    while isinstance(handler, partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    if not hasattr(handler, "__code__"):
        handler = getattr(type(handler), "__call__", handler)  # noqa: B004
    return getattr(handler, "__code__", sys)
