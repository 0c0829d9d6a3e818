"""Keep the program's signal handlers out of our code, and lose none of their exceptions.

A Python signal handler runs wherever its thread happens to be. In the middle of a measurement its
exception (Ctrl-C, a time-out, ``sys.exit`` on SIGTERM) would end in our code, not in the user's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any

_CAN_HOLD = hasattr(_signal, "sigtimedwait") and hasattr(_signal, "pthread_sigmask")


class Held:
    """Between creation and ``release`` no signal with a Python handler arrives in this thread."""

    def __init__(self) -> None:
        self._handled: set[int] = set()
        if _CAN_HOLD:
            self._handled = {n for n in _signal.valid_signals() if callable(_signal.getsignal(n))}
            self._before = _signal.pthread_sigmask(_signal.SIG_BLOCK, self._handled)

    def release(self) -> tuple[int, ...]:
        """Let signals through again; return those that came meanwhile, for ``interrupt_main``."""
        if not self._handled:
            return ()
        came = tuple(number for number in self._handled - self._before if self._take(number))
        self._handled = set()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._before)
        return came

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
