"""What a recording says over time, thinned to what a picture can show: pure, for pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from memprobe.analysis.account_over_time import account_over_time
from memprobe.analysis.contrast_side import OWN_PHASES, ROUND, live_bytes
from memprobe.analysis.evidence import Evidence
from memprobe.analysis.held_over_time import held
from memprobe.analysis.holders import holder_rows
from memprobe.analysis.summary import NANOSECONDS, cell_peaks, rss_points, taken, wall_seconds
from memprobe.analysis.thinning import extremes, thinned
from memprobe.histories import History, Series, Span
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Marker

MOST_POINTS = 1600  # a wide screen has about as many columns
MOST_FEW = 400  # of what is read seldom
MOST_STEPS = 400
MOST_HOLDERS = 40


def history(evidence: Evidence) -> History:
    """Return what the recording behind ``evidence`` says over time."""
    recording = evidence.recording
    rows = holder_rows(evidence, most=MOST_HOLDERS)
    rounds = list(_rounds(recording))
    steps = list(_steps(recording))
    _count_within(rounds, steps)
    shown = _longest(steps)
    kept = [(_seconds(recording, one.t), float(live_bytes(one))) for one in taken(recording)]
    snapshots = [taken(recording)[at] for at in extremes(kept, MOST_FEW)]
    return History(
        wall=wall_seconds(recording),
        rss=thinned(sorted(rss_points(recording) + cell_peaks(recording)), MOST_POINTS),
        live=thinned(kept, MOST_FEW),
        held=held(snapshots, recording.header.t),
        account=account_over_time(recording),
        processes=_processes(recording),
        executors=_executors(recording),
        steps=shown,
        steps_left_out=len(steps) - len(shown),
        rounds=rounds,
        holders=rows,
        holders_left_out=_held_objects(evidence) - len(rows),
    )


def _seconds(recording: Recording, t: int) -> float:
    return (t - recording.header.t) / NANOSECONDS


def _held_objects(evidence: Evidence) -> int:
    snapshot = evidence.snapshot
    if snapshot is None:
        return 0
    return len({holder.object for holder in snapshot.holders if holder.object >= 0})


def _processes(recording: Recording) -> list[Series]:
    """Return the RSS of the processes below, added up by role, and of a JVM that is none of them.

    A process that was not there at a sample has nothing then.
    """
    read = [(one.t, one.children) for one in recording.samples if one.children is not None]
    roles = {child.role for _, children in read for child in children}
    points = {
        role: [(t, sum(c.rss or 0 for c in children if c.role == role)) for t, children in read]
        for role in sorted(roles)
    }
    jvm = [(one.t, one.rss) for one in recording.jvm if one.rss is not None]
    if jvm and "driver-jvm" not in points:
        points["driver-jvm"] = jvm
    return [
        _series(role, ((_seconds(recording, t), float(rss)) for t, rss in told))
        for role, told in points.items()
    ]


def _executors(recording: Recording) -> list[Series]:
    """Return the storage memory that each executor of Spark had in use."""
    read: dict[str, list[tuple[float, float]]] = {}
    for reading in recording.spark:
        for one in reading.executors or []:
            if one.used is not None:
                moment = _seconds(recording, reading.t)
                read.setdefault(one.id, []).append((moment, float(one.used)))
    return [_series(name, points) for name, points in sorted(read.items())]


def _series(name: str, points: Iterable[tuple[float, float]]) -> Series:
    return Series(name=name, points=thinned(sorted(points), MOST_FEW))


def _steps(recording: Recording) -> Iterator[Span]:
    notebook = recording.header.context == "notebook"

    def is_step(marker: Marker) -> bool:
        if marker.source != "hook" or marker.phase == "replay":
            return False
        if notebook:
            return marker.marker == "cell"
        own = marker.name in OWN_PHASES or (marker.name or "").startswith(ROUND)
        return marker.marker == "phase" and not own

    return _spans(recording, is_step)


def _rounds(recording: Recording) -> Iterator[Span]:
    return _spans(
        recording,
        lambda marker: marker.marker == "phase" and (marker.name or "").startswith(ROUND),
    )


def _count_within(rounds: list[Span], steps: list[Span]) -> None:
    """Name cells by their place in the round: execution counts go on from round to round."""
    for one in rounds:
        inside = [step for step in steps if one.start <= step.start <= (one.end or step.start)]
        for position, step in enumerate(inside, start=1):
            if step.name.startswith("cell "):
                step.name = f"cell {position}"


def _spans(recording: Recording, is_one: Callable[[Marker], bool]) -> Iterator[Span]:
    """Yield each run between a start and its end; a start without an end still ran."""
    started: Marker | None = None
    for marker in filter(is_one, recording.markers):
        if marker.phase == "start":
            if started is not None:
                yield _span(recording, started, None)
            started = marker
        else:
            yield _span(recording, started or marker, marker)
            started = None
    if started is not None:
        yield _span(recording, started, None)


def _span(recording: Recording, start: Marker, end: Marker | None) -> Span:
    told = end or start
    begins = _seconds(recording, start.t)
    if start is end and end.seconds is not None:
        begins -= end.seconds  # only its end was seen
    known = end is not None and end.rss is not None and start.rss is not None and start is not end
    name = f"cell {told.cell}" if told.cell is not None else told.name or "before the first cell"
    return Span(
        name=name,
        start=max(0.0, begins),
        end=None if end is None else _seconds(recording, end.t),
        error=told.error,
        peak=told.peak,
        change=(told.rss or 0) - (start.rss or 0) if known else None,
    )


def _longest(steps: list[Span]) -> list[Span]:
    """Return those that a picture can show: the longest, and all that failed, in their order."""
    if len(steps) <= MOST_STEPS:
        return steps

    def weight(step: Span) -> tuple[bool, bool, float]:
        return step.end is None, bool(step.error), (step.end or 0.0) - step.start

    chosen = {id(step) for step in sorted(steps, key=weight, reverse=True)[:MOST_STEPS]}
    return [step for step in steps if id(step) in chosen]
