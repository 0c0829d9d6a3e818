"""From a recording to the report every reporter shows."""

from __future__ import annotations

from memprobe.analysis import allocations, release_plan
from memprobe.analysis.account_rows import account
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
from memprobe.findings import Report
from memprobe.histories import History
from memprobe.recording.reader import Recording


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
        account=account(recording, summary),
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
