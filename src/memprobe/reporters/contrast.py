"""A contrast in every format: text and JSON in full, the others with the findings of both sides."""

from __future__ import annotations

from memprobe.contrasts import ContrastReport
from memprobe.findings import Account, Overhead, RecordingSummary, Report


def render(
    report: ContrastReport, output_format: str = "text", *, width: int = 80, color: bool = False
) -> str:
    """Return ``report`` in one of the formats of ``memprobe.reporters``."""
    if output_format == "json":
        from memprobe.reporters import json

        return json.render(report)
    if output_format == "text" and report.contrast.suggestions is not None:
        from memprobe.reporters import suggestions_text

        return suggestions_text.render(report, width=width, color=color)
    if output_format == "text":
        from memprobe.reporters import contrast_text

        return contrast_text.render(report, width=width, color=color)
    from memprobe.reporters import render as render_findings

    return render_findings([report, script_report(report)], output_format, width=width)


def script_report(report: ContrastReport) -> Report:
    """Return the script's findings as a report of their own."""
    script = report.contrast.script
    summary = RecordingSummary(
        path="",
        format=report.recording.format,
        context="script",
        program=script.program,
        pid=0,
        start=report.recording.start,
        ended="exit",
        status=script.status,
        snapshots=script.processes if script.live is not None else 0,
    )
    return Report(
        recording=summary,
        account=Account(),
        findings=script.findings,
        overhead=Overhead(),
        rules={code: name for code, name in report.rules.items() if not code.startswith("MP6")},
    )
