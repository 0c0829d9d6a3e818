"""MP402: data cached in Spark that no query reads."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.spark_findings import (
    cache_finding,
    holdings,
    made_in,
    name_last_used,
    unpersist,
)
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.findings import Finding
from memprobe.reporters.amounts import counted

FORGOTTEN = 2  # times ``stale-cells``: a table is named in texts, which nobody can foresee
CELLS_SINCE = 2  # that a notebook run to its end went on for without reading it


class UnreadCache:
    """Cached Spark data that no query reads

    ## What it means
    A frame was cached and stored, and then no query read it: neither the frame itself nor one
    that is computed from it. The query that filled the cache does not count. Either it was never
    read at all, and neither its names were used for five cells or ten minutes (`stale-cells`,
    `stale-seconds`) or the whole run is over; or it was read once, and its names and its blocks
    have been idle since.

    ## Why it matters
    Storing costs time and the executors' storage memory, and pays only when something is read
    twice. `df.cache(); df.count()` in front of a single write makes the write slower.

    ## Example
    ```python
    orders = spark.table("orders").cache()
    orders.count()                             # fills the cache
    customers = spark.table("customers")       # and nothing reads `orders` again
    ```

    ## Use instead
    Cache what several queries read, and let go of it behind the last of them:
    ```python
    orders.unpersist()
    ```

    ## When it does not fire
    A query read it in the last cells, or one of its names was used; a temporary view reads it
    ([MP408](MP408.md)); a table cached by its name was read in the last ten cells, and then it is
    advice; reads cannot be told for this Spark; frames that nobody has a name for may
    read it; nothing is stored yet; it takes less than `min-bytes`; or nothing has run since. A
    cache that nothing leads to is [MP401](MP401.md).
    It is a suspicion: only you know whether a later cell reads it.
    """

    code = "MP402"
    name = "unread-cache"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per cache that has a name and no reader."""
        state = evidence.spark
        if state is None:
            return
        for cached in state.caches:
            if not _may_be_unread(cached) or cached.bytes < evidence.config.min_bytes:
                continue
            if cached.cache.table is not None:
                if _is_forgotten(state, cached):
                    yield self._table(state, cached, cached.cache.table)
                continue
            why = _why(state, cached)
            if why is not None:
                yield self._finding(evidence, cached, why)

    def _table(self, state: SparkState, cached: Cached, table: str) -> Finding:
        since = state.runs_after(_last_read(cached))
        return cache_finding(
            [cached], code=self.code, name=self.name, status="advice",
            title=f"the table `{table}` is cached in Spark, and no query reads it",
            why=f"{counted(since, 'cell')} ran since a query last read it, or it was cached",
            fix=unpersist(cached),
        )  # fmt: skip

    def _finding(self, evidence: Evidence, cached: Cached, why: str) -> Finding:
        reach = cached.named()[0]
        own = reach.how == "itself"
        what = f"`{reach.expr}` is cached" if own else f"the cache behind `{reach.expr}` is stored"
        never = "no query has read it" if not cached.cache.reads else "no query reads it any more"
        made = made_in(cached)
        found = cache_finding(
            [cached], code=self.code, name=self.name, status="suspect",
            title=f"{what} in Spark, and {never}",
            why=f"{f'{made} cached it; ' if made else ''}{why}", fix=unpersist(cached),
            holders=holdings(cached),
        )  # fmt: skip
        found.last_used = found.last_used or name_last_used(evidence, reach)
        return found


def _may_be_unread(cached: Cached) -> bool:
    cache = cached.cache
    if cache.kind == "checkpoint" or not cached.is_filled or cache.reads is None:
        return False
    if cache.table is not None:
        return cache.known and cache.ours
    return bool(cached.named()) and not cache.views and cache.known


def _last_read(cached: Cached) -> int | None:
    return cached.cache.read_cell if cached.cache.reads else cached.cache.cell


def _is_forgotten(state: SparkState, cached: Cached) -> bool:
    """Whether a table that any query may name has been left alone for twice as long as a name."""
    if not state.evidence.is_notebook or not cached.let_go() or cached.cache.above:
        return False
    least = FORGOTTEN * state.evidence.config.stale_cells
    return state.runs_after(_last_read(cached)) >= least


def _why(state: SparkState, cached: Cached) -> str | None:
    """Return since when nobody reads it; None where somebody does or may soon."""
    if state.evidence.is_notebook and cached.let_go() and _is_idle(state, cached):
        return _idle_words(state, cached)
    if cached.cache.reads or cached.cache.above or not state.is_complete:
        return None
    filled = cached.filled_in()
    if not state.evidence.is_notebook:
        return "the program ended without a query that read it"
    since = state.runs_after(filled)
    if since < CELLS_SINCE:
        return None
    return f"{counted(since, 'cell')} ran after cell {filled} filled it, and none read it"


def _is_idle(state: SparkState, cached: Cached) -> bool:
    """Whether no query read it for so many cells; names are judged apart."""
    cache = cached.cache
    if not cache.reads:
        return True
    run = state.evidence.liveness.run_of(cache.read_cell)
    if run is None or run.running:
        return False
    since = state.runs_after(cache.read_cell)
    idle = (state.evidence.liveness.now - (cache.read_t or state.evidence.liveness.now)) / 1e9
    config = state.evidence.config
    return since >= config.stale_cells or (since > 0 and idle >= config.stale_seconds)


def _idle_words(state: SparkState, cached: Cached) -> str:
    if not cached.cache.reads:
        return "nothing but the query that filled it has read it, and no recent cell used its name"
    since = state.runs_after(cached.cache.read_cell)
    return (
        f"it was last read in cell {cached.cache.read_cell}, {counted(since, 'cell')} ago, and no "
        "recent cell used its name"
    )
