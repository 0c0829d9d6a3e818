"""MP408: local checkpoints and temporary views that pin blocks."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.growth import base
from memprobe.analysis.spark_cuts import name_cuts, unpersist_cuts, view_cuts
from memprobe.analysis.spark_findings import (
    as_rdd,
    cache_finding,
    holdings,
    made_in,
    unpersist,
)
from memprobe.analysis.spark_findings import drop_view as drop
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.findings import Finding, Holding, Status
from memprobe.reporters.amounts import counted


class CheckpointPinned:
    """A local checkpoint or a temporary view pins Spark's blocks

    ## What it means
    `localCheckpoint()` stores a frame's rows as blocks of the executors. They are the only copy,
    so Spark drops them only after the last frame that reads them has been collected, in Python
    and then in the driver's JVM, which may take half an hour. Or: a temporary view is all that
    still reads a cached frame, and no query has read it for five cells (`stale-cells`).

    ## Why it matters
    Each step of an iteration that is checkpointed leaves its blocks behind; a view has no
    variable that would remind you of it. Both take storage memory until somebody lets go.

    ## Example
    ```python
    for step in range(10):
        ranks = update(ranks).localCheckpoint()     # ten copies wait for a collection
    orders.cache().createOrReplaceTempView("orders")
    del orders                                      # the view keeps the cache
    ```

    ## Use instead
    ```python
    spark.catalog.dropTempView("orders")            # lets go of the cache as well
    spark.sparkContext._jvm.System.gc()             # frees the checkpoints nobody reads
    ```
    `checkpoint()` writes to a directory instead, and takes no storage memory.

    ## When it does not fire
    A name that is in use reads the checkpoint; the checkpoint was made by the last cell; a query
    read the cache behind the view in the last cells; a frame with a name in use reads it as
    well; another program on the same driver may use it; or it takes less than `min-bytes`. In a
    script, whose end is near, a checkpoint that waits is advice.
    """

    code = "MP408"
    name = "checkpoint-pinned"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per cell that left checkpoints, then one per cache behind a view."""
        state = evidence.spark
        if state is None:
            return
        least = evidence.config.min_bytes
        for left in _checkpoints(state):
            if sum(one.bytes for one in left) >= least:
                yield self._left(evidence, left)
        for cached in state.caches:
            if cached.cache.kind == "dataframe" and cached.bytes >= least and _only_viewed(cached):
                yield self._viewed(state, cached)

    def _left(self, evidence: Evidence, left: list[Cached]) -> Finding:
        first, one = left[0], len(left) == 1
        names = list(dict.fromkeys(base(reach.expr) for each in left for reach in each.named()))
        made = f" by {made_in(first)}" if made_in(first) else ""
        blocks = "a local checkpoint is" if one else f"{len(left)} local checkpoints are"
        status: Status = "suspect" if evidence.is_notebook else "advice"
        why = (
            f"no recent cell used `{'`, `'.join(names)}`, and nothing else reads {_it(one)}"
            if names else
            "no live frame reads them; Spark frees them only after a collection in the driver's "
            "JVM, by itself every 30 minutes"
        )  # fmt: skip
        return cache_finding(
            left, code=self.code, name=self.name, status=status,
            title=f"{blocks} stored{made} that nothing reads",
            why=why, fix=[
                *([f"del {', '.join(names)}"] if names else []),
                *(line for each in left for line in unpersist(each)),
            ],
            holders=[held for each in left for held in _held(each)],
            cuts=[*name_cuts(names), *unpersist_cuts(left)],
        )  # fmt: skip

    def _viewed(self, state: SparkState, cached: Cached) -> Finding:
        views = cached.cache.views
        last = cached.cache.read_cell if cached.cache.reads else None
        since = state.runs_after(last if last is not None else cached.cache.cell)
        read = f"last read in cell {last}" if last is not None else "never read"
        return cache_finding(
            [cached], code=self.code, name=self.name, status="suspect",
            title=f"the view `{views[0]}` keeps cached data that no query reads",
            why=f"{read}: {counted(since, 'cell')} ran since, and nothing else that is in use "
            "leads to it",
            fix=[*unpersist(cached), *(drop(state, view) for view in views)],
            cuts=[*unpersist_cuts([cached]),
                  *view_cuts((view, drop(state, view)) for view in views)],
        )  # fmt: skip


def _it(one: bool) -> str:
    return "it" if one else "them"


def _held(cached: Cached) -> list[Holding]:
    return holdings(cached) if cached.named() else [as_rdd(cached)]


def _checkpoints(state: SparkState) -> Iterator[list[Cached]]:
    """Yield the checkpoints of one place that nothing in use reads, together."""
    groups: dict[str, list[Cached]] = {}
    for one in state.caches:
        if one.cache.kind == "checkpoint" and one.bytes and (_waits(one) or _is_stale(one)):
            groups.setdefault(made_in(one), []).append(one)
    yield from groups.values()


def _waits(cached: Cached) -> bool:
    """Whether no live frame reads it, and it is not the last cell that made it."""
    if cached.cache.holders or not cached.is_left() or _has_reader_above(cached):
        return False
    state = cached.state
    return not state.evidence.is_notebook or state.runs_after(cached.cache.cell) > 0


def _is_stale(cached: Cached) -> bool:
    """Whether names lead to it, and none of them, nor anything else, is in use."""
    if not cached.named() or cached.is_pinned or not cached.state.evidence.is_notebook:
        return False
    if not cached.cache.known or _has_reader_above(cached):
        return False
    return cached.let_go() and (not cached.cache.reads or cached.is_long_unread())


def _has_reader_above(cached: Cached) -> bool:
    return any(one.cache.holders or one.is_pinned for one in cached.above())


def _only_viewed(cached: Cached) -> bool:
    """Whether views alone lead to it besides stale names, and no query read it for long."""
    cache = cached.cache
    if not cache.views or cache.table is not None or not cache.ours or not cache.known:
        return False
    if not cached.state.evidence.is_notebook or _has_reader_above(cached):
        return False
    return cached.let_go() and cached.is_long_unread()
