"""From a recording to the report every reporter shows."""

from __future__ import annotations

from memprobe.analysis import allocations, release_plan
from memprobe.analysis.evidence import Evidence, gather
from memprobe.analysis.history import history
from memprobe.analysis.holders import holder_rows
from memprobe.analysis.spark_report import spark_report
from memprobe.analysis.summary import overhead, summarise, taken
from memprobe.analysis.unmeasured import not_measured
from memprobe.config import Config
from memprobe.detectors import DETECTORS, run
from memprobe.detectors.selection import chosen
from memprobe.errors import NothingMeasured
from memprobe.findings import Account, ProcessAccount, RecordingSummary, Report
from memprobe.histories import History
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Jvm

OWN_ROLE = "driver-python"
JVM_ROLE = "driver-jvm"


def report(recording: Recording, config: Config) -> Report:
    """Return everything ``recording`` says under ``config``.

    Raises NothingMeasured where it holds neither a sample nor a snapshot: a gate over nothing
    must not be green.
    """
    return _report(_evidence(recording, config))


def report_and_history(recording: Recording, config: Config) -> tuple[Report, History]:
    """Return the report of ``recording`` and what it says over time; raises as ``report`` does."""
    evidence = _evidence(recording, config)
    return _report(evidence), history(evidence)


def _evidence(recording: Recording, config: Config) -> Evidence:
    if not recording.samples and not taken(recording):
        raise _nothing(recording)
    return gather(recording, config)


def _report(evidence: Evidence) -> Report:
    recording, config = evidence.recording, evidence.config
    summary = summarise(recording)
    findings = run(evidence)
    release_plan.add_cuts(findings, evidence)
    allocations.add_sites(findings, recording, evidence.snapshot)
    return Report(
        recording=summary,
        account=_account(recording, summary),
        findings=findings,
        holders=holder_rows(evidence),
        not_measured=[
            *not_measured(recording, summary),
            *allocations.unplaced(findings, recording),
        ],
        overhead=overhead(recording),
        allocations=allocations.held(recording),
        spark=spark_report(evidence),
        rules={
            rule.code: rule.name
            for rule in chosen(DETECTORS, config.select, config.ignore)
            if not getattr(rule, "contrast_only", False)
        },
    )


def _account(recording: Recording, summary: RecordingSummary) -> Account:
    """Return one row per process of the last samples; buckets come with the memory account."""
    own = ProcessAccount(pid=summary.pid, role=OWN_ROLE, rss=summary.rss)
    children = next((s.children for s in reversed(recording.samples) if s.children is not None), [])
    below = [ProcessAccount(pid=child.pid, role=child.role, rss=child.rss) for child in children]
    return Account(processes=[own, *_with_jvm(recording, below)])


def _with_jvm(recording: Recording, below: list[ProcessAccount]) -> list[ProcessAccount]:
    """Tell what is known of the driver's JVM, which need not be a child of the process."""
    last = next((one for one in reversed(recording.jvm) if one.pid is not None), None)
    if last is None or last.pid is None:
        return below
    row = next((one for one in below if one.pid == last.pid), None)
    if row is None:
        row = ProcessAccount(pid=last.pid, role=JVM_ROLE, rss=last.rss)
        below = [row, *below]
    row.buckets = _heap(last)
    return below


def _heap(jvm: Jvm) -> dict[str, int]:
    """Return the parts of a JVM's memory that it told of; not all of them are resident."""
    found = {}
    if jvm.heap_used is not None:
        found["heap-used"] = jvm.heap_used
    if jvm.heap_used is not None and jvm.heap_committed is not None:
        found["heap-free"] = max(0, jvm.heap_committed - jvm.heap_used)
    return {**found, **{f"{name}-buffers": size for name, size in (jvm.buffers or {}).items()}}


def _nothing(recording: Recording) -> NothingMeasured:
    skipped = [snapshot.skipped for snapshot in recording.snapshots if snapshot.skipped]
    cause = "it holds neither a sample nor a snapshot"
    remedy = "record for longer, or with a larger --max-pause"
    for event in recording.events:
        if event.event == "no-probe":
            cause = f"the program ran without the probe: {event.detail}"
            remedy = "run it with a Python 3.10 or newer, without -I, -E and -S"
    if skipped:
        cause += f"; every snapshot was skipped: {skipped[-1]}"
    return NothingMeasured(
        f"nothing was measured in {recording.path}",
        cause=cause,
        remedy=remedy,
        docs="recording.md",
    )
