"""``memprobe explain``: what a rule means, from its own docstring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprobe.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from memprobe.detectors.pages import Rule

WIDEST = 100


@click.command("explain")
@click.argument("rule", required=False, metavar="[RULE]")
def command(rule: str | None) -> None:
    """Tell what RULE (a code like MP201, or a name) means; without one, list all rules."""
    from memprobe.detectors import DETECTORS

    if rule is None:
        _print(_listing(DETECTORS))
        return
    from rich.markdown import Markdown

    from memprobe.detectors.pages import page

    _print(Markdown(page(_find(rule, DETECTORS)), hyperlinks=False))


def _find(asked: str, rules: tuple[Rule, ...]) -> Rule:
    """Return the rule with this code or name; raises UsageError with near matches."""
    from memprobe.detectors.selection import near

    for rule in rules:
        if asked.lower() in (rule.code.lower(), rule.name.lower()):
            return rule
    meant = near(asked, rules)
    raise UsageError(
        f"there is no rule {asked}",
        remedy=f"did you mean {' or '.join(meant)}?" if meant else "list them: memprobe explain",
        docs="rules/README.md",
    )


def _listing(rules: tuple[Rule, ...]) -> RenderableType:
    from rich.table import Table

    from memprobe.detectors.pages import title

    table = Table.grid(padding=(0, 2, 0, 0))
    for rule in rules:
        table.add_row(rule.code, rule.name, title(rule))
    return table


def _print(shown: RenderableType) -> None:
    """Print to stdout in its width, with colours only where they are wanted."""
    import io
    import sys

    from rich.console import Console

    from memprobe.cli.output import columns, emit, wants_color

    color = wants_color(sys.stdout)
    console = Console(
        file=io.StringIO(),
        width=min(columns(), WIDEST),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(shown, markup=False)
    emit("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")
