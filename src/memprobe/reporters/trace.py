"""One finding as a leak trace: from the root to the object, and where to cut.

notebook namespace
├─ Out                dict
│   ↓ [7]             ← cut here
│     ~~~
╰→ pandas.DataFrame   1,000,000 × 240 · exclusive 1.9 GiB
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from memprobe.findings import Finding, PathStep
from memprobe.reporters.amounts import size
from memprobe.reporters.phrases import described, root
from memprobe.reporters.printable import printable

CUT = "← cut here"
# The left column takes at most this share of the width; longer edges lose their middle.
LEFT_SHARE = 0.5


class Line(NamedTuple):
    """One line of the tree: glyphs, what stands at them, and the column to the right."""

    glyphs: str
    left: str
    right: str = ""
    cut: bool = False


def trace(finding: Finding, width: int) -> Iterator[Text]:
    """Yield the tree of ``finding`` for ``width`` columns, root first."""
    lines = list(_lines(finding))
    widest = max(cell_len(line.glyphs + line.left) for line in lines[1:])
    column = min(widest, int(width * LEFT_SHARE)) + 3
    for line in lines:
        yield _text(line, column, width)


def _lines(finding: Finding) -> Iterator[Line]:
    kind = finding.holders[0].root if finding.holders else ""
    yield Line("", root(kind) if kind else finding.context)
    steps = finding.path or [PathStep(type=finding.object.type, edge=finding.object.name or "?")]
    # A path that marks no cut is cut at the edge that a user can type: the last one.
    marked = any(step.cut for step in steps)
    for step in steps[:-1]:
        yield from _between(step)
    yield from _last(finding, steps[-1], steps[-1].cut or not marked)


def _between(step: PathStep) -> Iterator[Line]:
    edge, kind = printable(step.edge), printable(step.type)
    yield Line("├─ ", edge, f"{kind}   {CUT}" if step.cut else kind, step.cut)
    if step.cut:
        yield Line("│  ", "~" * cell_len(edge), cut=True)


def _last(finding: Finding, step: PathStep, cut: bool) -> Iterator[Line]:
    edge = printable(step.edge)
    yield Line("│   ↓ ", edge, CUT if cut else "", cut)
    if cut:
        yield Line("│     ", "~" * cell_len(edge), cut=True)
    yield Line("╰→ ", printable(finding.object.type), _facts(finding))


def _facts(finding: Finding) -> str:
    parts = [described(finding.object)]
    if finding.exclusive_bytes:
        parts.append(f"exclusive {size(finding.exclusive_bytes)}")
    if finding.shared_bytes:
        parts.append(f"shared {size(finding.shared_bytes)}")
    if finding.growth is not None:
        grown = finding.growth
        parts.append(f"+{size(grown.bytes_per_round)} each of {grown.rounds} rounds")
    return " · ".join(filter(None, parts))


def _text(line: Line, column: int, width: int) -> Text:
    room = column - cell_len(line.glyphs) - 3
    left = shortened(line.left, room if line.glyphs else width)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(line.glyphs, "dim")
    text.append(left, _style(line))
    if line.right:
        text.append(" " * max(1, column - text.cell_len))
        _append_right(text, line.right)
    return text


def _style(line: Line) -> str:
    if line.left.startswith("~"):
        return "red"
    if not line.glyphs:
        return "dim"
    return "bold" if line.cut or line.glyphs.startswith("╰") else ""


def _append_right(text: Text, right: str) -> None:
    before, arrow, after = right.partition(CUT)
    text.append(before)
    if arrow:
        text.append(arrow, "bold red")
    text.append(after)


def shortened(name: str, room: int) -> str:
    """Return ``name`` in at most ``room`` columns; the ends of an expression tell the most."""
    if cell_len(name) <= room:
        return name
    keep = max(room - 1, 2)
    head, tail = keep - keep // 2, keep // 2
    return Text(name)[:head].plain + "…" + Text(name)[len(name) - tail :].plain
