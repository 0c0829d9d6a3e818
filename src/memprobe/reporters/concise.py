"""One line per finding, in the shape editors and CI logs know from ruff."""

from __future__ import annotations

from memprobe.findings import Finding, Report
from memprobe.reporters.amounts import size
from memprobe.reporters.phrases import holders, location
from memprobe.reporters.printable import printable

HOLDERS_SHOWN = 3


def render(report: Report) -> str:
    """Return ``etl.ipynb:cell 7:1: MP201 output-history 1.9 GiB held by Out[7], _7 (leaking)``."""
    return "".join(_line(finding, report) + "\n" for finding in report.findings)


def _line(finding: Finding, report: Report) -> str:
    names = holders(finding)
    held = f" held by {', '.join(names[:HOLDERS_SHOWN])}" if names else ""
    if len(names) > HOLDERS_SHOWN:
        held += f" and {len(names) - HOLDERS_SHOWN} more"
    return (
        f"{location(finding, report.recording)}: {printable(finding.code)} "
        f"{printable(finding.name)} {size(finding.reclaim.bytes)}{held} ({finding.status})"
    )
