"""Bytes that tasks have written to disk for want of memory, by executor, stage after stage.

A stage is asked about until it has ended, and then never again.
"""

from __future__ import annotations

from .jvm_lists import asked, of_seq
from .jvm_wire import JvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jvm_wire import Gateway, Handle
    from .spark_session import Driver

MOST_EXECUTORS = 300
AT_ONCE = 64  # stages that are looked at in one reading
REMEMBERED = 1000  # stages that Spark's store keeps unless told otherwise
_UNENDED = frozenset({"ACTIVE", "PENDING"})


class Spilled:
    """Adds up what the stages of one application have spilled."""

    def __init__(self) -> None:
        self.complete = True  # False: earlier stages were forgotten by Spark before we came
        self._next: int | None = None
        self._unended: set[int] = set()
        self._bytes: dict[str, int] = {}  # of stages that have ended

    def add(self, rows: list[dict[str, Any]], driver: Driver, store: Handle) -> None:
        """Set ``spilled`` of executors' rows; it stays away while not all stages are looked at."""
        try:
            running, all_seen = self._read(driver, store)
        except JvmError:
            return
        for row in rows if all_seen else ():
            row["spilled"] = self._bytes.get(row["id"], 0) + running.get(row["id"], 0)

    def _read(self, driver: Driver, store: Handle) -> tuple[dict[str, int], bool]:
        """Return what stages that run have spilled so far, and whether all were looked at."""
        end = _stages_so_far(driver)
        if self._next is None:
            self._next = max(end - REMEMBERED, 0)
            self.complete = self._next == 0
        stop = min(self._next + AT_ONCE, end)
        looked_at = [*sorted(self._unended)[:AT_ONCE], *range(self._next, stop)]
        stages = _stages(driver.gateway, store, looked_at)
        # All answers first: a JVM that goes in between must not have a stage counted twice.
        sizes = [stage.by_executor(driver.gateway, store) for stage in stages]
        running: dict[str, int] = {}
        for stage, pairs in zip(stages, sizes):
            spilled = self._bytes if stage.ended else running
            for executor, size in pairs:
                spilled[executor] = spilled.get(executor, 0) + size
        self._unended -= set(looked_at)  # one that Spark has forgotten is not asked for again
        self._unended |= {stage.number for stage in stages if not stage.ended}
        self._next = stop
        return running, stop == end


class _Stage:
    def __init__(self, number: int, attempt: int, ended: bool, spilled: int) -> None:
        self.number = number
        self.ended = ended
        self._attempt = attempt
        self._spilled = spilled

    def by_executor(self, gateway: Gateway, store: Handle) -> list[tuple[str, int]]:
        """Return (executor, bytes); most stages spill nothing and need no further question."""
        if not self._spilled:
            return []
        found = gateway.call(store, "executorSummary", self.number, self._attempt)
        pairs = of_seq(gateway, gateway.call(found, "toSeq"), MOST_EXECUTORS)
        names = asked(gateway, ((one, "_1") for one in pairs))
        values = asked(gateway, ((one, "_2") for one in pairs))
        return list(zip(names, asked(gateway, ((one, "diskBytesSpilled") for one in values))))


def _stages(gateway: Gateway, store: Handle, numbers: list[int]) -> list[_Stage]:
    """Return the last attempts of stages; those that Spark has forgotten are left out."""
    told = gateway.calls((store, "lastStageAttempt", number) for number in numbers)
    pairs = [(number, one) for number, one in zip(numbers, told) if not isinstance(one, JvmError)]
    attempts = asked(gateway, ((one, "attemptId") for _, one in pairs))
    sizes = asked(gateway, ((one, "diskBytesSpilled") for _, one in pairs))
    states = asked(gateway, ((one, "status") for _, one in pairs))
    names = asked(gateway, ((one, "toString") for one in states))
    facts = zip(pairs, attempts, names, sizes)
    return [
        _Stage(pair[0], attempt, name not in _UNENDED, size) for pair, attempt, name, size in facts
    ]


def _stages_so_far(driver: Driver) -> int:
    """Return the number that Spark will give to the next stage."""
    scheduler = driver.gateway.call(driver.context(), "dagScheduler")
    found = driver.field_of(scheduler, "nextStageId", "org.apache.spark.scheduler.DAGScheduler")
    return int(found)
