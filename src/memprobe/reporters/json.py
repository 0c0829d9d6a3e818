"""The stable interface for programs: one report as one JSON object.

Several recordings give ``{"version":1,"reports":[…]}``. ``null`` is "not measured", never zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from memprobe.findings import InsideReport, Report


def render(report: Report) -> str:
    """Return ``report`` as indented JSON."""
    return _indented(report)


def render_inside(report: InsideReport) -> str:
    """Return only what is inside of holders, as in ``holders`` of a whole report."""
    return _indented(report)


def render_all(reports: Sequence[Report]) -> str:
    """Return one report as itself, and several as a list within one object."""
    return _indented(reports[0] if len(reports) == 1 else {"version": 1, "reports": list(reports)})


def _indented(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
