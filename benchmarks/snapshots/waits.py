"""How long a thread of the program stands still while another one works.

Two ways to see it, each in a run of its own: a thread that wants to wake every millisecond, with
the main thread asleep; and the main thread in a loop of its own that looks at the clock.
"""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TICK = 0.001  # seconds
NOTICED = 1_000_000  # ns: shorter gaps are not counted as lost


@dataclass
class Waited:
    """What the work gave, the seconds it took, the largest gap and the sum of gaps, in ns."""

    answer: Any
    seconds: float
    gap: int
    lost: int


def beside_a_ticker(work: Callable[[], Any]) -> Waited:
    """Do the work on a thread while another one wakes every millisecond."""
    gaps = [0, 0]
    ended: list[bool] = []
    left = _thread.allocate_lock()
    left.acquire()
    _thread.start_new_thread(_tick, (ended, gaps, left))
    done, result = _started(work)
    done.acquire()
    ended.append(True)
    left.acquire()
    return _waited(result, gaps)


def beside_a_loop(work: Callable[[], Any]) -> Waited:
    """Do the work on a thread while this one, the main thread, looks at the clock in a loop."""
    gaps = [0, 0]
    done, result = _started(work)
    now = time.perf_counter_ns
    last = now()
    while done.locked():
        at = now()
        if at - last > gaps[0]:
            gaps[0] = at - last
        if at - last > NOTICED:
            gaps[1] += at - last
        last = at
    return _waited(result, gaps)


def _tick(ended: list[bool], gaps: list[int], left: Any) -> None:
    now, sleep = time.perf_counter_ns, time.sleep
    last = now()
    while not ended:
        sleep(TICK)
        at = now()
        late = at - last - int(TICK * 1e9)
        if late > gaps[0]:
            gaps[0] = late
        if late > NOTICED:
            gaps[1] += late
        last = at
    left.release()


def _started(work: Callable[[], Any]) -> tuple[Any, list[Any]]:
    """Begin the work on a thread; the lock is open when it has ended."""
    done = _thread.allocate_lock()
    done.acquire()
    result: list[Any] = []

    def run() -> None:
        start = time.perf_counter()
        try:
            answer = work()
        except BaseException as error:  # a tool's own: to be told, not to end the thread
            answer = error
        result.extend((answer, time.perf_counter() - start))
        done.release()

    _thread.start_new_thread(run, ())
    return done, result


def _waited(result: list[Any], gaps: list[int]) -> Waited:
    answer, seconds = result
    if isinstance(answer, BaseException):
        raise answer
    return Waited(answer, seconds, gaps[0], gaps[1])
