"""Child processes that belong together, whether they work, and whether anybody still uses them.

Processes belong together where the same references lead to them: the workers of one pool, the
processes in one list. What a process started belongs to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from memprobe.analysis.evidence import NAMESPACE, OUTPUT, Evidence
from memprobe.analysis.liveness import CellRun
from memprobe.recording.schema import ChildProcess, ProcessHolder, SegmentHolder, Snapshot, Step

HELPER = "helper"
REUSED = "get_reusable_executor()"
LEAST_SPAN_NS = 500_000_000  # between two readings of CPU that say something
AT_WORK = 0.005  # of one core
SLACK_NS = 20_000_000  # two ticks of the clock that CPU time is counted in


class Use(Enum):
    """How a group of processes stands to the user's work."""

    IN_USE = "in use"
    AT_WORK = "at work"
    UNKNOWN = "unknown"
    LEFT = "left"


@dataclass(frozen=True)
class ProcessGroup:
    """Processes and what leads to them; ``holders`` is empty where no reference does."""

    processes: tuple[ChildProcess, ...]
    holders: tuple[ProcessHolder, ...]

    @property
    def pids(self) -> set[int]:
        """Their process ids."""
        return {one.pid for one in self.processes}

    @property
    def private(self) -> int:
        """Bytes that are theirs alone: what comes back when they end."""
        return sum(one.private or 0 for one in self.processes)

    @property
    def pss(self) -> int:
        """The same with their shares of what they have in common with others."""
        return sum(one.pss or one.private or 0 for one in self.processes)

    @property
    def rss(self) -> int:
        """Resident bytes, in which shared pages count for each."""
        return sum(one.rss or 0 for one in self.processes)

    @property
    def type(self) -> str:
        """Type of the pool, the executor, or what stands for one of them."""
        return self.holders[0].type if self.holders else "process"

    @property
    def started(self) -> int:
        """When the last of them started."""
        return max(one.started for one in self.processes)

    @property
    def timeout(self) -> float | None:
        """Seconds without work after which they end by themselves; None: they do not."""
        return next((one.timeout for one in self.holders if one.timeout is not None), None)


def last_look(evidence: Evidence) -> Snapshot | None:
    """Return the last snapshot that tells of child processes."""
    snapshots = reversed(evidence.recording.snapshots)
    return next((one for one in snapshots if one.processes is not None), None)


def groups(snapshot: Snapshot) -> list[ProcessGroup]:
    """Return the groups of a snapshot, those with most bytes of their own first."""
    rows = {one.pid: one for one in snapshot.processes or () if one.role != HELPER}
    led = {pid: _leading(pid, snapshot.process_holders) for pid in rows}
    found: dict[tuple[int, ...], list[ChildProcess]] = {}
    for pid, row in rows.items():
        top = _top(pid, rows, led)
        found.setdefault(led[top] or (-top,), []).append(row)
    made = [
        ProcessGroup(tuple(members), tuple(snapshot.process_holders[n] for n in numbers if n >= 0))
        for numbers, members in found.items()
    ]
    return sorted(_joined(made), key=lambda group: -group.private)


def use(evidence: Evidence, group: ProcessGroup) -> Use:
    """Return whether the group is used, works, or was left: the last only where all speaks for it.

    A name of a recent cell that leads to it, work that it has not done, a socket on which it
    waits for others: each of them is use.
    """
    if any(one.pending for one in group.holders) or _serves(group):
        return Use.IN_USE
    if any(is_used(evidence, holder) for holder in group.holders):
        return Use.IN_USE
    if not all(one.waits for one in group.processes if one.private):
        return Use.AT_WORK if any(one.waits is False for one in group.processes) else Use.UNKNOWN
    if not _named(group) and not is_long_ago(evidence, _last_work(evidence, group)):
        return Use.IN_USE
    if _cpu_since(evidence, group, _since(evidence, group)):
        return Use.AT_WORK
    return Use.LEFT


def made_in(evidence: Evidence, group: ProcessGroup) -> CellRun | None:
    """Return the execution during which the last of the processes started."""
    return run_at(evidence, group.started)


def expression(holder: ProcessHolder | SegmentHolder) -> tuple[str, Step | None]:
    """Return what to type, as far as attributes lead, and the first step that is none."""
    typed = holder.expr
    for step in holder.path:
        if not step.edge.startswith("."):
            return typed, step
        typed += step.edge
    return typed, None


def _leading(pid: int, holders: list[ProcessHolder]) -> tuple[int, ...]:
    return tuple(number for number, one in enumerate(holders) if pid in one.pids)


def _top(pid: int, rows: dict[int, ChildProcess], led: dict[int, tuple[int, ...]]) -> int:
    """Return the process that ``pid`` belongs to: itself, or the nearest above that has a name."""
    seen = {pid}
    at = pid
    while not led[at]:
        above = rows[at].parent
        if above not in rows or above in seen:
            return at
        seen.add(above)
        at = above
    return at


def _joined(found: list[ProcessGroup]) -> list[ProcessGroup]:
    """Join the groups of one expression: the processes in a list or dict."""
    joined: dict[tuple[str, ...], ProcessGroup] = {}
    for number, group in enumerate(found):
        key = tuple(sorted({expression(one)[0] for one in group.holders})) or (str(number),)
        known = joined.get(key)
        if known is not None:
            group = ProcessGroup(known.processes + group.processes, known.holders + group.holders)
        joined[key] = group
    return list(joined.values())


def _serves(group: ProcessGroup) -> bool:
    return any(one.listens for one in group.processes)


def is_used(evidence: Evidence, holder: ProcessHolder | SegmentHolder) -> bool:
    """Whether the reference is in use, or is none that a user could cut."""
    if holder.expr.endswith(REUSED):
        return False  # everybody's: its work tells, not its name
    if holder.root == NAMESPACE:
        return not evidence.is_stale(evidence.liveness.life(holder.expr))
    if holder.root == OUTPUT:
        return evidence.liveness.runs_after(holder.cell) < evidence.config.stale_cells
    return True


def _named(group: ProcessGroup) -> bool:
    return any(one.root == NAMESPACE for one in group.holders)


def _since(evidence: Evidence, group: ProcessGroup) -> int:
    """Return from when on the group has had nothing to do, if it was left."""
    ends = [group.started]
    for holder in group.holders:
        if holder.root == NAMESPACE:
            last = evidence.liveness.life(holder.expr).last
            ends.append(last.ended or 0 if last is not None else 0)
    if not _named(group):
        ends.append(_last_work(evidence, group))
    return max(ends)


def _readings(evidence: Evidence, pids: set[int]) -> list[tuple[int, int]]:
    """Return (t, CPU ns) of all the processes together, where a reading has every one."""
    found: list[tuple[int, int]] = []
    for sample in evidence.recording.samples:
        told = {one.pid: int(one.cpu * 1e9) for one in sample.children or () if one.cpu is not None}
        found += [(sample.t, _total(told, pids))] if pids <= told.keys() else []
    for snapshot in evidence.recording.snapshots:
        told = {one.pid: one.cpu_ns for one in snapshot.processes or ()}
        found += [(snapshot.t, _total(told, pids))] if pids <= told.keys() else []
    return sorted(found)


def _total(told: dict[int, int], pids: Iterable[int]) -> int:
    return sum(told[pid] for pid in pids)


def _cpu_since(evidence: Evidence, group: ProcessGroup, since: int) -> bool:
    """Whether the processes used CPU after that; False where no two readings tell."""
    readings = [one for one in _readings(evidence, group.pids) if one[0] >= since]
    if len(readings) < 2 or readings[-1][0] - readings[0][0] < LEAST_SPAN_NS:
        return False
    (began, before), (ended, after) = readings[0], readings[-1]
    return after - before > SLACK_NS + AT_WORK * (ended - began)


def _last_work(evidence: Evidence, group: ProcessGroup) -> int:
    """Return the last moment at which the processes may have worked, as far as readings tell."""
    last = group.started
    readings = _readings(evidence, group.pids)
    for (_, before), (t, after) in itertools.pairwise(readings):
        if after - before > SLACK_NS:
            last = t
    return last


def is_long_ago(evidence: Evidence, t: int) -> bool:
    """Whether so many cells ran since that moment, or others for so long."""
    after = [run for run in evidence.liveness.runs if run.observed and run.started > t]
    if len(after) >= evidence.config.stale_cells:
        return True
    return bool(after) and (evidence.liveness.now - t) / 1e9 >= evidence.config.stale_seconds


def run_at(evidence: Evidence, t: int) -> CellRun | None:
    """Return the execution that ran at that moment, where it was seen."""
    for run in evidence.liveness.runs:
        if run.observed and run.started <= t and (run.ended is None or t <= run.ended):
            return run
    return None
