"""MP404: a broadcast variable that outlives its use."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence, State
from memprobe.analysis.growth import base
from memprobe.analysis.spark_cuts import broadcast_cuts
from memprobe.analysis.spark_findings import DRIVER, EXECUTOR, name_last_used, on_executors
from memprobe.analysis.spark_state import LET_GO, SparkState, is_typable
from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    Holding,
    PathStep,
    Reclaim,
    Status,
    fingerprint,
)
from memprobe.recording.schema import SparkBroadcast
from memprobe.reporters.amounts import size

TYPE = "pyspark.Broadcast"
COLLECT = "spark.sparkContext._jvm.System.gc()"


class BroadcastRetained:
    """A broadcast variable outlives its use

    ## What it means
    `sc.broadcast(value)` puts copies of a value on the driver and on every executor that needs
    it, and the driver keeps the pickled value in a file. They stay until `destroy()`. The name of
    the broadcast was not used by recent cells (`stale-cells`, `stale-seconds`); or the name is
    gone, and its blocks wait for a collection in the driver's JVM; or it was destroyed, and the
    value that `bv.value` loaded into Python is still there.

    ## Why it matters
    A table of 500 MB costs 500 MB on the driver and on each executor. `unpersist()` frees the
    executors alone, and neither it nor `destroy()` frees the copy in Python.

    ## Example
    ```python
    countries = sc.broadcast(load_countries())
    joined = orders.rdd.map(lambda row: with_country(row, countries.value)).toDF()
    joined.write.parquet(out)                  # the last use; the copies stay
    ```

    ## Use instead
    ```python
    countries.destroy()                        # frees executors and driver; it cannot be used again
    del countries                              # and the copy in Python
    ```
    `countries.unpersist()` frees the executors and sends the value again when it is needed.

    ## When it does not fire
    A recent cell used the name, or a function that names it; a frame or function keeps it that
    has no name; it takes less than `min-bytes`. A broadcast that has just lost its last name is
    advice: Spark frees it after the next collection in the driver's JVM. Those that Spark makes
    for its own joins are its own business.
    """

    code = "MP404"
    name = "broadcast-retained"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per broadcast that is stored and no longer used."""
        state = evidence.spark
        if state is None:
            return
        for broadcast in state.broadcasts:
            copy = _python_copy(evidence, broadcast)
            stored = (broadcast.memory or 0) + (broadcast.disk or 0)
            total = stored or copy
            if total >= evidence.config.min_bytes:
                status = _status(state, broadcast)
                if status is not None:
                    yield self._finding(state, broadcast, status, stored, copy)

    def _finding(
        self, state: SparkState, broadcast: SparkBroadcast, status: Status, stored: int, copy: int
    ) -> Finding:
        evidence = state.evidence
        named = [one for one in broadcast.holders if is_typable(one.expr)]
        run = evidence.liveness.run_of(broadcast.cell)
        held = [Holding(root=one.root, expr=one.expr) for one in named]
        held = held or [Holding(root=EXECUTOR, expr=f"broadcast {broadcast.id}")]
        edge = named[0].expr if named else f"[{broadcast.id}]"
        path = [PathStep(type=TYPE, edge=edge, cut=True)]
        source = run.hash if run is not None else ""
        return Finding(
            code=self.code, name=self.name, status=status,
            title=_title(broadcast, named[0].expr if named else None, bool(stored)),
            context=evidence.recording.header.context,
            object=HeldObject(type=TYPE, name=named[0].expr if named else None), holders=held,
            exclusive_bytes=stored or copy, shared_bytes=0, reclaim=_reclaim(stored, copy),
            created=_created(state, broadcast),
            last_used=name_last_used(evidence, named[0]) if named else None,
            path=[*path, PathStep(type="BlockManager", edge=f"broadcast {broadcast.id}")],
            why=_why(state, broadcast, stored, copy), fix="\n".join(_fix(broadcast, held, copy)),
            fingerprint=fingerprint(self.code, held[0].root, TYPE, path, source),
            cuts=broadcast_cuts(broadcast, held, copy),
        )  # fmt: skip


def _status(state: SparkState, broadcast: SparkBroadcast) -> Status | None:
    """Return how sure it is that nothing needs the broadcast; None where something may."""
    if broadcast.holders:
        stale = state.evidence.is_notebook and all(
            state.held(reach) in LET_GO for reach in broadcast.holders
        )
        return "suspect" if stale else None
    run = state.evidence.liveness.run_of(broadcast.cell)
    if run is not None and run.running:
        return None
    return "suspect" if _long_without_holder(state, broadcast) else "advice"


def _long_without_holder(state: SparkState, broadcast: SparkBroadcast) -> bool:
    """Whether many cells ran while no name led to it, and no collection came."""
    first = None
    for reading in reversed(state.readings):
        then = next((one for one in reading.broadcasts or () if one.id == broadcast.id), None)
        if then is None or then.holders:
            break
        first = reading
    cell = first.cell if first is not None else None
    return state.runs_after(cell) >= state.evidence.config.stale_cells


def _python_copy(evidence: Evidence, broadcast: SparkBroadcast) -> int:
    """Return what the names of the broadcast alone keep in the Python process."""
    if not broadcast.value or evidence.snapshot is None:
        return 0
    names = {base(reach.expr) for reach in broadcast.holders}
    own = {one.id for one in evidence.snapshot.holders if one.expr in names}
    groups = evidence.snapshot.groups
    return sum(group.bytes for group in groups if own and own.issuperset(group.holders))


def _reclaim(stored: int, copy: int) -> Reclaim:
    if stored:
        return on_executors(stored)
    return Reclaim(bytes=copy, low=copy, high=copy, where="driver-python", basis="estimate")


def _title(broadcast: SparkBroadcast, name: str | None, stored: bool) -> str:
    if name is None:
        return f"broadcast {broadcast.id} has lost its last name and is still stored"
    if not stored:
        return f"`{name}` is gone from Spark, and its value is still in Python"
    return f"the broadcast `{name}` is stored, and no recent cell used it"


def _created(state: SparkState, broadcast: SparkBroadcast) -> Created | None:
    run = state.evidence.liveness.run_of(broadcast.cell)
    if broadcast.cell is None:
        return None
    return Created(cell=broadcast.cell, cell_id=run.cell_id if run else None)


def _why(state: SparkState, broadcast: SparkBroadcast, stored: int, copy: int) -> str:
    copies = []
    if stored:
        places = len(broadcast.executors) or 1
        where = "one block manager" if places == 1 else f"{places} block managers"
        copies.append(f"{size(stored)} in {where}, the driver's included")
    if broadcast.file:
        copies.append(f"{size(broadcast.file)} in a file of the driver")
    if copy:
        copies.append(f"{size(copy)} in Python, which only `del` frees")
    reason = "no recent cell used its name"
    if not broadcast.holders:
        reason = "no name leads to it; Spark waits for a collection in the driver's JVM"
    elif any(state.held(reach) is State.LEFT for reach in broadcast.holders):
        reason = "only outputs or stale names lead to it"
    return f"{reason}; {', '.join(copies)}"


def _fix(broadcast: SparkBroadcast, held: list[Holding], copy: int) -> list[str]:
    if not broadcast.holders or held[0].root in (DRIVER, EXECUTOR):
        return [COLLECT]
    name = held[0].expr
    lines = [] if broadcast.destroyed else [f"{name}.destroy()"]
    names = [
        one.expr for one in held if one.root == "notebook-namespace" and one.expr.isidentifier()
    ]
    return lines + ([f"del {', '.join(names)}"] if copy and names else [])
