"""What a report cannot speak of, and why: silence must never look like "all is well"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memprobe.analysis.summary import CUT_OFF, taken
from memprobe.findings import NotMeasured, RecordingSummary
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Event, Snapshot, Unmeasured

# What the recorder says about itself, and how a reader understands it.
EVENTS = {
    "cap": ("the time after the size cap", "the recording reached its cap"),
    "cap-reached": ("the time after the size cap", "the recording reached its cap"),
    "write-failed": ("records that could not be written", "writing the recording failed"),
}

SPARK_LIBRARIES = ("pyspark", "databricks-connect", "databricks")


def not_measured(recording: Recording, summary: RecordingSummary) -> list[NotMeasured]:
    """Return every gap of ``recording``, the widest first, each one once."""
    gaps = [
        *_ending(summary),
        *_snapshots(recording.snapshots),
        *_events(recording.events),
        *_rows(recording),
        *_spark(recording, summary),
        *_skipped_lines(summary),
    ]
    unique = {(gap.what, gap.why): gap for gap in gaps}
    return list(unique.values())


def _ending(summary: RecordingSummary) -> Iterator[NotMeasured]:
    if summary.ended == CUT_OFF:
        tail = " inside a line" if summary.torn else ""
        yield NotMeasured(
            what="the end of the run",
            why=f"the recording is cut off{tail}: the process was killed, or it is still running",
        )
    elif summary.torn:
        yield NotMeasured(what="the last record", why="the file ends inside a line")
    if not summary.samples:
        yield NotMeasured(what="memory over time", why="no sample was recorded")


def _snapshots(snapshots: list[Snapshot]) -> Iterator[NotMeasured]:
    if not snapshots:
        yield NotMeasured(
            what="what holds the memory",
            why="no snapshot was taken before the recording ended",
        )
        return
    skipped = [snapshot for snapshot in snapshots if snapshot.skipped is not None]
    reasons: dict[str, int] = {}
    for snapshot in skipped:
        reasons[str(snapshot.skipped)] = reasons.get(str(snapshot.skipped), 0) + 1
    for reason, times in reasons.items():
        everything = len(skipped) == len(snapshots)
        what = "what holds the memory" if everything else "a part of the time"
        plural = "a snapshot was" if times == 1 else f"{times} snapshots were"
        yield NotMeasured(what=what, why=f"{plural} skipped: {reason}")


def _events(events: Iterable[Event]) -> Iterator[NotMeasured]:
    for event in events:
        if event.event in EVENTS:
            what, why = EVENTS[event.event]
            yield NotMeasured(what=what, why=f"{why}: {event.detail}" if event.detail else why)


def _rows(recording: Recording) -> Iterator[NotMeasured]:
    """Yield what the last snapshot and the Spark readings themselves say they left out."""
    last = taken(recording)[-1:]
    rows: list[Unmeasured] = [row for snapshot in last for row in snapshot.unmeasured]
    rows += [
        row
        for reading in (*recording.spark[-1:], *recording.jvm[-1:])
        for row in reading.unmeasured
    ]
    for row in rows:
        yield NotMeasured(what=row.what, why=row.why)


def _spark(recording: Recording, summary: RecordingSummary) -> Iterator[NotMeasured]:
    used = any(name in summary.libraries for name in SPARK_LIBRARIES)
    if used and not recording.spark:
        yield NotMeasured(
            what="Spark caches, broadcasts and executors",
            why="this version of memprobe does not read a Spark session",
        )
    if used and not recording.jvm:
        yield NotMeasured(
            what="the driver's JVM", why="this version of memprobe does not look into the JVM"
        )


def _skipped_lines(summary: RecordingSummary) -> Iterator[NotMeasured]:
    for warning in summary.warnings:
        yield NotMeasured(what="part of the recording", why=warning)
