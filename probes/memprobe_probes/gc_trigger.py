"""Call a function now and then from Python's own garbage collections: no thread, no signal.

Why this is put together from C functions and not a plain ``def callback(phase, info)``: an
exception inside a ``gc.callbacks`` entry is printed and lost. Entering a Python function is where
CPython runs pending signal handlers and checks the recursion limit, so a plain callback would now
and then swallow the user's Ctrl-C, or print a RecursionError, at any collection. Here nothing but
C runs until work is due; then a generator resumes inside its own ``try``, and an exception that a
user's signal handler raised there is raised again in the user's code.
"""

from __future__ import annotations

import _operator
import gc
import time
from _functools import partial  # type: ignore[import-not-found]
from _thread import interrupt_main
from itertools import chain, repeat

from .user_signals import Held, behind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

    Clock = Callable[[], float]

AFTER_ERROR = 1.0  # seconds


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
        late = map(_operator.gt, now, map(self._due.__getitem__, repeat(0)))
        take = partial(self._turn.pop, 0, self._quiet)
        turns = map(next, iter(take, None))
        choice = map((self._quiet, turns).__getitem__, late)
        # Should a step ever end, ``chain`` goes on with zeros for good.
        steps = chain(map(next, choice), self._quiet)
        # gc calls entry(phase, info). Of all C functions that take two values and call a third,
        # a dict's ``get`` costs least: a key with the hash of "stop" is asked whether it equals
        # the phase, takes one step, and says no. The phase "start" asks nobody.
        step = staticmethod(partial(next, steps))
        hashed = staticmethod(partial(int, hash("stop")))
        key = type("Stop", (), {"__slots__": (), "__eq__": step, "__hash__": hashed})
        return {key(): 0}.get

    def _run(self) -> Generator[int, None, None]:
        came: list[int] = []  # signals that the user's code still has to see
        while True:
            try:
                # The jump back looks at signals too: this loop belongs inside the try.
                while True:
                    first = map(came.pop, repeat(0, len(came)))
                    deliver = map(interrupt_main, first)  # type: ignore[arg-type]
                    self._turn[0] = self._runner
                    # From here to the C code above nothing looks at signals: the user's handler
                    # runs, and raises, in the user's code.
                    yield 0 in deliver  # type: ignore[operator]
                    held = Held(came)
                    try:
                        held.hold()
                        pause = self._work()
                    finally:
                        held.release()
                    self._due[0] = self._clock() + pause
            except GeneratorExit:
                raise
            except BaseException as error:
                came.extend(behind(error))
                self._due[0] = self._clock() + AFTER_ERROR
