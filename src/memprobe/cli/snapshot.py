"""``memprobe snapshot``: look once at a running context, report, leave nothing behind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprobe.cli.entering import METHODS
from memprobe.cli.inside import exprs, inside_option
from memprobe.cli.output import FAILED
from memprobe.cli.rules import known_before, rule_options
from memprobe.cli.servers import drop_output_option
from memprobe.reporters import FORMATS

if TYPE_CHECKING:
    from memprobe.findings import SparkReport
    from memprobe.targets.contexts import KernelContext
    from memprobe.targets.kernel import AttachOptions

DOCS = "verbs/snapshot.md"


@click.command("snapshot")
@click.argument("target", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the recording."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for the snapshot.  [default: 0.25]"
)
@click.option(
    "--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the target's answer.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True,
    help="How to get in; auto is the safest that works.",
)  # fmt: skip
@drop_output_option
@inside_option
@click.option(
    "--jvm-histogram",
    is_flag=True,
    help="Also count the objects of Spark's driver JVM by class; it stands still for that.",
)
@rule_options
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the report.")
def command(
    target: str | None, output: Path | None, force: bool, max_pause: str | None, timeout: float,
    drop_output: bool, inside: tuple[str, ...], jvm_histogram: bool, select: str | None,
    ignore: str | None, baseline: str | None, output_format: str, quiet: bool, method: str,
) -> int:  # fmt: skip
    """Take one snapshot of a running notebook or script, also while a cell runs, and report.

    TARGET is a notebook's name or path, a kernel id, a connection file, a script's name, the PID of
    any Python process, or the address of a Jupyter Server; without it, choose from a list.
    Afterwards nothing is left in it: no probe, no file. A probe that is there already stays.
    """
    from memprobe import config
    from memprobe.cli.judge import judge
    from memprobe.targets.discovery import Asked, resolve
    from memprobe.targets.kernel import AttachOptions

    settings = config.load(max_pause=max_pause, select=select, ignore=ignore)
    known = known_before(settings, baseline)
    asked = exprs(inside, DOCS)
    context = resolve(target, Asked("snapshot", scripts=True))
    with _recording(output) as path:
        options = AttachOptions(
            output=path, program=_name(context), interval=settings.interval, timeout=timeout,
            max_pause=settings.max_pause, cap=settings.cap, force=force, lease=settings.lease,
            cpu_share=settings.cpu_share, inside=asked, jvm_histogram=jvm_histogram,
        )  # fmt: skip
        _take(context, options, quiet, method, drop_output)
        verdict = judge([str(path)], settings, known, asked)
    for report in verdict.reports:
        if jvm_histogram and (report.spark is None or not _counted(report.spark)):
            _say(False, "no class was counted: no JVM of a Spark driver answered")
        report.recording.path = str(output or "")  # else it is gone
        report.overhead.cpu_share = None  # of one look's time it says nothing
        verdict.show(output_format)
    if output is not None:
        _say(quiet, f"recording: {output}")
    verdict.tell_unheld()
    return verdict.exit_code(exit_zero=True) or (FAILED if verdict.unheld else 0)


@contextlib.contextmanager
def _recording(output: Path | None) -> Iterator[Path]:
    """Yield where to record: a file to keep, or one that is gone afterwards."""
    if output is not None:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="memprobe-snapshot-") as folder:
        yield Path(folder, "snapshot.memprobe")


def _counted(spark: SparkReport) -> bool:
    return spark.jvm is not None and bool(spark.jvm.classes_by_bytes)


def _take(
    context: KernelContext, options: AttachOptions, quiet: bool, method: str, drop_output: bool
) -> None:
    from memprobe.targets import snapshot
    from memprobe.targets.entering import attach_to, where
    from memprobe.targets.interrupts import Interrupts

    _say(quiet, f"looking at {_name(context)} ({where(context)})")
    with Interrupts() as interrupts:
        if not context.attachable:  # memprobe run records it
            snapshot.of_script(context.pid, options, interrupts)
            return
        heard = snapshot.of_attached(
            lambda asked: attach_to(
                context, asked, interrupts, method=method, say=lambda text: _say(quiet, text),
                drop_output=drop_output,
            ),
            options,
            interrupts,
        )  # fmt: skip
        if not heard:
            _say(quiet, "it does not answer now; the probe leaves as soon as C code there lets it")


def _name(context: KernelContext) -> str:
    return Path(context.notebook).name if context.notebook else context.name


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        click.echo(text, err=True)
