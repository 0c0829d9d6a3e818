"""From a recording to the report every reporter shows."""

from __future__ import annotations

from memprobe.analysis import allocations
from memprobe.analysis.evidence import gather
from memprobe.analysis.holders import holder_rows
from memprobe.analysis.summary import overhead, summarise, taken
from memprobe.analysis.unmeasured import not_measured
from memprobe.config import Config
from memprobe.detectors import DETECTORS, run
from memprobe.detectors.selection import chosen
from memprobe.errors import NothingMeasured
from memprobe.findings import Account, ProcessAccount, RecordingSummary, Report
from memprobe.recording.reader import Recording

OWN_ROLE = "driver-python"


def report(recording: Recording, config: Config) -> Report:
    """Return everything ``recording`` says under ``config``.

    Raises NothingMeasured where it holds neither a sample nor a snapshot: a gate over nothing
    must not be green.
    """
    if not recording.samples and not taken(recording):
        raise _nothing(recording)
    summary = summarise(recording)
    evidence = gather(recording, config)
    findings = run(evidence)
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
    return Account(processes=[own, *below])


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
