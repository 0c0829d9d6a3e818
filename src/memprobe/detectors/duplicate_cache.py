"""MP403: several copies of a cached frame, of which only the last one is used."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence, State
from memprobe.analysis.spark_findings import cache_finding, made_in, unpersist_all
from memprobe.analysis.spark_state import BEHIND, Cached, SparkState
from memprobe.findings import Finding, Growth, Status


class DuplicateCache:
    """Re-running or chaining `cache()` keeps several copies

    ## What it means
    Spark keeps what `cache()` stored until `unpersist()` is called, whatever becomes of the
    variable. Two ways lead to copies that nobody asked for. A cell that caches runs again: the
    name now stands for the new frame, and the old one's blocks stay, where Spark cannot tell that
    both are the same (frames made from local rows, `rand()`, a new file). Or a frame is cached
    after each step of a chain, `df = df.withColumn(…).cache()`: only the last step is read, those
    behind it would be read again only to compute lost blocks.

    ## Why it matters
    Each copy takes as much of the executors' storage memory as the one in use. When it is full,
    Spark drops blocks that you need and computes them again.

    ## Example
    ```python
    df = spark.createDataFrame(rows).cache()   # run three times: three copies
    df.count()

    for column in columns:                     # as many copies as there are columns
        df = df.withColumn(column, clean(column)).cache()
        df.count()
    ```

    ## Use instead
    ```python
    if "df" in globals():
        df.unpersist()
    df = spark.createDataFrame(rows).cache()

    for column in columns:
        df = df.withColumn(column, clean(column))
    df = df.cache()                            # once, behind the loop
    ```

    ## When it does not fire
    Each copy has a name, view or table of its own, or a live frame reads it; the frames are of
    another form; the step above a copy is not stored in full, so that the copy may still be
    needed; another program on the same driver may have made it; or the copies take less than
    `min-bytes` together.
    """

    code = "MP403"
    name = "duplicate-cache"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per cell or line that left copies, then one per chain of caches."""
        state = evidence.spark
        if state is None:
            return
        told: set[int] = set()
        for copies, left in _reruns(state):
            if sum(one.bytes for one in left) >= evidence.config.min_bytes:
                told.update(one.cache.id for one in left)
                yield self._rerun(copies, left)
        for top, left in _chains(state, told):
            if sum(one.bytes for one in left) >= evidence.config.min_bytes:
                yield self._chain(top, left)

    def _rerun(self, copies: list[Cached], left: list[Cached]) -> Finding:
        newest = copies[-1]
        unreached = all(not one.cache.holders for one in left)
        status: Status = "leaking" if unreached else "suspect"
        if newest.cache.kind == "rdd":  # Spark lets go of a dropped one by itself, some time
            status = "advice"
        again = _runs(copies) > 1
        how = "was run again and cached again" if again else "cached frames of one form in a row"
        return cache_finding(
            left, code=self.code, name=self.name, status=status,
            title=f"{made_in(newest)} left {_copies(left)} in Spark that nothing reads",
            why=f"{made_in(newest)} {how}: {len(copies)} caches of the same form are stored, and "
            f"no name or view leads to {_of_them(left)} any more",
            fix=unpersist_all(left),
            growth=Growth(
                bytes_per_round=sum(one.bytes for one in left) // len(left), rounds=len(copies)
            ),
        )  # fmt: skip

    def _chain(self, top: Cached, left: list[Cached]) -> Finding:
        named = next((one.expr for one in top.named()), None)
        kept = f"`{named}`" if named else "the last one"
        return cache_finding(
            left, code=self.code, name=self.name, status="suspect",
            title=f"{kept} was cached step by step, and {len(left)} earlier "
            f"{'step is' if len(left) == 1 else 'steps are'} still stored",
            why=f"{kept} is stored in full, so the caches it was computed from are read no more; "
            "no frame of their own is alive",
            fix=unpersist_all(left),
        )  # fmt: skip


def _copies(left: list[Cached]) -> str:
    return "a cached copy" if len(left) == 1 else f"{len(left)} cached copies"


def _of_them(left: list[Cached]) -> str:
    return "one of them" if len(left) == 1 else f"{len(left)} of them"


def _runs(copies: list[Cached]) -> int:
    """Return how many executions of a cell made them."""
    return len({one.run.order for one in copies if one.run is not None})


def _reruns(state: SparkState) -> Iterator[tuple[list[Cached], list[Cached]]]:
    """Yield (all copies, oldest first, and those left) of each place that cached repeatedly."""
    groups: dict[tuple[str, str, str], list[Cached]] = {}
    for one in state.caches:
        place = _place(one)
        if one.cache.kind != "checkpoint" and one.cache.shape and one.bytes and place:
            groups.setdefault((one.cache.kind, one.cache.shape, place), []).append(one)
    for copies in groups.values():
        copies.sort(key=lambda one: (one.cache.since or 0, one.cache.rdd or 0, one.cache.id))
        left = [one for one in copies if one.is_left() and not one.is_rebuilt()]
        kept = len(left) < len(copies)
        if len(copies) > 1 and left and left != copies[-1:] and (kept or _runs(copies) > 1):
            yield copies, left


def _place(cached: Cached) -> str:
    """Return the source of the cell, or the line of a script, that cached it."""
    if cached.run is not None:
        return cached.run.hash or f"cell {cached.cache.cell}"
    return made_in(cached)


def _chains(state: SparkState, told: set[int]) -> Iterator[tuple[Cached, list[Cached]]]:
    """Yield the cache that is read, and those behind it that nobody reads."""
    behind: dict[int, list[Cached]] = {}
    for one in state.caches:
        if one.cache.id in told or one.cache.kind == "checkpoint" or not one.bytes:
            continue
        top = _read_instead(one)
        if top is not None:
            behind.setdefault(top.cache.id, []).append(one)
    for number, left in behind.items():
        yield state.by_id[number], left


def _read_instead(cached: Cached) -> Cached | None:
    """Return the cache above one that is stored in full and held; None if this one may be read."""
    if not cached.is_left() or not cached.cache.holders:
        return None
    if all(state is State.LEFT for reach, state in cached.states if reach.how == BEHIND):
        return None
    tops = [one for one in cached.above() if one.direct() or one.is_pinned]
    if not tops or any(not one.is_full for one in cached.above()):
        return None
    return None if _read_since(cached, tops) else tops[-1]


def _read_since(cached: Cached, tops: list[Cached]) -> bool:
    """Whether a cell after the one that made the newest cache above still read this one."""
    liveness = cached.state.evidence.liveness
    read = liveness.run_of(cached.cache.read_cell)
    made = [one.run.order for one in tops if one.run is not None]
    return read is not None and bool(made) and read.order > max(made)
