"""What is cached in Spark, who can still use it, and when it was last read.

The last reading of the last classic application counts for what is there; the earlier ones tell how
it came to be: since when a cache has had no holder, whether it was ever larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK, Evidence, State
from memprobe.analysis.growth import base
from memprobe.analysis.liveness import CellRun
from memprobe.recording.schema import Group, Holder, Spark, SparkBroadcast, SparkCache, SparkReach

DIRECT = ("itself", "reads")  # running such a frame reads the cache
BEHIND = "behind"
# What a user has let go of: nothing is taken away when the cache goes too.
LET_GO = (State.STALE, State.LEFT)
UNNAMED = "?"
ASKED = ("request", "exit")  # reasons of readings that are never left out
WITH_READING = ("request", "detach", "exit")  # reasons of snapshots that come with one of them
_UNTYPABLE = (UNNAMED, "[key]", "[*]")  # marks of an expression that stands for something unnamed


@dataclass(frozen=True)
class SparkState:
    """The readings of one application in order of time, at least one, with the cells' evidence."""

    evidence: Evidence
    readings: tuple[Spark, ...]

    @property
    def last(self) -> Spark:
        """The reading that counts for what is there."""
        return self.readings[-1]

    @cached_property
    def caches(self) -> list[Cached]:
        """The caches of the last reading."""
        return [Cached(self, cache) for cache in self.last.caches or ()]

    @cached_property
    def by_id(self) -> dict[int, Cached]:
        """The caches of the last reading by their ids."""
        return {one.cache.id: one for one in self.caches}

    @cached_property
    def history(self) -> list[dict[int, SparkCache]]:
        """The caches of each reading by their ids."""
        return [{cache.id: cache for cache in one.caches or ()} for one in self.readings]

    @property
    def broadcasts(self) -> list[SparkBroadcast]:
        """The broadcasts of the last reading."""
        return self.last.broadcasts or []

    def held(self, reach: SparkReach) -> State:
        """Return how a reference stands to the user's work, as the rules for Python data see it."""
        if reach.root == NAMESPACE and self.evidence.is_notebook:
            life = self.evidence.liveness.life(base(reach.expr))
            return State.STALE if self.evidence.is_stale(life) else State.IN_USE
        if reach.root in (OUTPUT, TRACEBACK):
            return self.evidence.state(_as_holder(reach), Group(holders=[], bytes=0))
        return State.FIXED

    def runs_after(self, cell: int | None) -> int:
        """Return how many cells began after that one; 0 where it is not known."""
        return self.evidence.liveness.runs_after(cell)

    @property
    def is_complete(self) -> bool:
        """Whether the run went on to its end and no cell ran after the last reading."""
        end = self.evidence.recording.end
        if end is None or end.reason != "exit":
            return False
        if not self.evidence.is_notebook:
            return self.last.reason in ("exit", "request")
        runs = self.evidence.liveness.runs
        return bool(runs) and self.last.cell == runs[-1].cell and self.last.reason != "interval"

    @property
    def session(self) -> str:
        """What to type for the session: ``spark``, or that of a frame whose name is known."""
        runs = self.evidence.liveness.runs
        if not runs or any(run.touches("spark") for run in runs):
            return "spark"
        for one in self.caches:
            for reach in one.cache.holders:
                if one.cache.kind == "dataframe" and reach.root == NAMESPACE:
                    return f"{reach.expr}.sparkSession"
        return "spark"

    def persistent_rdd(self, rdd: int) -> str:
        """Return what to type to reach an RDD that no Python object stands for any more."""
        return f"{self.session}.sparkContext._jsc.getPersistentRDDs()[{rdd}]"


@dataclass(frozen=True, eq=False)
class Cached:
    """One cache of the last reading, as the rules judge it."""

    state: SparkState
    cache: SparkCache

    @property
    def bytes(self) -> int:
        """What it has stored in memory and on disk; 0 where nobody could tell."""
        return (self.cache.memory or 0) + (self.cache.disk or 0)

    @property
    def is_filled(self) -> bool:
        """Whether anything is stored."""
        return bool(self.cache.cached) or self.bytes > 0

    @property
    def is_full(self) -> bool:
        """Whether every partition is stored: nothing needs what it was computed from."""
        cached, partitions = self.cache.cached, self.cache.partitions
        return bool(cached) and (partitions is None or (cached or 0) >= partitions)

    @cached_property
    def run(self) -> CellRun | None:
        """The execution of the cell that made it."""
        return self.state.evidence.liveness.run_of(self.cache.cell)

    @property
    def is_pinned(self) -> bool:
        """Whether a temporary view or a cached table reads it: any query may name that."""
        return bool(self.cache.views) or self.cache.table is not None

    @cached_property
    def states(self) -> list[tuple[SparkReach, State]]:
        """Its holders, each with how it stands."""
        return [(reach, self.state.held(reach)) for reach in self.cache.holders]

    def direct(self) -> list[SparkReach]:
        """Return the holders that read it when they run."""
        return [reach for reach in self.cache.holders if reach.how in DIRECT]

    def named(self) -> list[SparkReach]:
        """Return those of them that begin with a name."""
        return [reach for reach in self.direct() if reach.expr != UNNAMED]

    def let_go(self) -> bool:
        """Whether each frame that reads it is a stale name or an output of an earlier cell."""
        return all(state in LET_GO for reach, state in self.states if reach.how in DIRECT)

    def is_left(self) -> bool:
        """Whether no name, view or table reads it: at most an output of an earlier cell does."""
        if self.is_pinned or not self.cache.ours or not self.cache.known:
            return False
        if self.run is not None and self.run.running:
            return False
        return all(state is State.LEFT for reach, state in self.states if reach.how in DIRECT)

    def above(self) -> Iterator[Cached]:
        """Yield every cache that is computed from it, directly or through others, each once."""
        seen, pending = {self.cache.id}, list(self.cache.above)
        while pending:
            number = pending.pop(0)
            if number not in seen and number in self.state.by_id:
                seen.add(number)
                yield self.state.by_id[number]
                pending += self.state.by_id[number].cache.above

    def is_rebuilt(self) -> bool:
        """Whether a cell that ran after its last holder had gone read it, and not long ago.

        Spark finds a cache by the plan: whoever builds an equal frame again uses it.
        """
        gone = self._first_without_holders()
        read_cell, read_t = self.cache.read_cell, self.cache.read_t
        if read_cell is None:
            return read_t is not None and gone is not None and read_t > gone.t
        run = self.state.evidence.liveness.run_of(read_cell)
        went = self.state.evidence.liveness.run_of(gone.cell if gone else None)
        if run is None or went is None:
            return True
        return run.order > went.order and not self.is_long_unread()

    def _first_without_holders(self) -> Spark | None:
        """Return the first of the latest readings in which no name held it any more."""
        first = None
        for reading, caches in zip(reversed(self.state.readings), reversed(self.state.history)):
            then = caches.get(self.cache.id)
            if then is None or any(map(self._is_name, then.holders)):
                break
            first = reading
        return first

    def _is_name(self, reach: SparkReach) -> bool:
        """Whether somebody holds it who may let go of it.

        A frame without a name is a script's local; in a notebook what a running cell builds anew.
        """
        named = reach.expr != UNNAMED or not self.state.evidence.is_notebook
        return named and reach.how in DIRECT and reach.root not in (OUTPUT, TRACEBACK)

    def is_long_unread(self) -> bool:
        """Whether no query read it in the last ``stale-cells`` cells; False where unknown."""
        if self.cache.reads is None:
            return False
        last = self.cache.read_cell if self.cache.reads else self.cache.cell
        if self.state.evidence.liveness.run_of(last) is None:
            return False
        return self.state.runs_after(last) >= self.state.evidence.config.stale_cells

    def filled_in(self) -> int | None:
        """Return the cell that filled it; the one that made it where nobody looked before."""
        for number, (reading, caches) in enumerate(zip(self.state.readings, self.state.history)):
            then = caches.get(self.cache.id)
            if then is not None and then.cached:
                return reading.cell if number and reading.cell is not None else self.cache.cell
        return self.cache.cell


def spark_state(evidence: Evidence) -> SparkState | None:
    """Return the state of the last application; None where none was read, or it is long gone."""
    readings = _readings(evidence)
    if not readings or _is_over(evidence, readings[-1]):
        return None
    app = readings[-1].app
    return SparkState(evidence, tuple(one for one in readings if one.app == app))


def was_stopped(evidence: Evidence) -> bool:
    """Whether the last application was stopped, and the notebook went on without one."""
    readings = _readings(evidence)
    return bool(readings) and _is_over(evidence, readings[-1])


def is_typable(expr: str) -> bool:
    """Whether a user can type an expression to reach what it stands for."""
    return not any(mark in expr for mark in _UNTYPABLE)


def _readings(evidence: Evidence) -> list[Spark]:
    return [
        one for one in evidence.recording.spark if one.mode == "classic" and one.caches is not None
    ]


def _is_over(evidence: Evidence, last: Spark) -> bool:
    """Whether a notebook stopped the application and went on: then nothing of it is held.

    With a snapshot that somebody asked for, and with the last one, every application there is
    is read as well.
    """
    if not evidence.is_notebook or last.reason in ASKED:
        return False
    later = [one for one in evidence.recording.snapshots if one.t > last.t]
    since = [run for run in evidence.liveness.runs if run.started > last.t]
    # One of them may be the cell that stopped it.
    return len(since) > 1 and any(one.reason in WITH_READING for one in later)


def _as_holder(reach: SparkReach) -> Holder:
    return Holder(
        id=-1, root=reach.root, expr=reach.expr, object=-1, type="pyspark.sql.DataFrame",
        cell=reach.cell,
    )  # fmt: skip
