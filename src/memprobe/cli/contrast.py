"""``memprobe contrast``: the same work in a kernel that stays and in processes that end."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprobe.cli import contrast_edits, contrast_interrupted
from memprobe.cli.html import html_option, refuse_beside, write_page
from memprobe.errors import TargetError, UsageError
from memprobe.reporters import FORMATS

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.contrasts import ContrastReport
    from memprobe.histories import ContrastHistory
    from memprobe.recording.reader import Recording

    Told = tuple[ContrastReport, ContrastHistory | None]

DOCS = "verbs/contrast.md"
MOST_ROUNDS = 1000
FOUND, UNMEASURED = 1, 5


@click.command("contrast")
@click.argument("targets", nargs=-1, required=True, metavar="NOTEBOOK [SCRIPT]")
@click.option(
    "--rounds", type=click.IntRange(1, MOST_ROUNDS), default=3, show_default=True,
    help="Processes of the script, and rounds of the notebook after the first one.",
)  # fmt: skip
@click.option("--on", metavar="PLACE", help="Run both on a cluster: databricks:CLUSTER.")
@click.option("--volume", metavar="PATH", default="", help="With --on: keep files there meanwhile.")
@click.option("-k", "--keep", metavar="DIR", help="Keep the recordings and the derived script.")
@click.option("--suggest", is_flag=True, help="Print edits of the cells that would let go.")
@click.option("--verify", is_flag=True, help="Run an edited copy too, and say what it changed.")
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
@html_option
@click.option("--select", metavar="RULES", help="Only these rules: codes, prefixes or names.")
@click.option("--ignore", metavar="RULES", help="Leave these rules out.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something was found.")
def command(
    targets: tuple[str, ...],
    rounds: int,
    on: str | None,
    volume: str,
    keep: str | None,
    suggest: bool,
    verify: bool,
    output_format: str,
    output: str | None,
    html: str | None,
    select: str | None,
    ignore: str | None,
    exit_zero: bool,
) -> int:
    """Run the same work in a notebook's kernel and as a script, and say what the notebook keeps.

    NOTEBOOK is run several times in one kernel, SCRIPT as often in processes of its own; without
    SCRIPT one is derived from the notebook's cells. Instead of both, recordings that were made
    before can be given: NOTEBOOK.memprobe SCRIPT.memprobe.

    Exits with 1 if one finding, in either context, is leaking or suspect, with 5 if what the
    notebook holds could not be measured.
    """
    from memprobe import config

    settings = config.load(select=select, ignore=ignore)
    if html is not None:
        refuse_beside(html)  # before minutes of work that nobody could look at
    asked = contrast_edits.Asked(suggest or verify, verify, keep is not None)
    contrast_edits.check(asked, output_format, targets)
    if on is not None:
        _refuse_edits(asked)
    if targets[0].endswith(".memprobe"):
        report, history = _of_recordings(targets, settings, html is not None)
    elif on is not None:
        report, history = _on_a_cluster(
            targets, rounds, keep, settings, html is not None, (on, volume)
        )
    else:
        report, history = _of_runs(targets, rounds, keep, settings, html is not None, asked)
    _show(report, output_format, output)
    if html is not None and history is not None:
        from memprobe.reporters.html import render_contrast

        write_page(html, render_contrast(report, history))
    if report.fails and not exit_zero:
        return FOUND
    return UNMEASURED if report.contrast.verdict.kind == "not-compared" else 0


def _of_recordings(paths: tuple[str, ...], settings: Config, over_time: bool) -> Told:
    """Contrast recordings made before: one of a notebook, one or more of its script."""
    from memprobe.analysis.contrast import contrast
    from memprobe.recording.reader import read

    recordings = [read(path) for path in paths]
    notebooks = [one for one in recordings if one.header.context == "notebook"]
    scripts = [one for one in recordings if one.header.context == "script"]
    if len(notebooks) != 1 or not scripts:
        raise UsageError(
            "a contrast needs the recording of a notebook and of a script",
            cause=f"given were {len(notebooks)} of a notebook and {len(scripts)} of a script",
            remedy="memprobe contrast NOTEBOOK.memprobe SCRIPT.memprobe",
            docs=DOCS,
        )
    report = contrast(notebooks[0], scripts, settings)
    return report, _history(notebooks[0], scripts, settings) if over_time else None


def _history(
    notebook: Recording, scripts: Sequence[Recording], settings: Config
) -> ContrastHistory:
    from memprobe.analysis.contrast_history import contrast_history

    return contrast_history(notebook, scripts, settings)


def _of_runs(
    targets: tuple[str, ...], rounds: int, keep: str | None, settings: Config, over_time: bool,
    asked: contrast_edits.Asked,
) -> Told:  # fmt: skip
    from memprobe.analysis.contrast import Circumstances, contrast
    from memprobe.recording.reader import read
    from memprobe.targets import contrast_run

    notebook, script = _checked(targets)
    options = {"interval": settings.interval, "cap": settings.cap}
    with _line_cleared(), _folder(keep) as folder:
        try:
            runs = contrast_run.run(notebook, script, rounds, folder, options, _tell)
        except contrast_run.Interrupted as interrupted:
            runs = interrupted.runs
            _tell("")
            if not runs.scripts:
                contrast_interrupted.keep(interrupted, folder if keep is not None else None)
                raise
            asked = replace(asked, verify=False)  # who stops it does not want more of it run
            runs.notes.append(contrast_interrupted.note(interrupted, rounds))
        known = Circumstances(
            derived=runs.derived, notes=tuple(dict.fromkeys(runs.notes)), left=tuple(runs.left)
        )
        scripts, ours = [read(path) for path in runs.scripts], read(runs.notebook)
        report = contrast(ours, scripts, settings, known)
        history = _history(ours, scripts, settings) if over_time else None
        if asked.suggest:
            contrast_edits.add_suggestions(
                report, notebook, ours, runs, asked,
                lambda sources: contrast_edits.run_and_compare(
                    report, notebook, sources, runs, scripts, settings, known, _tell
                ),
            )  # fmt: skip
    if keep is None:
        report.recording.path = ""  # it is gone
    return report, history


def _refuse_edits(asked: contrast_edits.Asked) -> None:
    if asked.suggest:
        raise UsageError(
            "edits are not suggested on a cluster",
            cause="they are tried and compared on this machine",
            remedy="contrast it here: leave --on out",
            docs="databricks.md",
        )


def _on_a_cluster(
    targets: tuple[str, ...], rounds: int, keep: str | None, settings: Config, over_time: bool,
    where: tuple[str, str],
) -> Told:  # fmt: skip
    from memprobe.analysis.contrast import Circumstances, contrast
    from memprobe.databricks import compute
    from memprobe.databricks.contrast import ClusterContrast
    from memprobe.databricks.workspace import connect
    from memprobe.recording.reader import read
    from memprobe.targets.interrupts import Interrupts

    place = compute.parsed(where[0])
    if place.kind != "cluster":
        raise UsageError(
            f"{where[0]} has no context that stays",
            cause="a notebook's context lives on a cluster that is there",
            remedy="memprobe contrast --on databricks:CLUSTER NOTEBOOK [SCRIPT]",
            docs="databricks.md",
        )
    notebook, script = _checked(targets)
    options = {"interval": settings.interval, "cap": settings.cap}
    workspace = connect()
    with _line_cleared(), _folder(keep) as folder, Interrupts() as interrupts:
        every, volume = settings.databricks_copy, where[1]
        running = ClusterContrast(workspace, place, folder, options, every, volume, _tell)
        runs = running.run(notebook, script, rounds, interrupts)
        known = Circumstances(
            derived=runs.derived, notes=tuple(dict.fromkeys(runs.notes)), left=tuple(runs.left)
        )
        scripts, ours = [read(path) for path in runs.scripts], read(runs.notebook)
        report = contrast(ours, scripts, settings, known)
        history = _history(ours, scripts, settings) if over_time else None
    if keep is None:
        report.recording.path = ""  # it is gone
    return report, history


@contextlib.contextmanager
def _line_cleared() -> Iterator[None]:
    """Take the line about what is running away at the end, also before an error is printed."""
    try:
        yield
    finally:
        _tell("")


def _checked(targets: tuple[str, ...]) -> tuple[Path, Path | None]:
    if len(targets) > 2:
        raise UsageError(
            f"too many targets: {' '.join(targets[2:])}",
            cause="a notebook and its script are contrasted; neither takes arguments",
            remedy="memprobe contrast NOTEBOOK.ipynb [SCRIPT.py]",
            docs=DOCS,
        )
    from memprobe.targets.command import check_readable, is_notebook

    notebook = Path(targets[0])
    if notebook.suffix in (".py", ".ipynb"):
        check_readable(targets[0])
    if not is_notebook(targets[:1]):
        raise UsageError(
            f"{notebook} is no notebook",
            cause="the first target is the work as it runs in a persistent context: an .ipynb "
            "file, or a .py file whose first line is '# Databricks notebook source'",
            remedy="memprobe contrast NOTEBOOK.ipynb [SCRIPT.py]",
            docs=DOCS,
        )
    return notebook, Path(targets[1]) if len(targets) > 1 else None


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """Yield where recordings go: a folder to keep, or one that is gone afterwards."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="memprobe-contrast-") as folder:
            yield Path(folder)
        return
    try:
        os.makedirs(keep, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"cannot keep recordings in {keep}",
            cause=(error.strerror or str(error)).lower(),
            remedy="name a folder you may write to: --keep DIR",
            docs=DOCS,
        ) from error
    yield Path(keep)


def _show(report: ContrastReport, output_format: str, output: str | None) -> None:
    from memprobe.cli.output import FILE_WIDTH, columns, emit, wants_color, write_file
    from memprobe.reporters.contrast import render

    if output is not None and output != "-":
        write_file(output, render(report, output_format, width=FILE_WIDTH))
        return
    color = wants_color(sys.stdout)
    emit(render(report, output_format, width=columns(), color=color))


def _tell(text: str) -> None:
    """Say on a terminal what is running now, in one line that the next one replaces."""
    if sys.stderr is None or not sys.stderr.isatty():
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[K{text[:79]}")
        sys.stderr.flush()
