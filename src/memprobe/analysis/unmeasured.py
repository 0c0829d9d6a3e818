"""What a report cannot speak of, and why: silence must never look like "all is well"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memprobe.analysis import databricks
from memprobe.analysis.account import tried
from memprobe.analysis.summary import CUT_OFF, taken
from memprobe.findings import NotMeasured, RecordingSummary
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Event, Snapshot, Unmeasured
from memprobe.reporters.amounts import counted

# What a probe or the host says went wrong, and what a reader misses by it.
EVENTS = {
    "snapshot-dropped": ("a snapshot", "it did not fit"),
    "snapshot-missed": ("a snapshot", "another one was still being taken"),
    "probe-error": ("a part of the time", "the probe met an error of its own"),
    "no-probe": ("the inside of the program", "it ran without the probe"),
    "probe-lost": ("a part of the time", "the probe was lost"),
    "write-failed": ("records that could not be written", "writing the recording failed"),
}

# From three quarters of the cap on only snapshots and the end are written; a sample knows how
# much was written before it, so the last one may stand a little below.
CROWDED_SHARE = 0.74
# Without a sample for so many intervals before the end, samples were left out.
INTERVALS_WITHOUT_SAMPLE = 5

SPARK_LISTS = "Spark caches, broadcasts and executors"
SPARK_LIBRARIES = ("pyspark", "databricks-connect", "databricks")


def not_measured(recording: Recording, summary: RecordingSummary) -> list[NotMeasured]:
    """Return every gap of ``recording``, the widest first, each one once."""
    gaps = [
        *_ending(summary, recording.events),
        *_snapshots(recording.snapshots),
        *_engine(recording),
        *_account(recording),
        *_events(recording.events),
        *_cap(recording),
        *_rows(recording),
        *_allocations(recording),
        *databricks.gaps(recording.header.databricks, spark_was_read=bool(recording.spark)),
        *_spark(recording, summary),
        *_skipped_lines(summary),
    ]
    unique = {(gap.what, gap.why): gap for gap in gaps}
    return list(unique.values())


def _was_restarting(events: list[Event]) -> bool:
    told = [one.event for one in events if one.event in ("restarting", "not-restarted")]
    return told[-1:] == ["restarting"]


def _ending(summary: RecordingSummary, events: list[Event]) -> Iterator[NotMeasured]:
    if summary.ended == CUT_OFF and _was_restarting(events):
        yield NotMeasured(
            what="the end of the run",
            why="a cell restarted the notebook's Python (restartPython); attach again, or "
            "%load_ext memprobe",
        )
    elif summary.ended == CUT_OFF:
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


def _account(recording: Recording) -> Iterator[NotMeasured]:
    """Yield what the account of the last snapshot does not tell."""
    for account in tried(recording)[-1:]:
        for gap in account.unmeasured:
            yield NotMeasured(what=gap.what, why=gap.why)


def _engine(recording: Recording) -> Iterator[NotMeasured]:
    """Yield what is missing because the native walker did not measure, as far as it was said."""
    last = (taken(recording) or recording.snapshots)[-1:]
    for snapshot in last:
        if snapshot.engine_note is not None:
            what = "cycles, and what the system gets back"
            what = what if snapshot.engine == "fallback" else "a part of the native snapshot"
            yield NotMeasured(what=what, why=snapshot.engine_note)


def _events(events: Iterable[Event]) -> Iterator[NotMeasured]:
    for event in events:
        if event.event in EVENTS:
            what, why = EVENTS[event.event]
            yield NotMeasured(what=what, why=f"{why}: {event.detail}" if event.detail else why)


def _cap(recording: Recording) -> Iterator[NotMeasured]:
    """Yield the time without samples after a recording grew near its size cap."""
    cap = recording.header.cap
    last = next((one for one in reversed(recording.samples) if one.cost is not None), None)
    if last is None or last.cost is None or not cap or last.cost.bytes < CROWDED_SHARE * cap:
        return
    ends = [record.t for record in (recording.end, *recording.snapshots[-1:]) if record]
    silent = (max(ends, default=last.t) - last.t) / 1e9
    if silent > INTERVALS_WITHOUT_SAMPLE * (last.interval or recording.header.interval):
        yield NotMeasured(
            what=f"memory and cells in the last {silent:.0f} s",
            why=f"the recording had grown near its cap of {cap} bytes",
        )


def _rows(recording: Recording) -> Iterator[NotMeasured]:
    """Yield what the last snapshot and the Spark readings themselves say they left out."""
    rows: list[Unmeasured] = []
    for snapshot in taken(recording)[-1:]:
        rows += snapshot.unmeasured
    for spark in recording.spark[-1:]:
        rows += spark.unmeasured
    for jvm in recording.jvm[-1:]:
        rows += jvm.unmeasured
    for row in rows:
        yield NotMeasured(what=row.what, why=row.why)


def _allocations(recording: Recording) -> Iterator[NotMeasured]:
    """Yield what a log of allocations was to say and does not."""
    log = recording.allocations
    if log is not None and log.failed is not None:
        yield NotMeasured(what="where memory was allocated", why=log.failed)
    elif log is not None and log.unjoined is not None:
        yield NotMeasured(what="where each finding's memory was allocated", why=log.unjoined)


def _spark(recording: Recording, summary: RecordingSummary) -> Iterator[NotMeasured]:
    """Yield what is not known of Spark where it was loaded, and read in part or not at all."""
    used = any(name in summary.libraries for name in SPARK_LIBRARIES)
    if not used and not recording.spark:
        return
    if databricks.why_spark_is_apart(recording.header.databricks) and not recording.spark:
        return  # that was said, with the reason
    said = {row.what for one in recording.spark[-1:] for row in one.unmeasured}
    said |= {row.what for one in recording.jvm[-1:] for row in one.unmeasured}
    if not recording.spark:
        yield NotMeasured(what=SPARK_LISTS, why="no Spark session was read")
    elif all(one.mode == "connect" for one in recording.spark) and not said:
        yield NotMeasured(what=SPARK_LISTS, why="Spark Connect does not tell a client")
    if not recording.jvm and "the driver's JVM" not in said:
        why = "it was not read"
        if recording.spark and recording.spark[-1].mode == "connect":
            why = "with Spark Connect it belongs to the server"
        yield NotMeasured(what="the driver's JVM", why=why)
    yield from _unknown_frames(recording)


def _unknown_frames(recording: Recording) -> Iterator[NotMeasured]:
    """Yield how many caches nobody can be said to have left, for want of time or of a view."""
    told = [one.caches for one in recording.spark if one.caches is not None][-1:]
    for caches in told:
        unknown = sum(not one.known for one in caches)
        others = sum(not one.ours for one in caches)
        if unknown:
            yield NotMeasured(
                what=f"what reaches {counted(unknown, 'Spark cache')}",
                why="not every live DataFrame has been looked up",
            )
        if others:
            yield NotMeasured(
                what=f"whether {counted(others, 'Spark cache')} can be let go",
                why="another program on the same driver may have made or may hold them",
            )


def _skipped_lines(summary: RecordingSummary) -> Iterator[NotMeasured]:
    for warning in summary.warnings:
        yield NotMeasured(what="part of the recording", why=warning)
