"""The account as a report shows it: one row per process of the context, the target first."""

from __future__ import annotations

from memprobe.analysis.account import explained, last_full, owned, target
from memprobe.findings import Account, Neighbour, ProcessAccount, RecordingSummary
from memprobe.recording import schema
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Jvm, ProcessMemory
from memprobe_probes import account_buckets as buckets

OWN_ROLE = "driver-python"
JVM_ROLE = "driver-jvm"


def account(recording: Recording, summary: RecordingSummary) -> Account:
    """Return the last account in buckets; without one, what the last samples say."""
    full = last_full(recording)
    own = target(full) if full is not None else None
    rows = [_row(own)] if own is not None else [_plain(summary)]
    rows += _others(recording, full)
    last = recording.accounts[-1] if recording.accounts else None
    return Account(
        processes=_with_jvm(recording, rows),
        seconds_ago=None if full is None else _seconds_before_end(recording, full),
        limit_used=None if last is None else last.limit_used,
        neighbours=_neighbours(last),
    )


def _row(process: ProcessMemory) -> ProcessAccount:
    return ProcessAccount(
        pid=process.pid, role=process.role, rss=process.rss, buckets=process.buckets,
        explained=explained(process), owned=owned(process), pss=process.pss, swap=process.swap,
        trimmable=process.trimmable,
    )  # fmt: skip


def _plain(summary: RecordingSummary) -> ProcessAccount:
    return ProcessAccount(pid=summary.pid, role=OWN_ROLE, rss=summary.rss)


def _neighbours(last: schema.Account | None) -> list[Neighbour]:
    return [] if last is None else [Neighbour(pid=one.pid, rss=one.rss) for one in last.neighbours]


def _others(recording: Recording, full: schema.Account | None) -> list[ProcessAccount]:
    """Return the processes below the target: as accounted, and those that only samples know."""
    found = [_row(one) for one in full.processes[1:]] if full is not None else []
    known = {row.pid for row in found}
    children = next((s.children for s in reversed(recording.samples) if s.children is not None), [])
    return found + [
        ProcessAccount(pid=child.pid, role=child.role, rss=child.rss)
        for child in children
        if child.pid not in known
    ]


def _with_jvm(recording: Recording, rows: list[ProcessAccount]) -> list[ProcessAccount]:
    """Tell what is known of the driver's JVM, which need not be a child of the process."""
    last = next((one for one in reversed(recording.jvm) if one.pid is not None), None)
    if last is None or last.pid is None:
        return rows
    row = next((one for one in rows if one.pid == last.pid), None)
    if row is None:
        row = ProcessAccount(pid=last.pid, role=JVM_ROLE, rss=last.rss)
        rows = [rows[0], row, *rows[1:]]
    if row.explained is None:
        row.buckets = _heap(last)
    return rows


def _heap(jvm: Jvm) -> dict[str, int]:
    """Return the parts of a JVM's memory that it told of; not all of them are resident."""
    found = {}
    if jvm.heap_used is not None:
        found[buckets.HEAP_USED] = jvm.heap_used
    if jvm.heap_used is not None and jvm.heap_committed is not None:
        found[buckets.HEAP_FREE] = max(0, jvm.heap_committed - jvm.heap_used)
    return {**found, **{f"{name}-buffers": size for name, size in (jvm.buffers or {}).items()}}


def _seconds_before_end(recording: Recording, full: schema.Account) -> float:
    times = [full.t, *(one.t for one in recording.samples[-1:])]
    times += [one.t for one in recording.markers[-1:]]
    times += [recording.end.t] if recording.end is not None else []
    return (max(times) - full.t) / 1e9
