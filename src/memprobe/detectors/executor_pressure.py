"""MP405: executors whose storage memory is full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.spark_findings import EXECUTOR, on_executors
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.findings import Finding, HeldObject, Holding, PathStep, Status, fingerprint
from memprobe.recording.schema import SparkCache, SparkExecutor
from memprobe.reporters.amounts import counted, percent, size

FULL = 0.90  # of an executor's storage memory
SKEWED_FULL = 0.85
SKEWED = 3.0  # times the median of the others
# The kernel and container managers kill with signal 9, which is status 137; Spark's own is 52.
OUT_OF_MEMORY = re.compile(
    r"\b(?:code|status)\W{0,3}(?:137|52)\b|out ?of ?memory|\boom|memory limit|exceeding memory",
    re.IGNORECASE,
)


class ExecutorPressure:
    """Executors' storage memory is full, and Spark drops what was cached

    ## What it means
    The storage memory of an executor is used to 90 % and more, and there are signs that it was
    not enough: partitions of a cache that are not stored (any more), blocks on disk that were to
    be in memory, an executor that was lost with its blocks. Or a cache has lost partitions, and
    there is no room for them in what is left. Or one executor holds three times as
    much as the others and is nearly full, so that its tasks will feel it first.

    ## Why it matters
    A partition that was dropped is computed again by every query that needs it, from the source
    on; one on disk is read from there. Jobs get slower without an error. A lost executor takes
    all of its blocks along.

    ## Example
    ```python
    raw = spark.table("events").cache()        # 40 GB into 16 GB of storage memory
    raw.count()                                # stores what fits, drops the rest
    ```

    ## Use instead
    Let go of what is not read ([MP401](MP401.md), [MP402](MP402.md), [MP403](MP403.md)); cache
    fewer columns or rows, or on disk:
    ```python
    from pyspark import StorageLevel
    events = spark.table("events").select("day", "user").persist(StorageLevel.DISK_ONLY)
    ```
    Rows that gather on one executor are spread with `df.repartition(200)` before the cache.

    ## When it does not fire
    Memory is full and everything that was cached is stored where it was to be: that is what it
    is for. Partitions that no query asked for yet fit into what is left. An executor that was
    removed without any sign of a want of memory, as an idle one is, says nothing. It is advice
    where nothing was lost: blocks on disk, or a skew.
    """

    code = "MP405"
    name = "executor-pressure"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield one finding about all executors under pressure."""
        state = evidence.spark
        if state is None or not state.last.executors:
            return
        active = [one for one in state.last.executors if one.active and one.max]
        full = [one for one in active if _share(one) >= FULL]
        lost = _lost(state)
        missing = _missing(state, active) if full else _evicted(state, active)
        spilled = _on_disk(state) if full else []
        killed = [one for one in lost if _for_memory(one)]
        skewed = _skewed(active)
        if killed or missing or (full and lost):
            signs = [*map(_missing_words, missing), *map(_lost_words, lost)]
            why = [*_full_words(full or active), *signs]
            yield self._finding(state, "suspect", full or killed or active, why)
        elif full and spilled:
            words = f"{size(sum(one.cache.disk or 0 for one in spilled))} lie on disk instead"
            yield self._finding(state, "advice", full, [*_full_words(full), words])
        elif skewed is not None:
            yield self._finding(state, "advice", [skewed], [_skew_words(skewed)])

    def _finding(
        self, state: SparkState, status: Status, executors: list[SparkExecutor], why: list[str]
    ) -> Finding:
        held = [Holding(root=EXECUTOR, expr=f"executor {one.id}") for one in executors]
        path = [PathStep(type="storage memory", edge=held[0].expr)]
        return Finding(
            code=self.code, name=self.name, status=status,
            title=f"the storage memory of {counted(len(executors), 'executor')} is not enough",
            context=state.evidence.recording.header.context,
            object=HeldObject(type="Spark storage memory"), holders=held,
            exclusive_bytes=0, shared_bytes=0, reclaim=on_executors(0), path=path,
            why="; ".join(why), fix="\n".join(_fix(state)),
            fingerprint=fingerprint(self.code, EXECUTOR, "storage", [], ""),
        )  # fmt: skip


def _share(executor: SparkExecutor) -> float:
    return (executor.used or 0) / executor.max if executor.max else 0.0


def _lost(state: SparkState) -> list[SparkExecutor]:
    """Return the executors that had blocks of caches in an earlier reading and are gone."""
    active = {one.id for one in state.last.executors or () if one.active}
    told = {one.id: one for one in state.last.executors or ()}
    found: dict[str, SparkExecutor] = {}
    for reading in state.readings:
        held = {name for cache in reading.caches or () for name in cache.executors}
        for one in reading.executors or ():
            if one.active and one.id in held and one.id not in active:
                found[one.id] = told.get(one.id, one)
    return list(found.values())


def _for_memory(executor: SparkExecutor) -> bool:
    return OUT_OF_MEMORY.search(executor.removed or "") is not None


def _missing(state: SparkState, active: list[SparkExecutor]) -> list[Cached]:
    """Return the caches that lost partitions, or for whose missing ones there is no room."""
    room = sum(one.remaining or 0 for one in active)
    return [
        one for one in state.caches
        if _had_more(state, one.cache) or _does_not_fit(one, room)
    ]  # fmt: skip


def _evicted(state: SparkState, active: list[SparkExecutor]) -> list[Cached]:
    """Return the caches that lost partitions for which there is no room, though some is left.

    What is left of a storage that drops whole partitions is less than the next one needs.
    """
    room = sum(one.remaining or 0 for one in active)
    if _lost(state):
        return []
    return [
        one for one in state.caches
        if _had_more(state, one.cache) and _does_not_fit(one, room)
    ]  # fmt: skip


def _had_more(state: SparkState, cache: SparkCache) -> bool:
    """Whether an earlier reading had more of its partitions stored."""
    if not cache.cached or not cache.memory:
        return False
    before = [
        one.cached or 0 for reading in state.readings
        for one in reading.caches or () if one.id == cache.id and one.rdd == cache.rdd
    ]  # fmt: skip
    return max(before, default=0) > cache.cached


def _does_not_fit(cached: Cached, room: int) -> bool:
    """Whether partitions are missing of a cache that may not go to disk, larger than the room."""
    cache = cached.cache
    if "DISK" in cache.level or not cache.cached or not cache.partitions or not cache.memory:
        return False
    missing = cache.partitions - cache.cached
    return missing > 0 and missing * cache.memory / cache.cached > room


def _on_disk(state: SparkState) -> list[Cached]:
    """Return the caches of which memory took one part only, and the disk the rest."""
    return [one for one in state.caches if one.cache.disk and "MEMORY" in one.cache.level]


def _skewed(active: list[SparkExecutor]) -> SparkExecutor | None:
    if len(active) < 3:
        return None
    most = max(active, key=lambda one: one.used or 0)
    others = median((one.used or 0) for one in active if one is not most)
    return most if _share(most) >= SKEWED_FULL and (most.used or 0) > SKEWED * others else None


def _full_words(full: list[SparkExecutor]) -> list[str]:
    return [
        f"executor {one.id} uses {size(one.used)} of {size(one.max)} ({percent(_share(one))})"
        for one in full
    ]


def _missing_words(cached: Cached) -> str:
    cache = cached.cache
    named = next((f"`{reach.expr}`" for reach in cached.direct()), f"RDD {cache.rdd}")
    return f"{cache.cached} of {cache.partitions} partitions of {named} are stored"


def _lost_words(executor: SparkExecutor) -> str:
    because = f": {executor.removed}" if executor.removed else ""
    return f"executor {executor.id} was lost with its blocks{because}"


def _skew_words(executor: SparkExecutor) -> str:
    return (
        f"executor {executor.id} holds {size(executor.used)} ({percent(_share(executor))}), more "
        f"than {SKEWED:.0f} times what the others hold"
    )


def _fix(state: SparkState) -> list[str]:
    """Return what frees most: the frames whose caches take memory, largest first."""
    held = sorted(state.caches, key=lambda one: -(one.cache.memory or 0))
    names = [
        reach.expr for one in held[:3] for reach in one.direct()
        if reach.how == "itself" and reach.expr.isidentifier() and one.cache.memory
    ]  # fmt: skip
    lines = [f"{name}.unpersist()  # when its last query is done" for name in names]
    return lines or ["persist with `StorageLevel.DISK_ONLY`, or give executors more memory"]
