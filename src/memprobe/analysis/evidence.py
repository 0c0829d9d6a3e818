"""What the rules judge: the last snapshot, the cells, and which holders are in use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from memprobe.analysis.contrast_evidence import ContrastEvidence
from memprobe.analysis.liveness import CellRun, Liveness, NameLife
from memprobe.analysis.retention import Bundle, bundles
from memprobe.config import Config
from memprobe.findings import HeldObject
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Group, Holder, Snapshot

if TYPE_CHECKING:
    from memprobe.analysis.spark_state import SparkState

NAMESPACE = "notebook-namespace"
OUTPUT = "ipython-output"
TRACEBACK = "traceback"
WAITING = ("suspended-frame", "frame")
FIGURE = "figure"
CALLBACK = "callback"
THREAD = "thread"
# What is called, or ends what is called: a name of one of these is no name of the data it keeps.
CALLBACK_TYPES = frozenset({
    "function", "method", "functools.partial", "threading.Timer", "threading.Thread",
    "weakref.finalize", "asyncio.events.TimerHandle",
})  # fmt: skip
_NAMES = (NAMESPACE, "module", "class-attribute", "lru-cache")
_LAST_OUTPUTS = ("_", "__", "___")
_OUTPUT_NAMES = ("Out", "_oh")


class State(Enum):
    """How a holder stands to the user's work."""

    IN_USE = "in use"  # cutting it would take something away
    FRESH = "fresh"  # the last cell made it: too early to call it left behind
    STALE = "stale"  # a name unused for long
    LEFT = "left behind"  # an output or traceback of an earlier cell
    FIXED = "fixed"  # nothing a user can cut by name


@dataclass(frozen=True)
class Evidence:
    """A recording as the rules see it. ``snapshot`` is None where none was taken."""

    recording: Recording
    config: Config
    snapshot: Snapshot | None
    liveness: Liveness
    contrast: ContrastEvidence | None = None  # only where two contexts are compared

    @property
    def is_notebook(self) -> bool:
        """Whether the context is persistent."""
        return self.recording.header.context == "notebook"

    @cached_property
    def reclaimable(self) -> list[Bundle]:
        """Bundles whose holders have all been left behind or are stale, largest first."""
        return self._bundles(frozenset({State.STALE, State.LEFT}))

    @cached_property
    def perhaps(self) -> list[Bundle]:
        """Bundles that would come back too if what the last cell made were let go."""
        return self._bundles(frozenset({State.STALE, State.LEFT, State.FRESH}))

    @cached_property
    def spark(self) -> SparkState | None:
        """What is stored in Spark; None where no application was read, or it is long gone."""
        from memprobe.analysis.spark_state import spark_state  # which judges by this evidence

        return spark_state(self)

    @cached_property
    def holders(self) -> dict[int, Holder]:
        """The holders of the snapshot by their ids."""
        return {} if self.snapshot is None else {one.id: one for one in self.snapshot.holders}

    def state(self, holder: Holder, group: Group) -> State:
        """Return how ``holder`` stands, as the keeper of ``group``."""
        if holder.root == TRACEBACK:
            return self._since(self._failed_cell(holder))
        if holder.root == OUTPUT:
            return self._output_state(holder)
        if holder.root in (CALLBACK, THREAD):
            return self._callback_state(holder, group)
        if TRACEBACK in group.via and holder.root in (NAMESPACE, "module", "class-attribute"):
            # Nobody works with the frames behind a stored exception, whoever uses its name.
            return self._stored_exception_state(holder)
        if holder.root in WAITING:
            return self._waiting_state(holder)
        if holder.root == NAMESPACE:
            return State.STALE if self.is_stale(self.liveness.life(holder.expr)) else State.IN_USE
        return State.FIXED

    def is_stale(self, life: NameLife) -> bool:
        """Whether a name has been unused for so many cells, or so long while others ran.

        A name that a registered callback or a running thread may read is never stale.
        """
        if self.is_awaited(life.name):
            return False
        if life.last is None and life.cells_since < self.config.stale_cells:
            return False
        if life.last is not None and life.last.running:
            return False
        if life.cells_since >= self.config.stale_cells:
            return True
        return life.cells_since > 0 and life.seconds_at_least >= self.config.stale_seconds

    def is_awaited(self, name: str) -> bool:
        """Whether a callback or a running thread may read the name at any time."""
        return self.snapshot is not None and name in self.snapshot.awaited

    def created(self, holder: Holder) -> CellRun | None:
        """Return the execution that bound a name, displayed an output or failed."""
        if holder.root in (OUTPUT, FIGURE):
            return self.liveness.run_of(holder.cell)
        if holder.root == TRACEBACK:
            return self.liveness.run_of(self._failed_cell(holder))
        return self.liveness.life(holder.expr).created if holder.root == NAMESPACE else None

    def _bundles(self, states: frozenset[State]) -> list[Bundle]:
        if self.snapshot is None:
            return []
        return bundles(
            self.snapshot,
            lambda holder, group: self.state(holder, group) in states,
            self.config.min_bytes,
        )

    def _since(self, cell: int | None) -> State:
        """Return LEFT once another cell ran after ``cell``, or where the cell is not known."""
        if not self.is_notebook or self.liveness.run_of(cell) is None:
            return State.LEFT
        return State.LEFT if self.liveness.runs_after(cell) else State.FRESH

    def _failed_cell(self, holder: Holder) -> int | None:
        if holder.cell is not None:
            return holder.cell
        failed = self.liveness.last_failed()
        return failed.cell if failed is not None else None

    def _stored_exception_state(self, holder: Holder) -> State:
        if holder.root != NAMESPACE:
            return State.LEFT
        created = self.liveness.life(holder.expr).created
        return self._since(created.cell) if created is not None else State.LEFT

    def _waiting_state(self, holder: Holder) -> State:
        """Return STALE for a task or thread that many cells found waiting at one place."""
        if self.liveness.runs_after(holder.since) >= self.config.stale_cells:
            return State.STALE
        return State.FIXED

    def _callback_state(self, holder: Holder, group: Group) -> State:
        """Return LEFT for a callback that keeps what no name of yours reaches.

        One that is called soon is about to let go; a thread may be at work on what it was given.
        Where a name leads there as well it may use it, unless all it has are frames that failed.
        """
        remembers = holder.root == CALLBACK and TRACEBACK in group.via
        if self._has_name(group) and not remembers:
            return State.FIXED
        if holder.root == THREAD:
            return self._waiting_state(holder)
        if holder.due is not None and holder.due < self.config.stale_seconds:
            return State.FIXED
        return self._since(holder.cell if holder.since is None else holder.since)

    def _has_name(self, group: Group) -> bool:
        """Whether a name leads to the group, other than the name of a callback itself."""
        return any(
            holder.root in _NAMES and holder.type not in CALLBACK_TYPES
            for holder in map(self.holders.__getitem__, group.holders)
        )

    def _output_state(self, holder: Holder) -> State:
        if self._read_lately(holder):
            return State.IN_USE
        return self._since(holder.cell)

    def _read_lately(self, holder: Holder) -> bool:
        """Whether a recent cell read this output, or one of the names that move along."""
        for run in self.liveness.runs[-self.config.stale_cells :]:
            if run.used.intersection(_OUTPUT_NAMES) or f"_{holder.cell}" in run.used:
                return True
            if run.used.intersection(_LAST_OUTPUTS) and self._was_recent(holder, run):
                return True
        return False

    def _was_recent(self, holder: Holder, run: CellRun) -> bool:
        """Whether the output was among the last three when ``run`` read ``_``."""
        shown = self.liveness.run_of(holder.cell)
        if shown is None:
            return True
        between = [one for one in self.liveness.runs[shown.order : run.order] if one.shows]
        return shown.order < run.order and len(between) <= len(_LAST_OUTPUTS)


def gather(recording: Recording, config: Config) -> Evidence:
    """Return the evidence of a recording; the last snapshot that measured anything counts."""
    measured = [one for one in recording.snapshots if one.skipped is None]
    snapshot = measured[-1] if measured else None
    return Evidence(recording, config, snapshot, Liveness(recording.markers, _last_t(recording)))


def _last_t(recording: Recording) -> int:
    times = [recording.header.t]
    for records in (recording.samples, recording.markers, recording.snapshots):
        times += [record.t for record in records[-1:]]
    return max(times)


def held_object(holder: Holder, name: str | None = None) -> HeldObject:
    """Return a holder's object as reports show it."""
    return HeldObject(
        type=holder.type,
        name=name,
        shape=holder.shape,
        dtypes=holder.dtypes,
        length=holder.length,
    )
