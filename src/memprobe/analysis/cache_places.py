"""Which line of a script made a cache: Spark does not remember it, the source may tell.

A line is only told where no other can be meant: by the name that holds the cache, or because
there is one such call in the whole program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memprobe.recording.schema import CacheCall, SparkCache

if TYPE_CHECKING:
    from memprobe.analysis.spark_state import Cached


def called_at(cached: Cached) -> CacheCall | None:
    """Return the call that made a cache of a script; None where several may have."""
    evidence = cached.state.evidence
    if evidence.is_notebook or evidence.snapshot is None:
        return None
    return place_of(cached.cache, evidence.snapshot.cache_calls)


def place_of(cache: SparkCache, calls: Sequence[CacheCall]) -> CacheCall | None:
    """Return the only one of ``calls`` that can have made ``cache``."""
    kind = "checkpoint" if cache.kind == "checkpoint" else "cache"
    if cache.table is not None:
        return None  # made by SQL, or by the catalog
    alike = [call for call in calls if call.kind == kind]
    names = {_last_name(reach.expr) for reach in cache.holders if reach.how == "itself"}
    named = [call for call in alike if names & set(call.names)]
    possible = named or alike
    return possible[0] if len(possible) == 1 else None


def _last_name(expr: str) -> str:
    return expr.partition("[")[0].rpartition(".")[2]
