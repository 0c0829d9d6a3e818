"""Where memory was allocated, in words: at a finding, as a table, and what knowing it cost."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memprobe.findings import AllocationSite, Finding, HeldAllocations, Overhead
from memprobe.reporters.amounts import counted, size
from memprobe.reporters.printable import printable

SHOWN = 10
TITLE = "Where what was not freed was allocated"
PROBABLY = "probably "  # the objects' own allocation is not known, only that of their pages


def allocated(finding: Finding) -> list[str]:
    """Return ``etl.py:41 load, in pandas read_csv (1.2 GiB)`` for each place, most bytes first."""
    return [("" if site.certain else PROBABLY) + _with_amount(site) for site in finding.allocated]


def tell_origin(finding: Finding) -> bool:
    """Whether where it was made is known by its allocation alone, and so said there."""
    by_allocation = finding.created is not None and finding.created.source == "allocation"
    return by_allocation and bool(finding.allocated)


def place(site: AllocationSite) -> str:
    """Return ``cell 7:3``, or ``etl.py:41 load, in pandas read_csv``."""
    file = f"cell {site.cell}" if site.cell is not None else printable(site.file)
    function = f" {printable(site.function)}" if site.function else ""
    within = f", in {printable(site.within)}" if site.within else ""
    return f"{file}:{site.line}{function}{within}"


def table(held: HeldAllocations | None) -> Iterator[RenderableType]:
    """Yield what was never freed, by place: true whatever holds it."""
    if held is None:
        return
    yield ""
    rows = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    rows.add_column(Text(TITLE, "bold not dim"), overflow="fold")
    rows.add_column("bytes", justify="right", no_wrap=True)
    for site in held.sites[:SHOWN]:
        rows.add_row(Text(place(site)), Text(size(site.bytes or 0), "bold"))
    yield rows
    yield Text(totals(held), "dim")


def totals(held: HeldAllocations) -> str:
    """Return what was not freed in all, and what was only mapped."""
    total = f"{size(held.bytes)} in all, by {printable(held.source)}"
    if not held.mapped:
        return total
    mapped = f"{size(held.mapped_bytes)} of address space, used or not"
    return f"{total}; and {mapped}, most of it at {place(held.mapped[0])}"


def tracers(overhead: Overhead) -> list[str]:
    """Return who slowed every allocation; by how much, one run cannot tell."""
    parts: list[str] = []
    if overhead.log:
        wrote = f" and wrote {size(overhead.log_bytes)}" if overhead.log_bytes is not None else ""
        parts.append(f"{printable(overhead.log)} slowed each allocation{wrote}")
    if overhead.traced_frames:
        frames = counted(overhead.traced_frames, "frame")
        parts.append(f"tracemalloc ({frames}) slowed each allocation")
    return parts


def _with_amount(site: AllocationSite) -> str:
    amount = f" ({size(site.bytes)})" if site.bytes is not None else ""
    native = f", native: {' ← '.join(map(printable, site.native))}" if site.native else ""
    return place(site) + amount + native
