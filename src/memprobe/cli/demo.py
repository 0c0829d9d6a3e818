"""``memprobe demo``: a small real leak in a real notebook kernel, found from outside."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memprobe.findings import Report

NEEDED = ("ipykernel", "pandas")
NOT_FOUND = 1


@click.command("demo")
def command() -> int:
    """Run a small leaky notebook in a kernel, attach to it while a cell runs, and report.

    Takes about ten seconds and leaves nothing behind. Exits with 0 if the leak was found.
    """
    import tempfile

    from memprobe import config

    _require(NEEDED)
    from memprobe.demo import story

    with tempfile.TemporaryDirectory(prefix="memprobe-demo-") as folder:
        report = story.play(Path(folder), config.load(), _tell)
    _tell("")
    _print(report)
    return 0 if story.found(report) else NOT_FOUND


def _require(names: tuple[str, ...]) -> None:
    """Raise UsageError where one of the packages is not installed."""
    from memprobe.errors import UsageError

    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the demo's notebook needs {' and '.join(missing)}",
            cause=f"not installed for {sys.executable}",
            remedy=f"{sys.executable} -m pip install {' '.join(missing)}",
        )


def _print(report: Report) -> None:
    from memprobe.cli.judge import Verdict

    Verdict([report]).show("text")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
