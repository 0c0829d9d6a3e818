"""One module per format, each with ``render(…) -> str``: a report in, text out, nothing else.

    render([report, …], "text", width=80, color=False) -> str

Names in a report come from users' notebooks. Every reporter shows them through ``printable``, and
none lets them act: no control character, no markup, no tag, no table cell of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memprobe.findings import InsideReport, Report

FORMATS = ("text", "concise", "json", "markdown", "junit")
INSIDE_FORMATS = ("text", "json", "markdown")


def render(
    reports: Sequence[Report], output_format: str = "text", *, width: int = 80, color: bool = False
) -> str:
    """Return ``reports`` in one of FORMATS, ending in a newline where anything is printed."""
    if output_format == "json":
        from memprobe.reporters import json

        return json.render_all(reports)
    if output_format == "junit":
        from memprobe.reporters import junit

        return junit.render_all(reports)
    if output_format == "markdown":
        from memprobe.reporters import markdown

        return "\n".join(markdown.render(report) for report in reports)
    if output_format == "concise":
        from memprobe.reporters import concise

        return "".join(concise.render(report) for report in reports)
    from memprobe.reporters import text

    return "\n".join(text.render(report, width=width, color=color) for report in reports)


def render_inside(
    report: InsideReport, output_format: str = "text", *, width: int = 80, color: bool = False
) -> str:
    """Return what is inside of holders in one of INSIDE_FORMATS, ending in a newline."""
    if output_format == "json":
        from memprobe.reporters import json

        return json.render_inside(report)
    if output_format == "markdown":
        from memprobe.reporters import markdown

        return markdown.render_inside(report)
    from memprobe.reporters import text

    return text.render_inside(report, width=width, color=color)
