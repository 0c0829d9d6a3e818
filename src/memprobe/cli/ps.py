"""``memprobe ps``: what one could attach to."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, cast

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from memprobe.targets.contexts import ContextRow

    # Title, one cell per row, justification.
    Column = tuple[str, list[str], Literal["left", "right"]]

_NEAR = 0.85  # of the limit: shown in red
_HIGH = 0.6
_GAP = 2  # spaces between two columns
_SHORTEST_NAME = 12
_PIPE_WIDTH = 160
_LONGEST_APP = 10
_LONGEST_TIME = 7 * 86400  # seconds; a limit further away than a week is not news


@click.command(name="ps")
@click.argument("scope", required=False, metavar="[TARGET-SCOPE]")
@click.option(
    "--slope",
    "measure",
    type=click.FloatRange(0, 600),
    default=0.0,
    metavar="SECONDS",
    help="Watch the kernels that long, to tell how fast they grow.",
)
@click.option(
    "--output-format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
def command(scope: str | None, measure: float, output_format: str) -> None:
    """List every context one could attach to.

    Shows each kernel's memory, its share of the limit that applies to it, the time left at the
    present slope, its age, notebook, whether it is busy, and whether a probe is in it. What
    cannot be attached to is listed with the reason. TARGET-SCOPE is the address of a Jupyter
    Server: then its kernels are listed; or databricks:CLUSTER: then its driver's notebooks are.
    """
    from memprobe.cli.output import emit
    from memprobe.databricks.address import is_databricks

    if scope and is_databricks(scope):
        from memprobe.cli import ps_databricks

        ps_databricks.show(scope, output_format)
        return
    rows = _rows(scope, measure)
    emit(as_json(rows) if output_format == "json" else as_text(rows))


def _rows(scope: str | None, measure: float) -> list[ContextRow]:
    from memprobe.targets.server_url import is_url

    if scope and is_url(scope):
        from memprobe.targets.server_choice import listed

        return listed(scope)
    _refuse_scope(scope)
    from memprobe.targets.contexts import contexts

    return contexts(measure)


def _refuse_scope(scope: str | None) -> None:
    if not scope:
        return
    from memprobe.errors import UsageError

    raise UsageError(
        f"cannot list {scope}",
        cause="a scope is the address of a Jupyter Server, such as http://127.0.0.1:8888/, or "
        "databricks:CLUSTER",
        remedy="give such an address, or run memprobe ps on the machine where the kernels run",
        docs="verbs/ps.md",
    )


def as_json(rows: list[ContextRow], **more: Any) -> str:
    """Return the listing for machines; ``more`` stands before the contexts."""
    import json

    told = {"version": 1, **more, "contexts": [_fields(row) for row in rows]}
    return json.dumps(told, indent=2) + "\n"


def _fields(row: ContextRow) -> dict[str, Any]:
    from dataclasses import fields

    file = row.connection_file
    return {
        # Without `remote`, which holds the server's token.
        **{one.name: getattr(row, one.name) for one in fields(row) if one.name != "remote"},
        "connection_file": str(file) if file else None,
        "share": row.share,
        "seconds_to_limit": row.seconds_to_limit,
    }


def as_text(rows: list[ContextRow], heading: Sequence[str] = ()) -> str:
    """Return the listing as it is printed, with colours where stdout is a terminal."""
    console = _console()
    for line in heading:
        console.print(line)
    attachable = [row for row in rows if row.attachable]
    refused = [row for row in rows if not row.attachable and row.kind != "left-over"]
    left_over = [row for row in rows if row.kind == "left-over"]
    if attachable:
        console.print(_table(attachable, console.width))
    elif not heading:
        _print_nothing(console, any(row.kind == "kernel" for row in refused))
    if refused:
        _print_refused(console, refused)
    if left_over:
        _print_left_over(console, left_over)
    text = cast("StringIO", console.file).getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _console() -> Console:
    import os
    import sys

    from rich.console import Console

    from memprobe.cli.output import columns, wants_color

    color = wants_color(sys.stdout)
    # Into a pipe (`| grep etl`) names are not shortened to what a terminal could show.
    piped = not os.environ.get("COLUMNS") and not (sys.stdout and sys.stdout.isatty())
    return Console(
        file=StringIO(),
        width=_PIPE_WIDTH if piped else columns(),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
    )


def _table(rows: list[ContextRow], width: int) -> Table:
    """Draw the attachable kernels; a column that would be empty in every row is left out."""
    from rich.table import Table

    columns = [column for column in _columns(rows) if any(column[1])]
    if _narrowest(columns) > width:  # what can best be spared
        columns = [column for column in columns if column[0] != "SPARK"]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in columns:
        title, _, justify = column
        wide = min(_wide(column), max(_SHORTEST_NAME, width - _narrowest(columns) + _SHORTEST_NAME))
        table.add_column(title, justify=justify, width=wide, no_wrap=True)
    for cells in zip(*(values for _, values, _ in columns)):
        table.add_row(*cells)
    return table


def _narrowest(columns: list[Column]) -> int:
    """Return the width of a table whose notebooks are shortened as far as is bearable."""
    widths = [_SHORTEST_NAME if c[0] == "NOTEBOOK" else _wide(c) for c in columns]
    return sum(widths) + _GAP * (len(columns) - 1)


def _wide(column: Column) -> int:
    from rich.text import Text

    title, cells, _ = column
    return max(len(title), *(Text.from_markup(cell).cell_len for cell in cells))


def _columns(rows: list[ContextRow]) -> list[Column]:
    """Return the columns in the order they are shown."""
    return [
        ("PID", [str(row.pid) if row.pid is not None else "" for row in rows], "right"),
        ("KERNEL", [_id(row) for row in rows], "left"),
        ("NOTEBOOK", [escaped(row.name) for row in rows], "left"),
        ("RSS", [_memory(row) for row in rows], "right"),
        ("SHARE", [_share(row) for row in rows], "right"),
        ("FULL IN", [_time_left(row) for row in rows], "right"),
        ("AGE", [_short(row.age) for row in rows], "right"),
        ("STATE", [_state(row) for row in rows], "left"),
        ("IDLE", [_short(row.idle) if row.state != "busy" else "" for row in rows], "right"),
        ("SPARK", [escaped(_clipped(row.spark or "")) for row in rows], "left"),
        ("HOW", _ways(rows), "left"),
        ("PROBE", ["[green]yes[/]" if row.probe else "" for row in rows], "left"),
    ]


def _ways(rows: list[ContextRow]) -> list[str]:
    """Return how each is entered; nothing where all of them are kernels."""
    ways = [row.method for row in rows]
    return ways if set(ways) - {"kernel", "side-context"} else [""] * len(ways)


def _id(row: ContextRow) -> str:
    """Return the short id by which a kernel is named that has no process here."""
    return escaped(row.kernel_id[:8]) if row.pid is None else ""


def _memory(row: ContextRow) -> str:
    """Return the RSS; of a kernel on another machine nobody knows it without entering."""
    from memprobe.reporters.amounts import size

    if row.rss is not None:
        return size(row.rss)
    return "" if row.remote is not None else "?"


def _share(row: ContextRow) -> str:
    from memprobe.reporters.amounts import percent

    if row.share is None:
        return ""
    colour = "red" if row.share >= _NEAR else "yellow" if row.share >= _HIGH else ""
    text = percent(row.share)
    return f"[{colour}]{text}[/]" if colour else text


def _time_left(row: ContextRow) -> str:
    left = row.seconds_to_limit
    if left is None or left > _LONGEST_TIME:
        return ""
    return f"[red]{_short(left)}[/]" if left < 600 else _short(left)


def _short(seconds: float | None) -> str:
    """Return a duration's largest unit only: a column has no room for two."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _state(row: ContextRow) -> str:
    return {"busy": "[cyan]busy[/]", "idle": "idle"}.get(row.state, "[dim]?[/]")


def _print_nothing(console: Console, kernels: bool) -> None:
    why = "none of the kernels here can be entered" if kernels else "no Jupyter kernel runs here"
    console.print(f"There is nothing to attach to: {why}.")
    console.print("  open a notebook, or start a script under memprobe: memprobe run SCRIPT.py")


def _print_refused(console: Console, rows: list[ContextRow]) -> None:
    """Print what cannot be attached to, once per reason."""
    console.print("\n[dim]Cannot be attached to:[/]")
    by_reason: dict[tuple[str, str], list[ContextRow]] = {}
    for row in rows:
        by_reason.setdefault((row.why_not, row.remedy), []).append(row)
    for (why, remedy), same in by_reason.items():
        console.print(_grid([(str(row.pid or ""), _name_and_size(row)) for row in same]))
        console.print(_grid([("", f"[dim]{escaped(why)}[/]"), ("", f"[dim]{escaped(remedy)}[/]")]))


def _grid(rows: list[tuple[str, str]]) -> Table:
    """Align PIDs and let long texts wrap below themselves."""
    from rich.table import Table

    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(justify="right", width=7)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _name_and_size(row: ContextRow) -> str:
    from memprobe.reporters.amounts import size

    amount = f"  [dim]{size(row.rss)}[/]" if row.rss is not None else ""
    return escaped(row.name) + amount


def _print_left_over(console: Console, rows: list[ContextRow]) -> None:
    from memprobe.reporters.amounts import counted

    folders = sorted({str(row.connection_file.parent) for row in rows if row.connection_file})
    files = counted(len(rows), "left-over connection file")
    console.print(f"\n[dim]{files} of ended kernels in {escaped(', '.join(folders))}[/]")


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_APP else text[: _LONGEST_APP - 1] + "…"


def escaped(text: str) -> str:
    """Return a name from outside so that neither the terminal nor rich obeys what it holds."""
    from rich.markup import escape

    from memprobe.reporters.printable import printable

    return escape(printable(text))
