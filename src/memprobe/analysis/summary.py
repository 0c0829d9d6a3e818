"""What was recorded: length, end, memory over time, slope, cells, and what measuring cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memprobe.analysis.slope import Point, recent_slope
from memprobe.findings import CellRow, Overhead, RecordingSummary
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Marker, Sample, Snapshot

TIMELINE_POINTS = 120
NANOSECONDS = 1e9
CUT_OFF = "cut off"
RUNNING = "running"  # as far as anybody can tell: a report was asked for, and nothing came since


def summarise(recording: Recording) -> RecordingSummary:
    """Return the summary of ``recording``; what it does not hold stays None."""
    header = recording.header
    points = rss_points(recording)
    slope = recent_slope(points)
    end = recording.end
    return RecordingSummary(
        path=str(recording.path),
        format=header.format,
        context=header.context,
        method=header.method,
        program=header.program,
        pid=header.pid,
        start=header.start,
        wall=wall_seconds(recording),
        python=header.python,
        libraries=_libraries(recording),
        ended=end.reason if end else _without_end(recording),
        status=end.status if end else None,
        signal=end.signal if end else None,
        torn=recording.torn,
        warnings=list(recording.warnings),
        samples=len(recording.samples),
        snapshots=len(taken(recording)),
        cells=len(_cells(recording.markers)),
        rss=_last_rss(recording),
        peak=peak_bytes(recording),
        limit=header.limits.effective,
        limit_source=header.limits.source,
        slope=slope,
        seconds_to_limit=_seconds_to_limit(recording, slope, points),
        timeline=timeline(sorted(points + cell_peaks(recording))),
        cell_rows=cell_rows(recording.markers),
    )


def _libraries(recording: Recording) -> dict[str, str]:
    """Return what was loaded: a script has imported nothing yet when its header is written."""
    found = dict(recording.header.libraries)
    for snapshot in recording.snapshots:
        found.update(snapshot.libraries)
    return found


def taken(recording: Recording) -> list[Snapshot]:
    """Return the snapshots that hold a measurement: those that were not skipped."""
    return [snapshot for snapshot in recording.snapshots if snapshot.skipped is None]


def wall_seconds(recording: Recording) -> float | None:
    """Return how long the recording lasted, by its end record or else by its last record."""
    if recording.end is not None and recording.end.wall is not None:
        return recording.end.wall
    times = [record.t for record in _timed(recording)]
    return (max(times) - recording.header.t) / NANOSECONDS if times else None


def rss_points(recording: Recording) -> list[Point]:
    """Return (seconds since the header, RSS bytes) of every sample, in order of time."""
    origin = recording.header.t
    return sorted(
        ((sample.t - origin) / NANOSECONDS, float(sample.rss))
        for sample in recording.samples
        if sample.rss is not None
    )


def cell_peaks(recording: Recording) -> list[Point]:
    """Return (seconds, bytes) of the kernel's high-water mark of each cell, at its middle.

    A transient between two samples shows in no sample; within its cell its time is not known.
    """
    origin = recording.header.t
    return [
        ((marker.t - origin) / NANOSECONDS - marker.seconds / 2, float(marker.peak))
        for marker in recording.markers
        if marker.peak is not None and marker.seconds is not None and marker.peak_by == "kernel"
    ]


def timeline(points: Sequence[Point], most: int = TIMELINE_POINTS) -> list[list[float]]:
    """Return at most ``most`` of ``points``: of each equal slice of time the highest one.

    The highest rather than the mean, because a peak is what kills a process.
    """
    if len(points) <= most:
        return [[x, y] for x, y in points]
    start, length = points[0][0], points[-1][0] - points[0][0] or 1.0
    highest: dict[int, Point] = {}
    # A day has 170,000 points: no call more than needed for each.
    for point in points:
        slot = min(int((point[0] - start) / length * most), most - 1)
        known = highest.get(slot)
        if known is None or point[1] > known[1]:
            highest[slot] = point
    return [[x, y] for x, y in highest.values()]


def peak_bytes(recording: Recording) -> int | None:
    """Return the highest RSS any record knows of, high-water marks of the kernel included."""
    known = [recording.end.peak if recording.end else None]
    known += [value for sample in recording.samples for value in (sample.rss, sample.peak)]
    known += [value for marker in recording.markers for value in (marker.rss, marker.peak)]
    known += [snapshot.rss for snapshot in recording.snapshots]
    return max((value for value in known if value is not None), default=None)


def cell_rows(markers: Iterable[Marker]) -> list[CellRow]:
    """Return one row per execution of a cell the hooks saw, in order.

    A start without an end is a cell that was still running: its duration stays None.
    """
    rows: list[CellRow] = []
    started: Marker | None = None
    for marker in markers:
        if marker.marker != "cell" or marker.source != "hook" or marker.phase == "replay":
            continue
        if marker.phase == "start":
            rows.append(_row(marker, None))
            started = marker
            continue
        if started is not None and started.cell == marker.cell:
            rows.pop()
        rows.append(_row(marker, started))
        started = None
    return rows


def overhead(recording: Recording) -> Overhead:
    """Return what the probe cost, by its own counters; pauses are milliseconds.

    The snapshot taken at exit holds nobody up who still had work to do: it is told apart.
    """
    costs = [sample.cost for sample in recording.samples if sample.cost is not None]
    cpu = _cpu_ns(recording)
    wall = wall_seconds(recording)
    last = taken(recording)[-1:]
    log = recording.allocations
    return Overhead(
        engine=last[0].engine if last else None,
        engine_note=last[0].engine_note if last else None,
        cpu_seconds=None if cpu is None else cpu / NANOSECONDS,
        cpu_share=cpu / NANOSECONDS / wall if cpu is not None and wall else None,
        bytes=max((cost.bytes for cost in costs), default=None),
        pauses_ms=[_pause(snapshot) for snapshot in taken(recording) if snapshot.reason != "exit"],
        exit_ms=sum(_pause(snapshot) for snapshot in taken(recording) if snapshot.reason == "exit")
        or None,
        log=log.source if log is not None else None,
        log_bytes=log.file_bytes if log is not None else None,
        logged=log.recorded if log is not None else None,
        traced_frames=max((one.traced for one in recording.snapshots if one.traced), default=None),
    )


def _cpu_ns(recording: Recording) -> int | None:
    """Return the probe's CPU time: by its last sample, and of the snapshots since then."""
    told = [(sample.t, sample.cost.cpu_ns) for sample in recording.samples if sample.cost]
    if not told:
        return None
    last = max(t for t, _ in told)
    since = [one for one in taken(recording) if one.t > last and one.reason != "exit"]
    return max(cpu for _, cpu in told) + sum(one.pause_ns or 0 for one in since)


def _pause(snapshot: Snapshot) -> float:
    return (snapshot.pause_ns or 0) / 1e6


def _row(marker: Marker, started: Marker | None) -> CellRow:
    before = started.rss if started is not None and started.cell == marker.cell else None
    known = before is not None and marker.rss is not None
    return CellRow(
        change=(marker.rss or 0) - (before or 0) if known else None,
        cell=marker.cell,
        seconds=marker.seconds,
        error=marker.error,
        rss=marker.rss,
        peak=marker.peak,
        peak_by=marker.peak_by,
    )


def _cells(markers: Iterable[Marker]) -> set[int]:
    return {
        marker.cell for marker in markers if marker.marker == "cell" and marker.cell is not None
    }


def _timed(recording: Recording) -> Iterable[Sample | Marker | Snapshot]:
    yield from recording.samples
    yield from recording.markers
    yield from recording.snapshots


def _without_end(recording: Recording) -> str:
    """Return how a recording without an end stands: cut off, or being read while it goes on."""
    last = max(_timed(recording), key=lambda record: record.t, default=None)
    asked = isinstance(last, Snapshot) and last.reason == "request"
    return RUNNING if asked and not recording.torn else CUT_OFF


def _last_rss(recording: Recording) -> int | None:
    """Return the last RSS that was read by anybody: a sample, a cell's hook or a snapshot."""
    known = [record for record in _timed(recording) if record.rss is not None]
    return max(known, key=lambda record: record.t).rss if known else None


def _seconds_to_limit(
    recording: Recording, slope: float | None, points: Sequence[Point]
) -> float | None:
    """Return the time until what the limit counts reaches it, at the present slope."""
    limit = recording.header.limits.effective
    if slope is None or slope <= 0 or limit is None or not points:
        return None
    used = next((s.used for s in reversed(recording.samples) if s.used is not None), None)
    return max(0.0, (limit - (points[-1][1] if used is None else used)) / slope)
