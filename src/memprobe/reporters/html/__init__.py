"""The report as one HTML page: no network, no server, readable without JavaScript.

    render([(report, history), …]) -> str
    render_contrast(report, contrast_history) -> str

Texts, tables and findings are HTML, escaped by the templates. The pictures are drawn in the
reader's browser by plotly.js, which is in the page; their data are JSON in a block that no browser
runs. A policy in the page allows the two scripts it came with, by their hashes, and no address.
"""

from __future__ import annotations

from collections.abc import Sequence

from memprobe.contrasts import ContrastReport
from memprobe.findings import Report
from memprobe.histories import ContrastHistory, History
from memprobe.reporters.html import library
from memprobe.reporters.html.charts import contrast_charts, report_charts
from memprobe.reporters.html.page import filled

__all__ = ["library", "render", "render_contrast"]


def render(reports: Sequence[tuple[Report, History]]) -> str:
    """Return the page of one or more reports, each with what its recording says over time.

    Raises MemprobeError where what draws pages is not installed.
    """
    parts = [
        {"id": f"r{at}", "report": report, "history": history}
        for at, (report, history) in enumerate(reports)
    ]
    charts = {
        f"r{at}": report_charts(report, history) for at, (report, history) in enumerate(reports)
    }
    return filled("report.html", charts, parts=parts)


def render_contrast(report: ContrastReport, history: ContrastHistory) -> str:
    """Return the page of a contrast: the answer, both contexts side by side, and the findings.

    Raises MemprobeError where what draws pages is not installed.
    """
    part = {"id": "r0", "report": report, "history": history.notebook}
    charts = {"r0": contrast_charts(report, history)}
    return filled("contrast.html", charts, parts=[part], history=history)
