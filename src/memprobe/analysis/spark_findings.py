"""From caches of Spark to the parts of a finding: object, path, holders, bytes, what to type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from memprobe.analysis.cache_places import called_at
from memprobe.analysis.evidence import Evidence
from memprobe.analysis.growth import base
from memprobe.analysis.spark_cuts import itself, unpersist_cuts
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.findings import (
    Created,
    Cut,
    Finding,
    Growth,
    HeldObject,
    Holding,
    LastUse,
    PathStep,
    Reclaim,
    Status,
    fingerprint,
)
from memprobe.recording.schema import SparkReach
from memprobe.reporters.amounts import size

TYPES = {
    "dataframe": "pyspark.sql.DataFrame",
    "checkpoint": "pyspark.sql.DataFrame",
    "rdd": "pyspark.RDD",
}
EXECUTOR = "spark-executor"
DRIVER = "spark-driver"
OPERATORS_SHOWN = 4
LINES_SHOWN = 20  # of a fix: more of them are typed in a loop


def cache_finding(
    caches: Sequence[Cached], *, code: str, name: str, status: Status, title: str, why: str,
    fix: Sequence[str], growth: Growth | None = None, holders: Sequence[Holding] = (),
    cuts: Sequence[Cut] | None = None,
) -> Finding:  # fmt: skip
    """Put a finding about ``caches`` together; it is told from the first of them.

    ``cuts``: what ``release`` does, where that is not to unpersist each of them.
    """
    first = caches[0]
    held = list(holders) or [one for cache in caches for one in holdings(cache)]
    total = sum(cache.bytes for cache in caches)
    return Finding(
        code=code, name=name, status=status, title=title,
        context=first.state.evidence.recording.header.context,
        object=HeldObject(type=TYPES[first.cache.kind], name=name_of(first)),
        holders=held, exclusive_bytes=total, shared_bytes=0, reclaim=on_executors(total),
        created=created(first), last_used=last_used(caches), growth=growth,
        path=path_of(first, held[0]), why=f"{why}; {stored(caches)}", fix="\n".join(fix),
        cuts=list(unpersist_cuts(caches) if cuts is None else cuts),
        fingerprint=_fingerprint(code, first, held[0]),
    )  # fmt: skip


def on_executors(total: int) -> Reclaim:
    """Return bytes that the block manager tells and that end with the blocks."""
    return Reclaim(bytes=total, low=total, high=total, where="executors", basis="exact")


def holdings(cached: Cached) -> list[Holding]:
    """Return the references that lead to a cache; its RDD where only that is left."""
    held = [Holding(root=one.root, expr=one.expr) for one in cached.named()]
    read_by = [*cached.cache.views, *([cached.cache.table] if cached.cache.table else [])]
    views = [Holding(root=DRIVER, expr=view_expr(cached, one)) for one in dict.fromkeys(read_by)]
    return held + views or [as_rdd(cached)]


def as_rdd(cached: Cached) -> Holding:
    """Return the RDD of a cache as what must be cut: nothing in Python stands for it."""
    rdd = cached.cache.rdd
    expr = cached.state.persistent_rdd(rdd) if rdd is not None else "the Spark driver's cache"
    return Holding(root=EXECUTOR, expr=expr)


def name_of(cached: Cached) -> str | None:
    """Return the name that a cached frame is told by."""
    named = cached.named()
    named.sort(key=lambda one: (one.how != "itself", one.root != "notebook-namespace"))
    if named:
        return named[0].expr
    return cached.cache.table or (cached.cache.views[0] if cached.cache.views else None)


def unpersist(cached: Cached) -> list[str]:
    """Return what to type so that the blocks go: by the frame itself, or else by the RDD."""
    own = itself(cached)
    if own is not None and cached.cache.kind != "checkpoint":
        return [f"{own.expr}.unpersist()"]
    if cached.cache.table is not None:
        return [f'{cached.state.session}.catalog.uncacheTable("{cached.cache.table}")']
    rdd = cached.cache.rdd
    return [f"{cached.state.persistent_rdd(rdd)}.unpersist()"] if rdd is not None else []


def unpersist_all(caches: Sequence[Cached]) -> list[str]:
    """Return the lines for all of ``caches``, in one loop where they would be many."""
    lines = [line for cached in caches for line in unpersist(cached)]
    rdds = [str(one.cache.rdd) for one in caches if itself(one) is None]
    if len(lines) <= LINES_SHOWN or len(rdds) < len(caches):
        return lines
    rdd = f"{caches[0].state.session}.sparkContext._jsc.getPersistentRDDs()[rdd].unpersist()"
    return [f"for rdd in ({', '.join(rdds)}): {rdd}"]


def view_expr(cached: Cached, view: str) -> str:
    """Return what to type to reach a temporary view."""
    return f'{cached.state.session}.table("{view}")'


def drop_view(state: SparkState, view: str) -> str:
    """Return what to type to drop a temporary view."""
    schema, dot, name = view.rpartition(".")
    if dot and schema == "global_temp":
        return f'{state.session}.catalog.dropGlobalTempView("{name}")'
    return f'{state.session}.catalog.dropTempView("{view}")'


def created(cached: Cached) -> Created | None:
    """Return the cell that made a cache, or the line of a script."""
    cache, run = cached.cache, cached.run
    if cache.cell is not None:
        return Created(
            cell=cache.cell, cell_id=run.cell_id if run else None,
            source="history" if run is not None and not run.observed else "hook",
        )  # fmt: skip
    if cache.file:
        return Created(file=PurePath(cache.file).name, line=cache.line)
    call = called_at(cached)
    return Created(file=call.file, line=call.line, source="code") if call else None


def made_in(cached: Cached) -> str:
    """Return ``cell 7`` or ``etl.py:41`` for a sentence, empty where it is not known."""
    place = created(cached)
    if place is None:
        return ""
    return f"cell {place.cell}" if place.cell is not None else f"{place.file}:{place.line}"


def last_used(caches: Sequence[Cached]) -> LastUse | None:
    """Return when a query last read one of ``caches``; None where none is known to have.

    What was read before the first reading was read at some time that nobody knows.
    """
    state = caches[0].state
    readings = state.evidence.recording.spark
    first = readings[0].t if readings else 0
    read = [
        one.cache
        for one in caches
        if (one.cache.read_t is not None and (one.cache.since or one.cache.read_t > first))
        or (one.cache.read_t is None and one.cache.read_cell is not None)
    ]
    if not read:
        return None
    latest = max(read, key=lambda one: one.read_t or 0)
    ago = None
    if latest.read_t is not None:
        ago = max(0.0, (state.evidence.liveness.now - latest.read_t) / 1e9)
    return LastUse(cell=latest.read_cell, seconds_ago=ago)


def name_last_used(evidence: Evidence, reach: SparkReach) -> LastUse | None:
    """Return the last cell that mentioned the name of a holder."""
    life = evidence.liveness.life(base(reach.expr))
    if life.last is None:
        return None
    return LastUse(cell=life.last.cell, seconds_ago=life.seconds_since)


def stored(caches: Sequence[Cached]) -> str:
    """Return what lies where, memory and disk apart, for a finding's reason."""
    memory = sum(one.cache.memory or 0 for one in caches)
    disk = sum(one.cache.disk or 0 for one in caches)
    parts = []
    if memory or not disk:
        parts.append(f"{size(memory)} in memory")
    if disk:
        parts.append(f"{size(disk)} on disk")
    return f"{' and '.join(parts)} of the executors"


def plan_words(cached: Cached) -> str:
    """Return the names of the plan's first operators: ``Project, Filter, Scan``."""
    shown = cached.cache.operators[:OPERATORS_SHOWN]
    return ", ".join([*shown, *(["…"] if len(cached.cache.operators) > OPERATORS_SHOWN else [])])


def path_of(cached: Cached, first: Holding) -> list[PathStep]:
    """Return the way from what a user can cut to the blocks."""
    number = "?" if cached.cache.rdd is None else cached.cache.rdd
    rdd = PathStep(type="RDD", edge=f"RDD {number}")
    relation = []
    if cached.cache.kind == "dataframe":
        plan = f"InMemoryRelation [{plan_words(cached)}]"
        relation = [PathStep(type=plan, edge="CacheManager")]
    if first.root == EXECUTOR:
        rdd.cut = True
        return [*relation, rdd]
    return [PathStep(type=TYPES[cached.cache.kind], edge=first.expr, cut=True), *relation, rdd]


def _fingerprint(code: str, cached: Cached, first: Holding) -> str:
    """Return a fingerprint by the plan's shape: numbers of RDDs are another run's tomorrow."""
    edge = first.expr if first.root != EXECUTOR else "RDD"
    path = [PathStep(type="", edge=edge), PathStep(type="", edge=cached.cache.shape)]
    cache, run = cached.cache, cached.run
    # Without the line of a script: it moves with every edit above it.
    place = created(cached)
    made = run.hash if run is not None else (place.file if place else None) or ""
    return fingerprint(code, first.root, TYPES[cache.kind], path, made)
