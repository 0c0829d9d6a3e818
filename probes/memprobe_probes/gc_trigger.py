"""Call a function now and then from Python's own garbage collections: no thread, no signal.

Why this is put together from C functions and not a plain ``def callback(phase, info)``: an
exception inside a ``gc.callbacks`` entry is printed and lost. Entering a Python function is where
CPython runs pending signal handlers and checks the recursion limit, so a plain callback would now
and then swallow the user's Ctrl-C, or print a RecursionError, at any collection. Here nothing but
C runs until work is due; then a generator resumes inside its own ``try``, and an exception that a
user's signal handler raised there is raised again in the user's code.
"""

from __future__ import annotations

import _signal
import gc
import operator
import sys
import time
from _thread import interrupt_main
from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import chain, repeat
from types import TracebackType
from typing import Any

Clock = Callable[[], float]


class GcTrigger:
    """Calls ``work()`` at the first collection after each ``due`` time.

    ``work`` returns the seconds until it is due again. It runs in whichever thread collects,
    never twice at once.
    """

    def __init__(self, work: Callable[[], float], clock: Clock = time.monotonic) -> None:
        self._work = work
        self._clock = clock
        self._due = [clock()]
        self._quiet: Iterator[Any] = repeat(0)
        # Whoever pops the generator runs it; meanwhile everybody else finds ``_quiet``.
        self._turn: dict[int, Iterator[Any]] = {}
        self._runner = self._run()
        self._entry = self._build()

    def arm(self, delay: float) -> None:
        """Start: the first call is due in ``delay`` seconds."""
        self._due[0] = self._clock() + delay
        next(self._runner)  # to its first yield, so that it always resumes inside the try
        gc.callbacks.append(self._entry)

    def disarm(self) -> None:
        """Stop for good. Safe to call twice, and where the user emptied ``gc.callbacks``."""
        self._turn.clear()
        gc.callbacks[:] = [entry for entry in gc.callbacks if entry is not self._entry]

    def _build(self) -> Callable[..., Any]:
        now = iter(self._clock, None)
        late = map(operator.gt, now, map(self._due.__getitem__, repeat(0)))
        take = partial(self._turn.pop, 0, self._quiet)
        turns = map(next, iter(take, None))
        choice = map((self._quiet, turns).__getitem__, late)
        # Should a step ever end, ``chain`` goes on with zeros for good.
        steps = chain(map(next, choice), self._quiet)
        # gc calls entry(phase, info); max calls key(phase) and key(info), and compares zeros.
        return partial(max, key=partial(next, steps))

    def _run(self) -> Generator[int, None, None]:
        lost: tuple[int, ...] = ()
        while True:
            try:
                # Between the next two lines and the C code above no bytecode looks at signals.
                self._turn[0] = self._runner
                yield None in map(interrupt_main, lost)  # type: ignore[misc]
                lost = ()
                self._due[0] = self._clock() + self._work()
            except GeneratorExit:
                raise
            except BaseException as error:
                lost = _signal_behind(error)
                self._due[0] = max(self._due[0], self._clock() + 1.0)
                del error


def _signal_behind(error: BaseException) -> tuple[int, ...]:
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
        handler = getattr(type(handler), "__call__", handler)
    return getattr(handler, "__code__", sys)
