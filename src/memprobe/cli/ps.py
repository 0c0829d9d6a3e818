"""``memprobe ps``: what one could attach to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from memprobe.targets.contexts import ContextRow

_NEAR = 0.85  # of the limit: shown in red
_HIGH = 0.6
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
    cannot be attached to is listed with the reason.
    """
    _refuse_scope(scope)
    from memprobe.targets.contexts import contexts

    rows = contexts(measure)
    if output_format == "json":
        click.echo(_json(rows))
        return
    _print(rows)


def _refuse_scope(scope: str | None) -> None:
    if not scope:
        return
    from memprobe.errors import UsageError

    remote = scope.startswith("databricks:") or "://" in scope
    raise UsageError(
        f"cannot list {scope}",
        cause="a scope on another machine is not in this version"
        if remote
        else "a scope is a place such as databricks:CLUSTER, and none is in this version",
        remedy="run memprobe ps on the machine where the kernels run",
        docs="verbs/ps.md",
    )


def _json(rows: list[ContextRow]) -> str:
    import json

    return json.dumps({"version": 1, "contexts": [_fields(row) for row in rows]}, indent=2)


def _fields(row: ContextRow) -> dict[str, Any]:
    from dataclasses import asdict

    file = row.connection_file
    return {
        **asdict(row),
        "connection_file": str(file) if file else None,
        "share": row.share,
        "seconds_to_limit": row.seconds_to_limit,
    }


def _print(rows: list[ContextRow]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    attachable = [row for row in rows if row.attachable]
    refused = [row for row in rows if not row.attachable and row.pid is not None]
    left_over = [row for row in rows if row.pid is None]
    if attachable:
        console.print(_table(attachable))
    else:
        _print_nothing(console)
    if refused:
        _print_refused(console, refused)
    if left_over:
        _print_left_over(console, left_over)


def _table(rows: list[ContextRow]) -> Table:
    """Draw the attachable kernels; a column that would be empty in every row is left out."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns = [column for column in _columns(rows) if any(column[1])]
    for title, _, justify in columns:
        wide = title == "NOTEBOOK"
        table.add_column(
            title,
            justify=justify,  # type: ignore[arg-type]
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if wide else None,
            min_width=12 if wide else None,
        )
    for cells in zip(*(values for _, values, _ in columns)):
        table.add_row(*cells)
    return table


def _columns(rows: list[ContextRow]) -> list[tuple[str, list[str], str]]:
    """Return ``(title, one cell per row, justification)`` in the order they are shown."""
    from memprobe.reporters.amounts import size

    return [
        ("PID", [str(row.pid) for row in rows], "right"),
        ("NOTEBOOK", [_escaped(row.name) for row in rows], "left"),
        ("RSS", [size(row.rss) if row.rss is not None else "?" for row in rows], "right"),
        ("OF LIMIT", [_share(row) for row in rows], "right"),
        ("FULL IN", [_time_left(row) for row in rows], "right"),
        ("AGE", [_short(row.age) for row in rows], "right"),
        ("STATE", [_state(row) for row in rows], "left"),
        ("SPARK", [_escaped(row.spark or "") for row in rows], "left"),
        ("PROBE", ["[green]in it[/]" if row.probe else "" for row in rows], "left"),
    ]


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


def _print_nothing(console: Console) -> None:
    console.print("There is nothing to attach to: no Jupyter kernel of yours runs on this machine.")
    console.print("  open a notebook, or start a script under memprobe: memprobe run SCRIPT.py")


def _print_refused(console: Console, rows: list[ContextRow]) -> None:
    from memprobe.reporters.amounts import size

    console.print("\n[dim]Cannot be attached to:[/]")
    by_reason: dict[tuple[str, str], list[ContextRow]] = {}
    for row in rows:
        by_reason.setdefault((row.why_not, row.remedy), []).append(row)
    for (why, remedy), same in by_reason.items():
        for row in same:
            amount = size(row.rss) if row.rss is not None else "?"
            console.print(f"{row.pid:>7}  {_escaped(row.name)}  [dim]{amount}[/]", soft_wrap=False)
        console.print(f"         {_escaped(why)}", style="dim")
        console.print(f"         {_escaped(remedy)}", style="dim")


def _print_left_over(console: Console, rows: list[ContextRow]) -> None:
    folders = sorted({str(row.connection_file.parent) for row in rows if row.connection_file})
    files = "file" if len(rows) == 1 else "files"
    where = ", ".join(folders)
    console.print(
        f"\n[dim]{len(rows)} left-over connection {files} of ended kernels in {_escaped(where)}[/]"
    )


def _escaped(text: str) -> str:
    """Return a name from outside so that neither the terminal nor rich obeys what it holds."""
    from rich.markup import escape

    from memprobe.reporters.printable import printable

    return escape(printable(text))
