"""``--html FILE`` of the verbs that have a page: refusing it early, and writing it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from memprobe.cli.output import write_file
from memprobe.errors import UsageError

html_option: Callable[[Any], Any] = click.option(
    "--html", metavar="FILE", help="Write the report as one HTML page with pictures, too."
)


def refuse_beside(path: str, **others: bool) -> None:
    """Raise where no page can be written to ``path``, before anything is measured for it.

    ``others``: options that show a part of a report, and whether they are given.
    """
    given = [f"--{name}" for name, there in others.items() if there]
    if given:
        raise UsageError(
            f"--html is a whole report, {given[0]} shows a part of one",
            remedy="ask for one at a time",
            docs="verbs/report.md",
        )
    if path == "-":
        raise UsageError(
            "--html writes a file, not to stdout",
            remedy="name it: --html report.html",
            docs="verbs/report.md",
        )
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise UsageError(
            f"cannot write {path}",
            cause="it is a folder" if os.path.isdir(path) else f"there is no folder {folder}",
            remedy="name a file in a folder that exists: --html FILE",
            docs="verbs/report.md",
        )
    from memprobe.reporters.html import library

    library.require()


def write_page(path: str, page: str) -> None:
    """Write ``page`` and say on stderr where it is."""
    write_file(path, page, option="--html")
    click.echo(f"wrote {path}", err=True)
