"""One context as rounds and steps: from a recording's markers and the snapshots between them."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from memprobe.recording.reader import Recording
from memprobe.recording.schema import Jvm, Marker, Snapshot, Spark

ROUND = "round "
OWN_PHASES = ("start-up", "probe")
R = TypeVar("R", Spark, Jvm)
NO_SNAPSHOT = "no snapshot was taken between these steps"


@dataclass
class Step:
    """One executed cell, or one group of a script's statements. ``cell`` is its position.

    ``count`` is the execution count of a cell; ``line`` the first line a script's step binds at.
    """

    name: str
    hash: str
    cell: int | None
    count: int | None
    wall: float | None
    cpu: float | None
    peak: int | None
    rss: int | None
    error: str | None
    bound: dict[str, int]
    used: set[str]
    ended: int
    snapshot: Snapshot | None = None
    why: str | None = None  # there is no snapshot
    shows: bool = True  # IPython kept what it displayed; of a script's step it means nothing
    jvm_cpu: float | None = None
    workers_cpu: float | None = None
    spark: Spark | None = None  # the last reading after it, before the next one began
    jvm: Jvm | None = None

    @property
    def live(self) -> int | None:
        """The bytes that named holders keep after the step."""
        return None if self.snapshot is None else live_bytes(self.snapshot)

    def touches(self, name: str) -> bool:
        """Whether the step binds or uses ``name``."""
        return name in self.used or name in self.bound


@dataclass
class Round:
    """The same work once: from the first step to the last. ``ended`` is monotonic ns."""

    number: int
    steps: list[Step] = field(default_factory=list)
    ended: int | None = None

    def last_snapshot(self) -> Snapshot | None:
        """Return what was held when the round was over."""
        return self.steps[-1].snapshot if self.steps else None

    def wall(self) -> float | None:
        """Return the seconds of all steps; None where one of them is not known."""
        return _total([step.wall for step in self.steps])

    def cpu(self) -> float | None:
        """Return the CPU seconds of all steps."""
        return _total([step.cpu for step in self.steps])

    def peak(self) -> int | None:
        """Return the highest RSS of any step."""
        return max((step.peak for step in self.steps if step.peak is not None), default=None)


@dataclass
class Side:
    """One recording, as a contrast reads it."""

    recording: Recording
    rounds: list[Round]
    start_up: float | None
    base: int | None = None  # RSS before the first step

    @property
    def first(self) -> Round:
        """The first round: a script's only one."""
        return self.rounds[0]


def live_bytes(snapshot: Snapshot) -> int:
    """Return what the snapshot's named holders keep, in bytes."""
    return sum(group.bytes for group in snapshot.groups)


def side(recording: Recording) -> Side:
    """Return ``recording`` as rounds of steps; a recording without rounds is one round."""
    markers = recording.markers
    start_up = next(
        (one.seconds for one in markers if one.marker == "phase" and one.name == "start-up"), None
    )
    notebook = recording.header.context == "notebook"
    rounds = list(_rounds(markers, notebook)) or [Round(1)]
    _give_snapshots(rounds, recording)
    begins = (one for one in markers if one.phase == "start" and _is_step(one, notebook))
    first = next(begins, None)
    return Side(recording, rounds, start_up, first.rss if first is not None else None)


def whole_run(recording: Recording, taken: Snapshot) -> Step:
    """Return a run without steps as one step, of which only what was held is known."""
    return Step(
        name="the whole run", hash="", cell=None, count=None, wall=None, cpu=None, peak=None,
        rss=None, error=None, bound={}, used=set(), ended=taken.t, snapshot=taken,
    )  # fmt: skip


def cut(recording: Recording, ended: int | None) -> Recording:
    """Return the recording as it stood at ``ended`` (monotonic ns), without what came later."""
    if ended is None:
        return recording

    return replace(
        recording,
        samples=[one for one in recording.samples if one.t <= ended],
        markers=[one for one in recording.markers if one.t <= ended],
        snapshots=[one for one in recording.snapshots if one.t <= ended],
        spark=[one for one in recording.spark if one.t <= ended],
        jvm=[one for one in recording.jvm if one.t <= ended],
        jvm_levels=[one for one in recording.jvm_levels if one.t <= ended],
    )


def _rounds(markers: list[Marker], notebook: bool) -> Iterator[Round]:
    current = Round(1)
    marked = False
    started: Marker | None = None
    for marker in markers:
        if marker.marker == "phase" and (marker.name or "").startswith(ROUND):
            if marker.phase == "start":
                current, marked = Round(int((marker.name or "")[len(ROUND) :])), True
            else:
                current.ended = marker.t
                yield current
                current = Round(current.number + 1)
        elif not _is_step(marker, notebook):
            continue
        elif notebook and marker.cell is None:
            continue  # a magic ran its cell as a cell of its own, within the one that counts
        elif marker.phase == "start":
            started = marker
        else:
            position = len(current.steps) + 1
            current.steps.append(_step(marker, started, position if marked else None))
            started = None
    # No rounds were marked, or the first one was cut off; a later one that was is no round.
    if current.steps and (not marked or current.number == 1):
        yield current


def _is_step(marker: Marker, notebook: bool) -> bool:
    if marker.source != "hook" or marker.phase == "replay":
        return False
    if notebook:
        return marker.marker == "cell"
    return marker.marker == "phase" and marker.name not in OWN_PHASES


def _step(marker: Marker, started: Marker | None, position: int | None) -> Step:
    if started is not None and started.cell != marker.cell:
        started = None
    known = started is not None and started.cpu is not None and marker.cpu is not None
    # A cell within the cell has taken the hook's notes along: the markers know when it began.
    between = (marker.t - started.t) / 1e9 if started is not None else None
    cell = position or marker.cell or _number(marker.name)
    return Step(
        name=f"cell {cell}" if cell else marker.name or "before the first cell",
        hash=marker.hash or "",
        cell=cell,
        count=marker.cell,
        wall=marker.seconds if marker.seconds is not None else between,
        cpu=(marker.cpu or 0.0) - (started.cpu or 0.0) if known and started else None,
        shows=marker.shows,
        jvm_cpu=_since(started, marker, "jvm_cpu"),
        workers_cpu=_since(started, marker, "workers_cpu"),
        peak=marker.peak,
        rss=marker.rss,
        error=marker.error,
        bound=marker.bound,
        used=set(marker.used),
        ended=marker.t,
    )


def _since(started: Marker | None, ended: Marker, name: str) -> float | None:
    """Return what a clock went on by; one that is there at the end only began meanwhile."""
    after: float | None = getattr(ended, name)
    if started is None or after is None:
        return None
    before: float = getattr(started, name) or 0.0
    return after - before if after >= before else after  # another JVM: its clock began anew


def _number(name: str | None) -> int | None:
    word, _, number = (name or "").partition(" ")
    return int(number) if word == "cell" and number.isdigit() else None


def _give_snapshots(rounds: list[Round], recording: Recording) -> None:
    """Give each step the last snapshot before the next one began, if its cell was over then."""
    starts = sorted(one.t for one in recording.markers if one.phase == "start" and _begins(one))
    snapshots = sorted(recording.snapshots, key=lambda one: one.t)
    times = [one.t for one in snapshots]
    spark, jvm = sorted(recording.spark, key=_time), sorted(recording.jvm, key=_time)
    spark_times, jvm_times = list(map(_time, spark)), list(map(_time, jvm))
    for step in (step for one in rounds for step in one.steps):
        following = bisect_right(starts, step.ended)
        until = starts[following] if following < len(starts) else sys.maxsize
        last = bisect_right(times, until)
        between = snapshots[bisect_left(times, step.ended) : last]
        step.spark = _last_between(spark, spark_times, step.ended, until)
        step.jvm = _last_between(jvm, jvm_times, step.ended, until)
        measured = [one for one in between if one.skipped is None and not one.busy]
        step.snapshot = measured[-1] if measured else None
        if not measured:
            step.why = next((one.skipped for one in between if one.skipped), None) or NO_SNAPSHOT


def _time(record: Spark | Jvm) -> int:
    return record.t


def _last_between(records: list[R], times: list[int], after: int, until: int) -> R | None:
    at = bisect_right(times, until) - 1
    return records[at] if at >= 0 and times[at] >= after else None


def _begins(marker: Marker) -> bool:
    return not (marker.name or "").startswith(ROUND) and marker.name not in OWN_PHASES


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
