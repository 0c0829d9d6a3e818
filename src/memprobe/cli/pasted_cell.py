"""``memprobe attach --cell``: the probe as a cell for a notebook that nobody can enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from memprobe.config import Config


def show(settings: Config, quiet: bool) -> None:
    """Print the cell to stdout, and what to do with it to stderr."""
    from memprobe.cli.output import emit
    from memprobe.reporters.amounts import size
    from memprobe.targets import payload, walker_file

    config = {
        "context": "notebook", "method": "pasted", "program": "notebook", "thread": True,
        "interval": settings.interval, "max_pause": settings.max_pause, "cap": settings.cap,
        "cpu_share": settings.cpu_share, "walker": walker_file.carried(),
    }  # fmt: skip
    text = payload.cell(config)
    emit(text)
    if not quiet:
        click.echo(
            f"paste this ({size(len(text))}) as one cell into the notebook and run it; into a "
            "file: memprobe attach --cell > cell.py",
            err=True,
        )
