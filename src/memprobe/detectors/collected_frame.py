"""MP302: a frame and its copy in another form, of which only one is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.left_names import bundles_of
from memprobe.analysis.retention import Bundle
from memprobe.analysis.spark_findings import cache_finding, unpersist
from memprobe.detectors.collected_spark import Collected, collected
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Holder, Snapshot

CELLS_SINCE = 2  # cells that went on with the other one


class CollectedFrame:
    """A frame stays beside its copy in another form

    ## What it means
    `table.to_pandas()`, `df.to_dict("records")`, `df.values.tolist()` and their like copy all of
    the data into another form. Both are still there, each with memory of its own, and the cells
    since the conversion used only one of them. The finding is about the other: the source that
    has been read, or the copy that nobody needed.

    ## Why it matters
    The data costs twice, and often far more: a list of dicts takes ten times what the columns
    took. The source has done its work in the cell that converted it. Rows collected from a cached
    Spark frame cost the driver what the cache costs the executors.

    ## Example
    ```python
    table = pq.read_table("sensors.parquet")   # 2 GiB
    df = table.to_pandas()                     # 2 GiB more; `table` is not used again
    ```

    ## Use instead
    ```python
    df = pq.read_table("sensors.parquet").to_pandas()
    ```
    or `del table` once the copy is there. Of a Spark frame, `df.unpersist()` lets go of the cache.

    ## When it does not fire
    Both are used by later cells; fewer than two cells went on since the conversion; the copy is
    of a part of the rows; either is smaller than `min-bytes`; or the conversion copied nothing,
    as `to_numpy()` on columns of one type, so that both share their memory. A Spark frame that is
    not cached holds nothing, and rows of an aggregate are small beside what they came from.
    """

    code = "MP302"
    name = "collected-frame"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per source or copy that was left behind."""
        snapshot = evidence.snapshot
        if snapshot is None or not evidence.is_notebook:
            return
        told: set[str] = set()
        for pair in _pairs(evidence, snapshot):
            left, used = pair.left_and_used(evidence)
            if left is None or used is None or left.expr in told or not pair.own(evidence):
                continue
            told.add(left.expr)
            for bundle in bundles_of(evidence, _named(snapshot, left)):
                yield self._finding(evidence, bundle, pair, left)
        yield from self._of_spark(evidence, snapshot)

    def _of_spark(self, evidence: Evidence, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield a finding per cached Spark frame, or its rows on the driver, left behind."""
        state = evidence.spark
        told: set[str] = set()
        for pair in collected(state, snapshot) if state is not None else ():
            ids = {one.id for one in snapshot.holders if one.object == pair.copy.object}
            held = [group.bytes for group in snapshot.groups if ids.issuperset(group.holders)]
            if sum(held) < evidence.config.min_bytes or told & {pair.source, pair.copy.expr}:
                continue
            if pair.cache_is_left():
                told.add(pair.source)
                yield self._cache(pair)
            elif pair.copy_is_left():
                told.add(pair.copy.expr)
                for bundle in bundles_of(evidence, _named(snapshot, pair.copy)):
                    yield self._rows_of(evidence, bundle, pair)

    def _cache(self, pair: Collected) -> Finding:
        source, copy = pair.source, pair.copy.expr
        return cache_finding(
            [pair.cached], code=self.code, name=self.name, status="suspect",
            title=f"`{source}` stays cached in Spark beside `{copy}`: it is its source",
            why=f"cell {pair.run.cell} collected `{source}` into `{copy}` by `{pair.method}`; the "
            f"cells since then used only `{copy}`", fix=unpersist(pair.cached),
        )  # fmt: skip

    def _rows_of(self, evidence: Evidence, bundle: Bundle, pair: Collected) -> Finding:
        source, copy = pair.source, pair.copy.expr
        names = [holder for holder in bundle.holders if holder.root == NAMESPACE]
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=pair.copy,
            title=f"`{copy}` stays beside `{source}`, which Spark has cached: it is a copy of it",
            why=f"cell {pair.run.cell} collected `{source}` into `{copy}` by `{pair.method}`; the "
            f"last cells used only `{source}`",
            fix="\n".join([*display_deletions(bundle.holders), *deletions(names)]),
        )  # fmt: skip

    def _finding(self, evidence: Evidence, bundle: Bundle, pair: _Pair, left: Holder) -> Finding:
        source, copy = pair.source.expr, pair.copy.expr
        names = [holder for holder in bundle.holders if holder.root == NAMESPACE]
        what = "its source" if left is pair.source else f"a copy of `{source}`"
        other = copy if left is pair.source else source
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=left,
            title=f"`{left.expr}` stays beside `{other}`: it is {what}",
            why=f"cell {pair.cell} copied `{source}` into `{copy}` by `{pair.method}`; "
            f"the cells since then used only `{other}`",
            fix="\n".join([*display_deletions(bundle.holders), *deletions(names)]),
        )  # fmt: skip


def _named(snapshot: Snapshot, holder: Holder) -> set[int]:
    """Return the ids of all names of the object that ``holder`` holds."""
    return {
        one.id for one in snapshot.holders
        if one.object == holder.object and one.root == NAMESPACE
    }  # fmt: skip


@dataclass(frozen=True)
class _Pair:
    """A source and its copy, converted by the execution number ``order``."""

    snapshot: Snapshot
    source: Holder
    copy: Holder
    method: str
    order: int
    cell: int | None

    def left_and_used(self, evidence: Evidence) -> tuple[Holder | None, Holder | None]:
        """Return the one nobody used since, and the other if enough cells used it."""
        for left, used in ((self.source, self.copy), (self.copy, self.source)):
            if self._uses(evidence, left) == 0 and self._uses(evidence, used) >= CELLS_SINCE:
                return left, used
        return None, None

    def _uses(self, evidence: Evidence, holder: Holder) -> int:
        """Return how many cells since touched one of the object's names, callbacks included."""
        names = {one.expr for one in self.snapshot.holders if one.object == holder.object}
        if any(evidence.is_awaited(name) for name in names):
            return len(evidence.liveness.runs)
        runs = evidence.liveness.runs[self.order + 1 :]
        return sum(any(run.touches(name) for name in names) for run in runs)

    def own(self, evidence: Evidence) -> bool:
        """Whether each of both has enough bytes that the other does not share."""
        ones, others = (
            {one.id for one in self.snapshot.holders if one.object == end.object}
            for end in (self.source, self.copy)
        )
        groups = [(set(group.holders), group.bytes) for group in self.snapshot.groups]
        return all(
            sum(size for held, size in groups if held & mine and not held & theirs)
            >= evidence.config.min_bytes
            for mine, theirs in ((ones, others), (others, ones))
        )


def _pairs(evidence: Evidence, snapshot: Snapshot) -> Iterator[_Pair]:
    """Yield the conversions whose source and copy are both what they were then."""
    by_name = {one.expr: one for one in snapshot.holders if one.root == NAMESPACE}
    for run in evidence.liveness.runs:
        for name, (origin, method, *_) in run.collected.items():
            source, copy = by_name.get(origin), by_name.get(name)
            if source is None or copy is None or source.object == copy.object:
                continue
            made, got = (evidence.liveness.life(one).created for one in (name, origin))
            if made is not run or (got is not None and got.order > run.order):
                continue
            rebound = got is run and run.bound.get(origin, 0) > run.bound.get(name, 0) > 0
            if not rebound and _whole(source, copy):
                yield _Pair(snapshot, source, copy, method, run.order, run.cell)


def _whole(source: Holder, copy: Holder) -> bool:
    """Whether the copy has all the rows, or is a dict by column; True where nothing is known."""
    if copy.type == "dict" or source.type == "dict":
        return True
    rows, copied = _rows(source), _rows(copy)
    return rows is None or copied is None or rows == copied


def _rows(holder: Holder) -> int | None:
    return holder.shape[0] if holder.shape else holder.length
