"""MP401: data cached in Spark that no variable, view or other cache leads to."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence, State
from memprobe.analysis.spark_findings import (
    as_rdd,
    cache_finding,
    created,
    holdings,
    made_in,
    unpersist_all,
)
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.findings import Finding, Holding, Status


class OrphanCache:
    """Cached Spark data that nothing leads to any more

    ## What it means
    A DataFrame was cached, and its last variable is gone: deleted, bound anew, or a local of a
    function that has returned. No live frame has its plan, no temporary view reads it, and no
    other cache that is in use was computed from it. Spark does not notice: a cached DataFrame
    keeps its blocks until `unpersist()` is called or the application ends.

    ## Why it matters
    Its blocks take storage memory on every executor, and nobody can name them to let them go.
    In a script the application ends a moment later; in a notebook it lives for days.

    ## Example
    ```python
    def daily_total(path):
        df = spark.read.parquet(path).cache()
        df.count()
        return df.groupBy("day").sum().toPandas()   # df ends here, its blocks do not
    ```

    ## Use instead
    ```python
    def daily_total(path):
        df = spark.read.parquet(path).cache()
        try:
            return df.groupBy("day").sum().toPandas()
        finally:
            df.unpersist()
    ```
    What is left already is reached by the number of its RDD, as the fix says.

    ## When it does not fire
    A live frame would use the cache: Spark finds it by the plan, so an equal frame under any name
    counts. A view or a cached table reads it; a later cell built an equal frame again and read
    it; another program on this driver may have made it; not every live frame was looked up; or it
    takes less than `min-bytes`. For an RDD it is advice: Spark drops the blocks of a forgotten
    `persist()` itself, after the next collection in the driver's JVM.
    """

    code = "MP401"
    name = "orphan-cache"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per place whose caches nothing reaches."""
        state = evidence.spark
        if state is None:
            return
        for orphans in _by_place(state):
            if sum(one.bytes for one in orphans) >= evidence.config.min_bytes:
                yield self._finding(orphans)

    def _finding(self, orphans: list[Cached]) -> Finding:
        first, one = orphans[0], len(orphans) == 1
        shown = any(cached.cache.holders for cached in orphans)
        status: Status = "suspect" if shown or first.cache.reads is None else "leaking"
        if first.cache.kind == "rdd":
            status = "advice"
        what = "cached data" if one else f"{len(orphans)} times cached data"
        made = f" of {made_in(first)}" if made_in(first) else ""
        only = "only outputs of earlier cells lead" if shown else "nothing leads"
        return cache_finding(
            orphans, code=self.code, name=self.name, status=status,
            title=f"Spark keeps {what}{made}, and {only} to {_it(one)}",
            why=f"no {'other' if shown else 'live'} frame would use {_this(one)}, no view or other "
            f"cache that is in use reads {_it(one)}{_freed(first)}",
            fix=unpersist_all(orphans),
            holders=[holding for cached in orphans for holding in _held(cached)],
        )  # fmt: skip


def _it(one: bool) -> str:
    return "it" if one else "them"


def _this(one: bool) -> str:
    return "this cache" if one else "these caches"


def _freed(cached: Cached) -> str:
    if cached.cache.kind != "rdd":
        return ", and Spark frees it by itself only when the application ends"
    return "; Spark frees a forgotten RDD after the next collection in the driver's JVM"


def _held(cached: Cached) -> list[Holding]:
    return holdings(cached) if cached.direct() else [as_rdd(cached)]


def _by_place(state: SparkState) -> Iterator[list[Cached]]:
    """Yield the orphans of one form that one cell or line made, together."""
    groups: dict[tuple[str, str, str], list[Cached]] = {}
    for number, one in enumerate(state.caches):
        if _is_orphan(one):
            place = made_in(one) if created(one) is not None else str(number)
            groups.setdefault((one.cache.kind, one.cache.shape, place), []).append(one)
    yield from groups.values()


def _is_orphan(cached: Cached) -> bool:
    """Whether nothing but outputs of earlier cells leads to it, and nobody builds it again."""
    if cached.cache.kind == "checkpoint" or not cached.bytes or not cached.is_left():
        return False
    if any(state is not State.LEFT for _, state in cached.states):
        return False
    if any(one.cache.holders or one.is_pinned for one in cached.above()):
        return False
    return not cached.is_rebuilt()
