"""Draw docs/images/report.svg: the report of a real run of the demo, as a terminal shows it.

    make picture

The numbers are those of the machine that ran it. The picture has a dark background of its own, so
it looks the same on a light and on a dark page, and it refers to nothing outside itself: rich's
own SVG would load a font from the network.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from memprobe import config
from memprobe.demo import story
from memprobe.reporters import text

PICTURE = Path(__file__).with_name("report.svg")
TITLE = "make demo"
WIDTH = 104  # columns

# Background and foreground, then black, red, green, yellow, blue, magenta, cyan and white, each
# once normal and once bright. Every one of them stands out from the background by 4.5 to 1.
THEME = TerminalTheme(
    (22, 27, 34),
    (220, 226, 233),
    [
        (139, 148, 158), (255, 123, 114), (126, 211, 137), (227, 179, 65),
        (121, 192, 255), (210, 168, 255), (118, 215, 222), (220, 226, 233),
    ],
    [
        (165, 173, 182), (255, 150, 142), (150, 225, 160), (240, 200, 100),
        (150, 205, 255), (222, 190, 255), (150, 228, 233), (255, 255, 255),
    ],
)  # fmt: skip

# Fonts by name only: whoever looks at it has one of them. Rich stretches every run of text to its
# columns, so that the signs stay below each other in any of them.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"
     role="img" aria-label="A report of memprobe">
<style>
.{unique_id}-matrix {{
    font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    white-space: pre;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def play() -> str:
    """Run the demo and return its report as a terminal of WIDTH columns gets it."""
    with tempfile.TemporaryDirectory(prefix="memprobe-picture-") as folder:
        report = story.play(Path(folder), config.Config(), _tell)
    if not story.found(report):
        raise SystemExit("error: the demo did not find its leak; the picture stays as it was")
    return text.render(report, width=WIDTH, color=True)


def draw(report: str) -> str:
    """Return the SVG of ``report``, a text with ANSI colours."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(report.rstrip("\n")))
    return console.export_svg(title=TITLE, theme=THEME, code_format=FORMAT, unique_id="report")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    PICTURE.write_text(draw(play()), encoding="utf-8")
    _tell(f"drawn: {PICTURE}")
