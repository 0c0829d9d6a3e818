"""The report of ``%%memprobe``: a few lines of text, and a small table where HTML is shown."""

from __future__ import annotations

from .cell_measure import LEAST_ROW, LEAST_UNNAMED, CellFacts, Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_UNNAMED = "resident, but kept by no name: what libraries and the allocator hold"


def show(shell: Any, facts: CellFacts) -> None:
    """Show the report below the cell: rich where the frontend can, else as text.

    Databricks shows HTML through ``displayHTML``, which it puts into the namespace.
    """
    rich = shell.user_ns.get("displayHTML")
    if callable(rich):
        rich(as_html(facts))
        return
    shell.display_pub.publish({"text/plain": as_text(facts), "text/html": as_html(facts)})


def as_text(facts: CellFacts) -> str:
    """Return the report as lines of text."""
    lines = [f"memprobe   {_head(facts)}", f"memory     {_memory(facts)}"]
    label = "keeps"
    for row in facts.rows:
        lines.append(f"{label:<10} +{size(row.grown):<11} {_name(row)}   {_what(row)}".rstrip())
        label = ""
    lines += [f"{label:<10} {text}" for label, text in _rest(facts)]
    return "\n".join(lines)


def as_html(facts: CellFacts) -> str:
    """Return the report as one table without styles of its own."""
    from html import escape

    cells = [("memprobe", _head(facts), ""), ("memory", _memory(facts), "")]
    cells += [(f"+{size(row.grown)}", _name(row), _what(row)) for row in facts.rows]
    cells += [(label, text, "") for label, text in _rest(facts)]
    rows = "".join(
        f"<tr><th>{escape(first)}</th><td>{escape(second)}</td><td>{escape(third)}</td></tr>"
        for first, second, third in cells
    )
    return f'<table class="memprobe">{rows}</table>'


def size(count: float) -> str:
    """Return bytes as people read them."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} B"


def _head(facts: CellFacts) -> str:
    return (
        f"the cell took {_seconds(facts.seconds)}; measuring it {_seconds(facts.own_seconds)} more"
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _memory(facts: CellFacts) -> str:
    if facts.before is None or facts.after is None:
        return "not readable here"
    change = facts.after - facts.before
    sign = "+" if change >= 0 else "−"
    peak = f"peak {size(facts.peak)}" if facts.peak is not None else "peak not measured"
    now = f"{size(facts.after)} after ({sign}{size(abs(change))})"
    return f"{size(facts.before)} before, {now}, {peak}"


def _name(row: Row) -> str:
    return f"{row.name} and {row.others} more" if row.others else row.name


def _what(row: Row) -> str:
    state = "new" if row.is_new else f"now {size(row.now)}"
    return f"{row.type}, {state}" if row.type else state


def _rest(facts: CellFacts) -> Iterator[tuple[str, str]]:
    if facts.trouble:
        yield "holders", f"not measured: {facts.trouble}"
    elif not facts.rows:
        yield "keeps", "nothing more than before"
    if facts.more_rows:
        yield "", f"and {facts.more_rows} smaller"
    if facts.released >= LEAST_ROW:
        yield "lets go", f"{size(facts.released)} that names kept before the cell"
    if facts.unnamed >= LEAST_UNNAMED:
        yield "unnamed", f"{size(facts.unnamed)} {_UNNAMED}"
