"""Edits of a notebook's cells as a person reads them: a diff per cell, and what each lets go of."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from memprobe.contrasts import CellEdit, ContrastReport, Suggestions, Verified
from memprobe.reporters import text
from memprobe.reporters.amounts import counted, size
from memprobe.reporters.measures import signed
from memprobe.reporters.printable import printable

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def render(report: ContrastReport, *, width: int = 80, color: bool = False) -> str:
    """Return the verdict and the edits for ``width`` columns."""
    return text.printed(lambda room: _parts(report), width, color)


def _parts(report: ContrastReport) -> Iterator[RenderableType]:
    found = report.contrast.suggestions or Suggestions()
    yield Text(printable(report.contrast.verdict.text), "bold")
    yield ""
    yield Text(_summary(report, found))
    for edit in found.edits:
        yield ""
        yield from _edit(edit)
    if found.left:
        yield ""
        yield Text("No edit is suggested for", "bold")
        for one in found.left:
            yield Padding(Text(f"{one.code} {printable(one.title)}"), (0, 0, 0, 2))
            yield Padding(Text(printable(one.why), "dim"), (0, 0, 0, 4))
            for line in one.fix.splitlines():
                yield Padding(Text(printable(line), "green"), (0, 0, 0, 4))
    if found.verified is not None:
        yield ""
        yield from _verified(found.verified)


def _summary(report: ContrastReport, found: Suggestions) -> str:
    program = printable(report.recording.program)
    if not found.edits:
        return f"No edit of {program} is suggested."
    cells = counted(len(found.edits), "cell")
    checked = "" if found.verified is not None else " --verify runs an edited copy."
    return f"Edits of {cells} of {program}, which stays as it is.{checked}"


def _edit(edit: CellEdit) -> Iterator[RenderableType]:
    for line in edit.diff.splitlines():
        mark = line[:1] if not line.startswith(("---", "+++")) else ""
        yield Text(printable(line), STYLES.get(mark, "bold" if not mark else ""))
    for reason in edit.reasons:
        grows = f", and {size(reason.per_round)} more in each round" if reason.per_round else ""
        what = f"{reason.code} {printable(reason.title)}: {size(reason.bytes)}{grows}"
        yield Padding(Text(what, "dim"), (0, 0, 0, 2))


def _verified(found: Verified) -> Iterator[RenderableType]:
    yield Text("The edited copy, run in as many rounds", "bold")
    if found.failure is not None:
        yield Text(f"  it failed: {printable(found.failure)}", "bold red")
    rows = (
        ("held at the end", found.held_before, found.held_after),
        ("more in each round", found.per_round_before, found.per_round_after),
        ("stored in Spark", found.stored_before, found.stored_after),
        ("RSS at the end", found.rss_before, found.rss_after),
    )
    for label, before, after in rows:
        if before is None and after is None and label == "stored in Spark":
            continue
        change = "" if before is None or after is None else f"  ({signed(after - before)})"
        yield Text(f"  {label:<20}{_amount(before)} → {_amount(after)}{change}")
    yield Text(
        f"  {counted(len(found.gone), 'finding')} gone, {len(found.remaining)} still there",
        "" if not found.remaining else "yellow",
    )
    yield from _outputs(found)


def _outputs(found: Verified) -> Iterator[Text]:
    if not found.cells_compared and not found.changed:
        yield Text("  outputs were not compared", "dim")
    elif not found.changed:
        yield Text(f"  the same outputs, of {counted(found.cells_compared, 'cell')}")
    for change in found.changed:
        yield Text(f"  cell {change.cell} {change.what}", "bold yellow")
    if found.varying:
        cells = ", ".join(map(str, found.varying))
        yield Text(f"  not compared, for they vary by themselves: cell {cells}", "dim")


def _amount(value: int | None) -> str:
    return "not measured" if value is None else size(value)
