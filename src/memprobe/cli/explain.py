"""``memprobe explain``: what a rule means, from its own docstring; and the other pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from memprobe.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from memprobe.detectors.pages import Rule

WIDEST = 100


@click.command("explain")
@click.argument("rule", required=False, metavar="[RULE | PAGE]")
def command(rule: str | None) -> None:
    """Tell what RULE (a code like MP201, or a name) means, or show a PAGE like `attach`.

    Without one, list all rules and pages.
    """
    from memprobe.detectors import DETECTORS

    if rule is None:
        _print(_listing(DETECTORS))
        return
    from rich.markdown import Markdown

    _print(Markdown(_text(rule, DETECTORS), hyperlinks=False))


def _text(asked: str, rules: tuple[Rule, ...]) -> str:
    """Return the page of a rule or of the manual as Markdown; raises UsageError."""
    from memprobe import manual
    from memprobe.detectors.pages import page

    for rule in rules:
        if asked.lower() in (rule.code.lower(), rule.name.lower()):
            return page(rule)
    found = manual.pages().get(asked.lower().removesuffix(".md").rpartition("/")[2])
    if found is None:
        raise _unknown(asked, rules)
    return found.read_text(encoding="utf-8")


def _unknown(asked: str, rules: tuple[Rule, ...]) -> UsageError:
    import difflib

    from memprobe import manual
    from memprobe.detectors.selection import near

    meant = near(asked, rules) + difflib.get_close_matches(asked.lower(), manual.pages(), n=2)
    return UsageError(
        f"there is no rule or page {asked}",
        remedy=f"did you mean {' or '.join(meant)}?" if meant else "list them: memprobe explain",
        docs="rules/README.md",
    )


def _listing(rules: tuple[Rule, ...]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from memprobe import manual
    from memprobe.detectors.pages import title

    table = Table.grid(padding=(0, 2, 0, 0))
    for rule in rules:
        table.add_row(rule.code, rule.name, title(rule))
    return Group(table, "", Text("Pages: " + ", ".join(manual.pages())))


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
