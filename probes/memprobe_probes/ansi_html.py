"""A report's text with a terminal's colours as HTML, for pages that show nothing else."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")
_COLORS = ("#3b3b3b", "#c0392b", "#1e8449", "#9a7d0a", "#1f618d", "#7d3c98", "#117a65", "#7f8c8d")
_STYLES = {"1": "font-weight:bold", "2": "opacity:.7", "3": "font-style:italic",
           "4": "text-decoration:underline"}  # fmt: skip
_PRE = "font-family:monospace;font-size:12px;line-height:1.35"


def page(text: str) -> str:
    """Return ``text`` as one ``<pre>`` element; everything in it is escaped."""
    from html import escape

    out: list[str] = []
    styles: list[str] = []
    pieces = _SEQUENCE.split(text)
    for number, piece in enumerate(pieces):
        if number % 2:
            styles = _after(styles, piece.split(";"))
        elif piece:
            shown = escape(piece, quote=False)
            out.append(f'<span style="{";".join(styles)}">{shown}</span>' if styles else shown)
    return f'<pre class="memprobe" style="{_PRE}">{"".join(out)}</pre>'


def _after(styles: list[str], codes: list[str]) -> list[str]:
    """Return the styles that hold after one sequence."""
    found = list(styles)
    for code in codes:
        if code in ("", "0"):
            found = []
        elif code in _STYLES:
            found.append(_STYLES[code])
        elif len(code) == 2 and code[0] in "39" and code[1] in "01234567":
            found.append(f"color:{_COLORS[int(code[1])]}")
    return found
