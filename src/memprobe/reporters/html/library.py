"""What pages are made with, and is not installed with every memprobe: Jinja and plotly.js."""

from __future__ import annotations

import importlib.util

from memprobe.errors import MemprobeError

INSTALL = 'pip install "memprobe-spark[html]"'
NEEDED = ("jinja2", "plotly")


def require() -> None:
    """Raise MemprobeError where a page cannot be made; imports nothing heavy."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MemprobeError(
            "an HTML report needs packages that are not installed",
            cause=f"there is no {' and no '.join(missing)} in this Python",
            remedy=INSTALL,
            docs="verbs/report.md",
        )


def plotly_js() -> str:
    """Return plotly.js as its package brings it, with the licence at its head."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source
