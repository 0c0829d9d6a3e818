"""What the driver's JVM holds when a cell has ended, though a whole reading is not due yet.

Whole readings rest in proportion to what they cost, on a busy machine for longer than a cell takes:
rounds of the same work would have no reading of their own. What tells whether a round left more is
little: on the user's thread a handful of calls go out in one step, and the collectors' reports that
they bring are objects that no longer change; the reader's thread looks into them when it comes to
it. It has a budget of its own.
"""

from __future__ import annotations

import _thread
import time

from . import spark_counts, spark_jvm, spark_reads
from .jvm_wire import Handle, JvmError, JvmGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .jvm_wire import Gateway
    from .spark_session import Driver

SHARE = 0.002  # of one core, that looking into reports may take
MOST_WAITING = 50  # cells whose levels wait to be looked into
LEAST_REST = 1.0  # seconds between two levels of a program that has no cells
_MS = 1_000_000  # ns
PARTS = 50  # of a program's time: as it grows longer, so do the rests


class Level:
    """What was noted at one moment; ``reports`` are the collectors' own, as they were then."""

    def __init__(self, cell: int | None, answers: list[Any], collectors: int, held: int) -> None:
        self.t = time.monotonic_ns()
        self.cell = cell
        self.python_objects = spark_counts.python_objects()
        size, jobs, uptime, stored, *rest = answers
        self.stored = stored if type(stored) is int else None
        self.began: int | None = None  # of the JVM, monotonic ns
        if type(uptime) is int:
            self.began = self.t - uptime * _MS
        self.jvm_objects = size - held if type(size) is int else None
        self.jobs = jobs if type(jobs) is int else None
        self.counts = rest[:collectors]
        known = all(type(one) is int for one in self.counts)
        self.collections = sum(self.counts) if known else None
        self.reports = [one for one in rest[collectors:] if type(one) is Handle]

    def at(self, milliseconds: int) -> int | None:
        """Return that moment of the JVM's life as monotonic ns; None where its age is not known."""
        return None if self.began is None else self.began + milliseconds * _MS


class Levels:
    """The levels of one application's driver. Its methods raise nothing that the JVM does."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Any, ...]] | None = None  # the calls of a note, once known
        self._collectors = 0
        self._waiting: list[Level] = []
        self._missed: list[int | None] = []  # the cell whose end could not be noted
        self._last: tuple[list[Any], tuple[int, int] | None] | None = None  # counts, the last one
        self._next = self._next_regular = 0.0
        self._began = time.monotonic()
        self._lock = _thread.allocate_lock()

    def note(self, driver: Driver, cell: int | None, patience: float) -> None:
        """On the user's thread: note where the JVM is, in one step; later, where that fails."""
        self._missed = [] if self._noted(driver, cell, patience) else [cell]

    def settle(self, driver: Driver, *, regular: bool, hurried: bool = False) -> Iterator[Any]:
        """Yield the fields of a record for each level that was noted, the oldest first.

        ``regular``: no cell will end here, so that now is a moment like any other. ``hurried``:
        now, whatever it costs.
        """
        due = hurried or time.monotonic() >= self._next
        if not due or not self._lock.acquire(False):
            return
        cpu = time.thread_time_ns()
        try:
            self._prepare(driver)
            if self._missed:
                self._noted(driver, self._missed.pop(), driver.gateway.timeout)
            elif regular and time.monotonic() >= self._next_regular:
                self._noted(driver, None, driver.gateway.timeout)
                now = time.monotonic()
                self._next_regular = now + max(LEAST_REST, (now - self._began) / PARTS)
            yield from self._settled(driver.gateway)
        except (JvmError, JvmGone):
            pass  # the whole reading that comes says why
        finally:
            spent = (time.thread_time_ns() - cpu) / 1e9
            self._next = time.monotonic() + spent / SHARE
            self._lock.release()

    def _prepare(self, driver: Driver) -> None:
        if self._wanted is not None:
            return
        gateway = driver.gateway
        beans = spark_jvm.beans(gateway)
        try:
            memory = driver.memory_manager()
        except JvmError:
            memory = None
        collectors = beans.collectors
        self._collectors = len(collectors)
        self._wanted = [
            (spark_counts.bindings(gateway), "size"),  # first: the reports are objects as well
            (spark_reads.scheduler(driver), "numTotalJobs"),
            (beans.runtime, "getUptime"),
            (memory or beans.runtime, "storageMemoryUsed"),  # of no such manager: not known
            *((one, "getCollectionCount") for one in collectors),
            *((one, "getLastGcInfo") for one in collectors),
        ]

    def _noted(self, driver: Driver, cell: int | None, patience: float) -> bool:
        if self._wanted is None or len(self._waiting) >= MOST_WAITING:
            return self._wanted is not None
        gateway = driver.gateway
        try:
            with gateway.scope(patience):
                answers, held = gateway.calls_at_once(self._wanted)
                level = Level(cell, answers, self._collectors, held)
                for one in level.reports:
                    gateway.keep(one)
                self._waiting.append(level)
                return True
        except (JvmError, JvmGone):
            return False

    def _settled(self, gateway: Gateway) -> Iterator[dict[str, Any]]:
        while self._waiting:
            level = self._waiting.pop(0)
            try:
                last = self._collection(gateway, level)
                yield {
                    "t": level.t, "cell": level.cell,
                    "heap_after_gc": None if last is None else last[0],
                    "collected": None if last is None else level.at(last[1]),
                    "collections": level.collections, "stored": level.stored,
                    "python_objects": level.python_objects,
                    "jvm_objects": level.jvm_objects, "jobs": level.jobs,
                }  # fmt: skip
            finally:
                gateway.release(*level.reports)

    def _collection(self, gateway: Gateway, level: Level) -> tuple[int, int] | None:
        """Return heap and end (ms of the JVM) of the last collection by then, looked up once."""
        if self._last is None or self._last[0] != level.counts:
            with gateway.scope():
                found = spark_jvm.beans(gateway).last_collection(gateway, level.reports)
            self._last = level.counts, found
        return self._last[1]
