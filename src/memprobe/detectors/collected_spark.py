"""Which frames were collected from a cached Spark frame, and which of the two is used since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.growth import base
from memprobe.analysis.liveness import CellRun
from memprobe.analysis.spark_state import Cached, SparkState
from memprobe.recording.schema import Holder, Snapshot

# What brings a Spark frame's rows to the driver.
METHODS = frozenset({"toPandas", "toArrow", "collect"})
CELLS_SINCE = 2  # cells that went on with the other one


@dataclass(frozen=True)
class Collected:
    """A cached Spark frame ``source`` and its rows on the driver, from the cell ``run``."""

    evidence: Evidence
    source: str
    cached: Cached
    copy: Holder
    names: frozenset[str]  # of the copy
    method: str
    run: CellRun

    def cache_is_left(self) -> bool:
        """Whether the cells since worked with the rows, and none with the cached frame."""
        if any(reach.root != NAMESPACE for reach in self.cached.direct()) or self.cached.is_pinned:
            return False
        names = {base(reach.expr) for reach in self.cached.direct()}
        read = self.evidence.liveness.run_of(self.cached.cache.read_cell)
        if read is not None and read.order > self.run.order:
            return False
        return self._is_left(names, set(self.names))

    def copy_is_left(self) -> bool:
        """Whether the cells since worked with the cached frame, and none with the rows."""
        names = {base(reach.expr) for reach in self.cached.direct()}
        return self._is_left(set(self.names), names)

    def _is_left(self, left: set[str], used: set[str]) -> bool:
        if any(self.evidence.is_awaited(name) for name in left):
            return False
        since = self.evidence.liveness.runs[self.run.order + 1 :]
        worked = [run for run in since if any(run.touches(name) for name in used)]
        touched = [run for run in since if any(run.touches(name) for name in left)]
        if touched:  # it was looked at once more: then the others must have gone on for longer
            idle = [run for run in since if run.order > touched[-1].order]
            worked = [run for run in worked if run in idle]
            return len(idle) >= self.evidence.config.stale_cells and len(worked) >= CELLS_SINCE
        return len(worked) >= CELLS_SINCE


def collected(state: SparkState, snapshot: Snapshot) -> Iterator[Collected]:
    """Yield the conversions whose cached source and whose rows are both what they were then."""
    evidence = state.evidence
    copies = {one.expr: one for one in snapshot.holders if one.root == NAMESPACE}
    for run in evidence.liveness.runs:
        for name, (source, method, *_) in run.collected.items():
            copy, cached = copies.get(name), _cache_of(state, source)
            if copy is None or cached is None or method not in METHODS:
                continue
            made, got = (evidence.liveness.life(one).created for one in (name, source))
            if made is not run or (got is not None and got.order > run.order):
                continue
            names = {one.expr for one in snapshot.holders if one.object == copy.object}
            yield Collected(evidence, source, cached, copy, frozenset(names), method, run)


def _cache_of(state: SparkState, name: str) -> Cached | None:
    """Return the filled cache that the frame of that name reads, its own one first."""
    found = [
        (reach.how != "itself", number, cached)
        for number, cached in enumerate(state.caches)
        for reach in cached.direct()
        if reach.expr == name and reach.root == NAMESPACE and cached.is_filled
    ]
    least = state.evidence.config.min_bytes
    large = [one for one in found if one[2].bytes >= least and one[2].cache.kind != "checkpoint"]
    return min(large, key=lambda one: one[:2])[2] if large else None
