"""MP503: pools and processes that were started, have nothing to do, and were not ended."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.liveness import CellRun
from memprobe.analysis.process_groups import (
    REUSED,
    ProcessGroup,
    Use,
    expression,
    groups,
    last_look,
    made_in,
    use,
)
from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    Holding,
    LastUse,
    PathStep,
    Reclaim,
    Status,
    fingerprint,
)
from memprobe.recording.schema import Snapshot, Step
from memprobe.reporters.amounts import counted, size

CHILD = "child-process"
WORTH_ADVICE = 10  # times ``min-bytes``, of workers that will end by themselves
# What ends a pool, by the end of its type's name; anything else is a process.
ENDINGS = {
    "Pool": ("terminate", "join"),
    "Executor": ("shutdown",),
    "Manager": ("shutdown",),
    "Popen": ("terminate", "wait"),
    "Process": ("terminate", "join"),
}


class ChildProcesses:
    """Pools and processes that have nothing to do and were not ended

    ## What it means
    The notebook started processes: a `multiprocessing.Pool`, a `ProcessPoolExecutor`, a `Popen`,
    a job in the background. They sleep, no work waits for them, no recent cell used the name that
    leads to them (or no name does), and they are still there, with their memory. In a script:
    they go on when the script has ended.

    ## Why it matters
    Each worker has an interpreter, its imports and whatever it loaded. None of it shows in the
    memory of the notebook itself, all of it counts against the limit of the container. A worker
    that was forked shares its parent's pages at first and copies each that either of them writes
    to: counted here is only what is its own, and comes back when it ends.

    ## Example
    ```python
    pool = multiprocessing.Pool(8, initializer=load_model)
    scores = pool.map(score, rows)             # the last use of pool: 8 models stay
    ```

    ## Use instead
    ```python
    with multiprocessing.Pool(8, initializer=load_model) as pool:
        scores = pool.map(score, rows)         # ended with the block
    ```
    or, where it is done: `pool.terminate()`, `executor.shutdown()`, `job.terminate(); job.wait()`.

    ## When it does not fire
    A recent cell used a name that leads to them (five cells, ten minutes: `stale-cells`,
    `stale-seconds`); they have work, used CPU since, or wait for connections as a server does;
    all that is their own is less than `min-bytes`; a module or a library keeps them for good. The
    workers of `joblib` are kept for the next call and end after five minutes without one: much in
    them is advice. Spark's JVM and its workers have rules of their own. In a script: what the
    interpreter ends at its exit, or has a session of its own, as a service has.
    """

    code = "MP503"
    name = "child-processes"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per pool, per list of processes, and per process without a name."""
        snapshot = last_look(evidence)
        if snapshot is None:
            return
        for group in groups(snapshot):
            status = self._status(evidence, group, snapshot)
            if group.private >= evidence.config.min_bytes and status is not None:
                yield self._finding(evidence, group, status)

    def _status(self, evidence: Evidence, group: ProcessGroup, snapshot: Snapshot) -> Status | None:
        if not evidence.is_notebook:
            return "suspect" if _outlives(evidence, group, snapshot) else None
        if use(evidence, group) is not Use.LEFT:
            return None
        timeout = group.timeout
        if timeout is None or timeout > evidence.config.stale_seconds:
            return "suspect"
        worth = group.private >= WORTH_ADVICE * evidence.config.min_bytes
        return "advice" if worth else None

    def _finding(self, evidence: Evidence, group: ProcessGroup, status: Status) -> Finding:
        held = _holdings(group)
        made = made_in(evidence, group)
        subject = group.type
        path = [PathStep(type=subject, edge=held[0].expr, cut=True)]
        stable = [PathStep(type=subject, edge="process" if not group.holders else held[0].expr)]
        private = group.private
        return Finding(
            code=self.code, name=self.name, status=status, title=_title(evidence, group, held),
            context=evidence.recording.header.context,
            object=HeldObject(type=subject, name=held[0].expr, length=len(group.processes)),
            holders=held, exclusive_bytes=private, shared_bytes=max(0, group.pss - private),
            reclaim=Reclaim(bytes=private, low=private, high=max(private, group.pss),
                            where="child-processes", basis="exact"),
            created=_created(made), last_used=_last_use(evidence, group), path=path,
            why=_why(evidence, group, made), fix=_fix(group),
            fingerprint=fingerprint(
                self.code, held[0].root, subject, stable, made.hash if made else ""
            ),
        )  # fmt: skip


def _outlives(evidence: Evidence, group: ProcessGroup, snapshot: Snapshot) -> bool:
    """Whether a script has ended and these have not, though they have nothing to do."""
    if snapshot.reason != "exit" or any(one.listens for one in group.processes):
        return False
    own = {one.session for one in group.processes if one.session == one.pid}
    return not own and all(one.waits for one in group.processes if one.private)


def _holdings(group: ProcessGroup) -> list[Holding]:
    rows = sorted(group.holders, key=lambda one: (one.root != NAMESPACE, len(one.expr)))
    typed = {expression(one)[0]: one.root for one in rows}
    if typed:
        return [Holding(root=root, expr=expr) for expr, root in typed.items()]
    return [Holding(root=CHILD, expr=f"process {one.pid}") for one in group.processes]


def _title(evidence: Evidence, group: ProcessGroup, held: list[Holding]) -> str:
    if not evidence.is_notebook:
        name = group.processes[0].name
        return f"the script leaves {_processes(group)} ({name}) running"
    if not group.holders:
        name = group.processes[0].name
        return f"{_processes(group)} ({name}) with nothing to do, to which no name leads"
    kind = group.type.rpartition(".")[2]
    return f"`{held[0].expr}` keeps {_processes(group)} of a {kind} with nothing to do"


def _processes(group: ProcessGroup) -> str:
    number = len(group.processes)
    return "1 process" if number == 1 else f"{number:,} processes"


def _why(evidence: Evidence, group: ProcessGroup, made: CellRun | None) -> str:
    since = f", since cell {made.cell}" if made is not None and made.cell is not None else ""
    parts = [f"{_processes(group)}{since}, {size(group.private)} of their own"]
    shared = group.rss - group.private
    if shared > group.private // 10:
        parts.append(f"{size(group.rss)} with pages that they share with others")
    names = [one.expr for one in group.holders if one.root == NAMESPACE]
    used = [evidence.liveness.life(name) for name in dict.fromkeys(names)]
    for life in used:
        last = f"last used in cell {life.last.cell}" if life.last else "used by no cell"
        parts.append(f"`{life.name}` was {last}: {counted(life.cells_since, 'cell')} ran since")
    if group.timeout is not None:
        parts.append(f"they end by themselves after {group.timeout:.0f} s without work")
    return "; ".join(parts)


def _fix(group: ProcessGroup) -> str:
    """Return what to type; a process without a name can only be ended by its number."""
    if any(one.expr.endswith(REUSED) for one in group.holders):
        expr = next(one.expr for one in group.holders if one.expr.endswith(REUSED))
        module = expr.removesuffix(f".{REUSED}")
        return f"import {module}\n{expr}.shutdown(wait=True)"
    for holder in sorted(group.holders, key=lambda one: (one.root != NAMESPACE, len(one.path))):
        typed, step = expression(holder)
        return _ending(holder.type, typed, step.edge if step is not None else None, holder.path)
    pids = " ".join(str(one.pid) for one in group.processes)
    return f"!kill {pids}"


def _ending(kind: str, typed: str, edge: str | None, path: list[Step]) -> str:
    calls = next((calls for end, calls in ENDINGS.items() if kind.endswith(end)), ("terminate",))
    if kind.startswith("asyncio."):
        calls = ("terminate",)
    if edge is None:
        return "\n".join(f"{typed}.{call}()" for call in calls)
    deeper = path[-1].edge != edge or sum(not s.edge.startswith(".") for s in path) > 1
    every = f"{typed}.values()" if edge == "[key]" else typed
    if deeper:
        return f"call {' and '.join(calls)} of each {kind} in `{typed}`"
    return "\n".join([f"for one in {every}:", *(f"    one.{call}()" for call in calls)])


def _created(made: CellRun | None) -> Created | None:
    return None if made is None else Created(cell=made.cell, cell_id=made.cell_id)


def _last_use(evidence: Evidence, group: ProcessGroup) -> LastUse | None:
    names = [one.expr for one in group.holders if one.root == NAMESPACE]
    lives = [evidence.liveness.life(name) for name in names]
    used = [life for life in lives if life.last is not None]
    if not used:
        return None
    last = min(used, key=lambda life: life.cells_since)
    return LastUse(cell=last.last.cell if last.last else None, seconds_ago=last.seconds_since)
