"""What a report says of Spark beside its findings: caches, executors, broadcasts, the JVM."""

from __future__ import annotations

from collections.abc import Sequence

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.spark_findings import created, last_used
from memprobe.analysis.spark_state import Cached, SparkState, was_stopped
from memprobe.findings import (
    Created,
    SparkBroadcastRow,
    SparkCacheRow,
    SparkExecutorRow,
    SparkJvm,
    SparkReport,
    SparkStreamRow,
)
from memprobe.recording.schema import Jvm, Spark, SparkBroadcast, SparkExecutor, SparkStream


def spark_report(evidence: Evidence) -> SparkReport | None:
    """Return what was read of the last Spark application; None where none was met."""
    readings = [one for one in evidence.recording.spark if one.app or one.mode == "connect"]
    state = evidence.spark
    last = state.last if state is not None else (readings[-1] if readings else None)
    jvm = _jvm(evidence.recording.jvm)
    if last is None:
        return SparkReport(jvm=jvm) if jvm is not None else None
    same = [one for one in evidence.recording.spark if one.app == last.app]
    if was_stopped(evidence):
        return SparkReport(
            app=last.app, version=last.version, master=last.master, readings=len(same),
            seconds_ago=max(0.0, (evidence.liveness.now - last.t) / 1e9), stopped=True, jvm=jvm,
        )  # fmt: skip
    return SparkReport(
        app=last.app, version=last.version, master=last.master, mode=last.mode,
        readings=len(same), shared=last.shared,
        seconds_ago=max(0.0, (evidence.liveness.now - last.t) / 1e9),
        caches=_caches(state), executors=_executors(same, last),
        broadcasts=_broadcasts(evidence, last), blocks=_blocks(last), streams=_streams(last),
        jvm=jvm, sessions=last.sessions, accumulators=last.accumulators,
        executions=last.executions, jobs=last.jobs, stages=last.stages,
        python_objects=last.python_objects, jvm_objects=last.jvm_objects,
    )  # fmt: skip


def _caches(state: SparkState | None) -> list[SparkCacheRow] | None:
    """Return the caches, those with most bytes first."""
    if state is None:
        return None
    return [_cache(one) for one in sorted(state.caches, key=lambda one: -one.bytes)]


def _cache(cached: Cached) -> SparkCacheRow:
    cache = cached.cache
    return SparkCacheRow(
        kind=cache.kind, holders=[one.expr for one in cached.direct()],
        behind=[one.expr for one in cache.holders if one.how == "behind"], views=cache.views,
        table=cache.table, ours=cache.ours, known=cache.known, rdd=cache.rdd, level=cache.level,
        operators=cache.operators, memory=cache.memory, disk=cache.disk,
        partitions=cache.partitions, cached=cache.cached, executors=cache.executors,
        reads=cache.reads, created=created(cached), last_used=last_used([cached]),
    )  # fmt: skip


def _executors(readings: Sequence[Spark], last: Spark) -> list[SparkExecutorRow] | None:
    if last.executors is None:
        return None
    peaks: dict[str, int] = {}
    for reading in readings:
        for one in reading.executors or ():
            if one.used is not None:
                peaks[one.id] = max(peaks.get(one.id, 0), one.used)
    return [_executor(one, peaks.get(one.id)) for one in last.executors]


def _executor(one: SparkExecutor, peak: int | None) -> SparkExecutorRow:
    return SparkExecutorRow(
        id=one.id, host=one.host, active=one.active, cores=one.cores, max=one.max, used=one.used,
        used_peak=peak, disk=one.disk, blocks=one.blocks, spilled=one.spilled,
        failed_tasks=one.failed_tasks, task_ms=one.task_ms, gc_ms=one.gc_ms,
        heap_peak=one.heap_peak, jvm_rss=one.jvm_rss, python_rss=one.python_rss,
        workers=one.workers, rss_by=one.rss_by, removed=one.removed,
    )  # fmt: skip


def _broadcasts(evidence: Evidence, last: Spark) -> list[SparkBroadcastRow] | None:
    if last.broadcasts is None:
        return None
    rows = [_broadcast(evidence, one) for one in last.broadcasts]
    return sorted(rows, key=lambda row: -(row.memory or 0))


def _broadcast(evidence: Evidence, one: SparkBroadcast) -> SparkBroadcastRow:
    run = evidence.liveness.run_of(one.cell)
    made = Created(cell=one.cell, cell_id=run.cell_id if run else None)
    return SparkBroadcastRow(
        id=one.id, holders=[reach.expr for reach in one.holders], memory=one.memory,
        disk=one.disk, file=one.file, in_python=one.value, destroyed=one.destroyed,
        created=made if one.cell is not None else None,
    )  # fmt: skip


def _blocks(last: Spark) -> dict[str, list[int]] | None:
    if last.blocks is None:
        return None
    return {one.kind: [one.count, one.memory, one.disk] for one in last.blocks}


def _streams(last: Spark) -> list[SparkStreamRow] | None:
    return None if last.streams is None else [_stream(one) for one in last.streams]


def _stream(one: SparkStream) -> SparkStreamRow:
    return SparkStreamRow(
        id=one.id, active=one.active, batches=one.batches, state_rows=one.state_rows,
        state_bytes=one.state_bytes,
    )  # fmt: skip


def _jvm(readings: Sequence[Jvm]) -> SparkJvm | None:
    """Return the last reading of the driver's JVM that told anything of its heap."""
    told = [one for one in readings if one.heap_used is not None or one.rss is not None]
    if not told:
        return None
    last = told[-1]
    histogram = next((one.histogram for one in reversed(readings) if one.histogram), [])
    return SparkJvm(
        pid=last.pid, heap_used=last.heap_used, heap_after_gc=last.heap_after_gc,
        heap_committed=last.heap_committed, heap_max=last.heap_max, pools=last.pools,
        buffers=last.buffers, gc_ms=last.gc_ms, collections=last.collections,
        threads=last.threads, classes=last.classes, rss=last.rss,
        classes_by_bytes=[[one.type, one.count, one.bytes] for one in histogram],
    )  # fmt: skip
