"""What ``memprobe release`` would have Spark let go of: exactly the named entries, never all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from memprobe.analysis.evidence import NAMESPACE
from memprobe.analysis.spark_state import LET_GO, Cached, is_typable
from memprobe.findings import Cut, Holding
from memprobe.recording.schema import SparkBroadcast, SparkReach

# A reference of its own; what lies deeper, as frames[0], may be another frame by now.
_PLAIN = re.compile(r"[^\W\d]\w*|Out\[\d+\]")
COLLECT = "spark.sparkContext._jvm.System.gc()"


def itself(cached: Cached) -> SparkReach | None:
    """Return the holder that was cached, one that can be let go first."""
    own = [
        (state not in LET_GO, reach) for reach, state in cached.states
        if reach.how == "itself" and is_typable(reach.expr)
    ]  # fmt: skip
    return min(own, key=lambda one: one[0])[1] if own else None


def unpersist_cuts(caches: Sequence[Cached]) -> list[Cut]:
    """Return one cut per cache; none at all where one of them cannot be named exactly."""
    cuts = [_unpersist(cached) for cached in caches]
    return [cut for cut in cuts if cut is not None] if all(cuts) else []


def _unpersist(cached: Cached) -> Cut | None:
    cache, own = cached.cache, itself(cached)
    plain = own is not None and _PLAIN.fullmatch(own.expr) is not None
    if own is not None and plain and cache.kind != "checkpoint" and cache.rdd is not None:
        return Cut(action="unpersist", expr=own.expr, root=own.root, number=cache.rdd,
                   says=f"{own.expr}.unpersist()")  # fmt: skip
    if cache.table is not None:
        says = f'{cached.state.session}.catalog.uncacheTable("{cache.table}")'
        return Cut(action="uncache-table", expr=cache.table, number=cache.rdd, says=says)
    if cache.rdd is None:
        return None
    expr = cached.state.persistent_rdd(cache.rdd)
    return Cut(action="unpersist-rdd", expr=expr, number=cache.rdd, says=f"{expr}.unpersist()")


def view_cuts(views: Iterable[tuple[str, str]]) -> list[Cut]:
    """Return the cuts that drop temporary views, each ``(view, line of code)``."""
    return [Cut(action="drop-view", expr=view, says=line) for view, line in views]


def name_cuts(names: Iterable[str]) -> list[Cut]:
    """Return the cuts of names of the notebook that lead to something stored."""
    return [Cut(action="del", expr=name, root=NAMESPACE, says=f"del {name}") for name in names]


def broadcast_cuts(broadcast: SparkBroadcast, held: Sequence[Holding], copy: int) -> list[Cut]:
    """Return what frees a broadcast on executors and driver, and with ``copy`` in Python too."""
    names = [one for one in held if one.root == NAMESPACE and one.expr.isidentifier()]
    if not broadcast.holders or not names:
        return [Cut(action="jvm-gc", expr=f"broadcast {broadcast.id}", number=broadcast.id,
                    says=COLLECT)]  # fmt: skip
    if len(names) < len(held):
        return []
    first = names[0]
    destroyed = Cut(action="destroy", expr=first.expr, root=first.root, number=broadcast.id,
                    says=f"{first.expr}.destroy()")  # fmt: skip
    cuts = [] if broadcast.destroyed else [destroyed]
    return cuts + (name_cuts(one.expr for one in names) if copy else [])
