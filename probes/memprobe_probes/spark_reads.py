"""How often each cache was read, from the jobs that the driver remembers; the UI need not run.

The jobs of one SQL query count as one. The first query or job in whose stages a cache's RDD
appears fills the cache; each later one reads it. A stage lists the RDDs behind another cache as
well: only those that a path leads to without passing a filled cache were read.
"""

from __future__ import annotations

from .jvm_wire import Handle
from .spark_caches import lazy_part, session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .jvm_wire import Gateway
    from .spark_caches import Cache
    from .spark_session import Driver

MOST_JOBS = 150  # that one reading looks at
_REMEMBERED = 1000  # jobs that Spark keeps unless it is told otherwise
_PATIENCE = 6  # readings in which a job may not be known to the store yet
_RAN = ("COMPLETE", "ACTIVE")
_OVER = ("SUCCEEDED", "FAILED")
_MOST_OPEN = 300

Group = tuple[str, int]


class Use:
    """What is known of one RDD's reads."""

    __slots__ = ("cell", "fill", "reads", "seen", "t")

    def __init__(self, filled: bool) -> None:
        self.fill: Group | None = ("before", 0) if filled else None
        self.reads = 0
        self.seen: dict[Group, None] = {}  # groups that were counted, the last ones
        self.cell: int | None = None
        self.t: int | None = None


class Reads:
    """Follows the jobs of one application; ``uses`` gives what is known of each cached RDD.

    ``whole`` is False where jobs were forgotten before we came to look at them, ``late`` is True
    while there are more than one reading looks at.
    """

    def __init__(self) -> None:
        self.uses: dict[int, Use] = {}
        self.whole = True
        self.late = False
        self.jobs: int | None = None
        self._next: int | None = None
        self._waiting: dict[int, int] = {}  # jobs that run or are not known yet → times looked at
        self._groups: dict[int, Group] = {}  # of the jobs that still matter
        self._cells: list[tuple[int, int | None]] = []  # jobs at a cell's end, and that cell

    def total(self, driver: Driver) -> int:
        """Return how many jobs have been submitted so far; two calls at most."""
        return int(driver.gateway.call(scheduler(driver), "numTotalJobs"))

    def cell_ended(self, cell: int | None, jobs: int) -> None:
        """Note that the jobs below the number ``jobs`` were submitted until that cell's end."""
        if not self._cells or self._cells[-1][0] != jobs:
            self._cells.append((jobs, cell))
        del self._cells[:-_MOST_OPEN]

    def read(self, driver: Driver, caches: list[Cache], t: int, cell: int | None) -> None:
        """Look at the jobs that are new, or still run."""
        total = self.jobs = self.total(driver)
        rdds = {cache.rdd for cache in caches if cache.rdd is not None}
        self.uses = {number: use for number, use in self.uses.items() if number in rdds}
        if not caches:
            self._next, self._waiting = total, {}
            return
        self._begin(caches, total)
        assert self._next is not None
        new = range(self._next, min(total, self._next + MOST_JOBS))
        self._next = new.stop if len(new) else self._next
        self.late = self._next < total
        wanted = sorted({*self._waiting, *new})
        if wanted:
            self._learn_groups(driver, wanted)
            for job, stages, over in _jobs(driver, wanted):
                self._look(driver, job, stages, t, self._cell_of(job, cell))
                self._settle(job, over)

    def _begin(self, caches: list[Cache], total: int) -> None:
        if self._next is None:
            self._next = max(0, total - _REMEMBERED)
            self.whole = self._next == 0
        if total - self._next > _REMEMBERED:
            self._next, self.whole = total - _REMEMBERED, False
        for cache in caches:
            if cache.rdd is not None and cache.rdd not in self.uses:
                before = cache.since is None and not self.whole
                self.uses[cache.rdd] = Use(filled=before)

    def _settle(self, job: int, over: bool | None) -> None:
        """Look at a job again while it runs; one that the store never tells of is given up."""
        if over:
            self._waiting.pop(job, None)
            return
        times = self._waiting.get(job, 0) + (over is None)
        if times < _PATIENCE and len(self._waiting) < _MOST_OPEN:
            self._waiting[job] = times
        else:
            self._waiting.pop(job, None)
            self.whole = False

    def _cell_of(self, job: int, cell: int | None) -> int | None:
        for jobs, ended in self._cells:
            if job < jobs:
                return ended
        return cell

    def _learn_groups(self, driver: Driver, wanted: list[int]) -> None:
        """Note which jobs belong to which query; several jobs of one query count once."""
        least = wanted[0]
        self._groups = {job: group for job, group in self._groups.items() if job >= least}
        store = driver.optional("sqlStore", lambda: _sql_store(driver))
        if store is None:
            return
        gateway = driver.gateway
        with gateway.scope():
            listed = gateway.call(store, "executionsList")
            size = int(gateway.call(listed, "size"))
            start = max(0, size - 4 * MOST_JOBS)
            rows = gateway.calls((listed, "apply", index) for index in range(start, size))
            self._note_executions(gateway, [row for row in rows if type(row) is Handle], least)

    def _note_executions(self, gateway: Gateway, rows: list[Handle], least: int) -> None:
        """Go through the queries, the last first, until their jobs are older than ``least``."""
        for start in range(len(rows), 0, -40):
            some = rows[max(0, start - 40) : start]
            numbers = gateway.calls((row, "executionId") for row in some)
            roots = gateway.calls((row, "rootExecutionId") for row in some)
            maps = gateway.calls((row, "jobs") for row in some)
            keys = gateway.calls((one, "keys") for one in maps if type(one) is Handle)
            texts = gateway.calls((one, "mkString", ",") for one in keys if type(one) is Handle)
            newest = -1
            for number, root, text in zip(numbers, roots, texts):
                group = ("sql", root if type(root) is int else number)
                for job in _numbers(text):
                    newest = max(newest, job)
                    self._groups[job] = group
            if 0 <= newest < least:
                return

    def _look(
        self, driver: Driver, job: int, stages: list[tuple[int, set[int]]], t: int,
        cell: int | None,
    ) -> None:  # fmt: skip
        group = self._groups.get(job, ("job", job))
        for stage, rdds in stages:
            met = [number for number in self.uses if number in rdds]
            if len(met) > 1:
                met = self._on_a_path(driver, stage, rdds, met, group)
            for number in met:
                self._count(self.uses[number], group, t, cell)

    def _count(self, use: Use, group: Group, t: int, cell: int | None) -> None:
        if use.fill is None:
            use.fill = group
        if use.fill == group or group in use.seen:
            return
        use.seen[group] = None
        if len(use.seen) > _MOST_OPEN:
            use.seen.pop(next(iter(use.seen)))
        use.reads += 1
        use.cell, use.t = cell, t

    def _on_a_path(
        self, driver: Driver, stage: int, rdds: set[int], met: list[int], group: Group
    ) -> list[int]:
        """Return those of ``met`` that the stage's last RDD needs past caches that were filled."""
        gateway = driver.gateway
        with gateway.scope():
            store = gateway.call(driver.context(), "statusStore")
            graph = gateway.call(store, "operationGraphForStage", stage)
            text = str(gateway.call(gateway.call(graph, "edges"), "mkString", " "))
        filled = {
            number for number in met
            if self.uses[number].fill is not None and self.uses[number].fill != group
        }  # fmt: skip
        return [number for number in met if number in needed(edges_of(text), rdds, filled)]


def needed(edges: list[tuple[int, int]], rdds: set[int], filled: set[int]) -> set[int]:
    """Return the RDDs that are computed or read for the last ones of a stage.

    ``edges`` are (from, to); nothing behind a ``filled`` RDD is needed.
    """
    above: dict[int, list[int]] = {}
    for origin, result in edges:
        above.setdefault(result, []).append(origin)
    used = {origin for origin, result in edges if result in rdds}
    left = [number for number in rdds if number not in used]
    found: set[int] = set()
    while left:
        number = left.pop()
        if number not in found:
            found.add(number)
            left += [] if number in filled else above.get(number, [])
    return found


def edges_of(text: str) -> list[tuple[int, int]]:
    """Return the edges of what Scala prints: ``RDDOperationEdge(0,1) RDDOperationEdge(1,2)``."""
    found = []
    for part in text.split():
        inside = part.partition("(")[2].rstrip(")").split(",")
        if len(inside) == 2 and all(one.isdigit() for one in inside):
            found.append((int(inside[0]), int(inside[1])))
    return found


def _jobs(
    driver: Driver, wanted: list[int]
) -> Iterable[tuple[int, list[tuple[int, set[int]]], bool | None]]:
    """Yield (job, its stages that ran with their RDDs, whether it is over; None: not known)."""
    gateway = driver.gateway
    for start in range(0, len(wanted), 25):
        some = wanted[start : start + 25]
        with gateway.scope():
            store = gateway.call(driver.context(), "statusStore")
            jobs = gateway.calls((store, "job", number) for number in some)
            known = [(n, one) for n, one in zip(some, jobs) if type(one) is Handle]
            states = gateway.calls((one, "status") for _, one in known)
            states = gateway.calls((one, "toString") for one in states if type(one) is Handle)
            lists = gateway.calls((one, "stageIds") for _, one in known)
            texts = gateway.calls((one, "mkString", ",") for one in lists if type(one) is Handle)
            stages = _stages(gateway, store, sorted({n for text in texts for n in _numbers(text)}))
        told = set()
        for (number, _), state, text in zip(known, states, texts):
            told.add(number)
            ran = [(one, stages[one]) for one in _numbers(text) if one in stages]
            yield number, ran, state in _OVER
        for number in some:
            if number not in told:
                yield number, [], None


def _stages(gateway: Gateway, store: Handle, wanted: list[int]) -> dict[int, set[int]]:
    """Return stage → its RDDs, of those that ran or run."""
    found = gateway.calls((store, "lastStageAttempt", stage) for stage in wanted)
    known = [(stage, one) for stage, one in zip(wanted, found) if type(one) is Handle]
    states = gateway.calls((one, "status") for _, one in known)
    states = gateway.calls((one, "toString") for one in states if type(one) is Handle)
    ran = [pair for pair, state in zip(known, states) if state in _RAN]
    lists = gateway.calls((one, "rddIds") for _, one in ran)
    texts = gateway.calls((one, "mkString", ",") for one in lists if type(one) is Handle)
    return {stage: set(_numbers(text)) for (stage, _), text in zip(ran, texts)}


def _numbers(text: Any) -> list[int]:
    parts = text.split(",") if type(text) is str else ()
    return [int(part) for part in parts if part.strip().isdigit()]


def scheduler(driver: Driver) -> Handle:
    """Return what submits the jobs of an application; raises as ``call``."""
    return driver.lasting(
        "dagScheduler", lambda: driver.gateway.call(driver.context(), "dagScheduler")
    )


def _sql_store(driver: Driver) -> Any:
    one = session(driver)
    shared = None if one is None else lazy_part(driver, one, "sharedState")
    return None if shared is None else driver.gateway.call(shared, "statusStore")
