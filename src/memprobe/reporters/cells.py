"""The cells that moved memory: what stayed behind, and how high each went while it ran."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memprobe.findings import CellRow
from memprobe.reporters.amounts import duration, size
from memprobe.reporters.printable import printable

SHOWN = 5
MATTERS = 10_000_000  # bytes


def cells(rows: list[CellRow]) -> Iterator[RenderableType]:
    """Yield a table of the cells that moved memory most, in the order they ran."""
    moved = sorted((row for row in rows if _moved(row) >= MATTERS), key=_moved, reverse=True)
    if not moved:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    table.add_column(Text("Cells that moved memory", "bold not dim"))
    for title in ("took", "RSS after", "change", "highest"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in (row for row in rows if any(row is one for one in moved[:SHOWN])):
        table.add_row(*_columns(row))
    yield ""
    yield table


def _columns(row: CellRow) -> list[Text]:
    name = Text(f"cell {row.cell}")
    if row.error:
        name.append(f"  {printable(row.error)}", "yellow")
    return [
        name,
        Text(duration(row.seconds) if row.seconds is not None else "running"),
        Text(size(row.rss) if row.rss is not None else "–"),
        Text(_signed(row.change), "bold"),
        Text(size(row.peak) if row.peak is not None else "–"),
    ]


def _moved(row: CellRow) -> int:
    """Return the larger of what the cell changed and what it took for a while."""
    transient = row.peak - row.rss if row.peak is not None and row.rss is not None else 0
    return max(abs(row.change or 0), transient)


def _signed(change: int | None) -> str:
    if change is None:
        return "–"
    return f"{'−' if change < 0 else '+'}{size(abs(change))}"
