"""``memprobe run``: run a script, module, notebook or command as ever, and report what it kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from memprobe.cli.inside import exprs, inside_option
from memprobe.cli.rules import known_before, rule_options
from memprobe.reporters import FORMATS

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.recording.writer import RecordingWriter
    from memprobe.targets.allocation_log import AllocationLog
    from memprobe.targets.notebook_run import NotebookRun
    from memprobe.targets.outcome import Outcome
    from memprobe.targets.script import ScriptRun


class TargetCommand(click.Command):
    """Our options end where the target begins: everything from there on is the target's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``--`` before the target, which may begin with ``-m``."""
        begin = self._target(ctx, args)
        return super().parse_args(ctx, [*args[:begin], "--", *args[begin:]])

    def _target(self, ctx: click.Context, args: list[str]) -> int:
        valued = {
            name
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        position = 0
        while position < len(args):
            word = args[position]
            if not word.startswith("-") or (word[:2] == "-m"):
                return position
            if word == "--":
                del args[position]
                return position
            position += 2 if word in valued else 1
        return len(args)


@click.command("run", cls=TargetCommand)
@click.option("-o", "--output", metavar="FILE", help="Record there.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--on", metavar="PLACE", help="Run it there: databricks:CLUSTER, databricks:job/ID.")
@click.option("--job-cluster", metavar="FILE", help="With --on databricks: a new cluster for it.")
@click.option(
    "--recording", metavar="PATH", default="", help="With a job's id: where it records itself."
)
@click.option("--volume", metavar="PATH", default="", help="With --on: keep files there meanwhile.")
@click.option("--interval", metavar="SECONDS", help="Time between two samples.  [default: 1]")
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for a snapshot.  [default: 0.25]"
)
@click.option("--memray", is_flag=True, help="Record allocations too: where was it allocated?")
@click.option("--memray-native", is_flag=True, help="The same, with native stacks.")
@click.option(
    "--tracemalloc",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Trace allocations with N frames each: where was it allocated?",
)
@inside_option
@click.option("--check", is_flag=True, help="Exit with 1 if something was found, 5 if unmeasured.")
@rule_options
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Print no report.")
@click.argument("target", nargs=-1, type=click.UNPROCESSED, metavar="TARGET [ARGS]...")
def command(
    output: str | None,
    force: bool,
    on: str | None,
    job_cluster: str | None,
    recording: str,
    volume: str,
    interval: str | None,
    max_pause: str | None,
    memray: bool,
    memray_native: bool,
    tracemalloc: int | None,
    inside: tuple[str, ...],
    check: bool,
    select: str | None,
    ignore: str | None,
    baseline: str | None,
    output_format: str,
    quiet: bool,
    target: tuple[str, ...],
) -> int:
    """Run TARGET as ever, record its memory, and report to stderr what it kept.

    TARGET is SCRIPT.py, -m MODULE, NOTEBOOK.ipynb, a Databricks notebook in source form, or any
    command that starts a Python. Everything after it belongs to it. Exits with the target's own
    status, 128+n for signal n, and 2 if it never started.
    """
    from memprobe import config

    settings = config.load(interval=interval, max_pause=max_pause, select=select, ignore=ignore)
    known = known_before(settings, baseline)
    tracing = _tracing(memray, memray_native, tracemalloc)
    asked = exprs(inside, "verbs/run.md")
    if on is not None or job_cluster is not None:
        _refuse_tracing(tracing)
        from memprobe.cli import run_on

        place = run_on.Where(on or "", job_cluster, volume, recording)
        outcome = run_on.run(place, target, output, force, settings, asked)
    else:
        outcome = _run(target, output, force, settings, tracing, asked)
    _tell(outcome)
    # Without --check nothing that happens from here on may change the target's status.
    judged = partial(_judged, outcome, settings, known, asked, output_format, quiet=quiet)
    return _report(outcome, judged, quiet=quiet, check=check)


class Tracing(NamedTuple):
    """What else is to record where memory is allocated; it slows the target's allocations."""

    memray: bool
    native: bool
    frames: int  # of tracemalloc, 0: not at all


def _tracing(memray: bool, native: bool, frames: int | None) -> Tracing:
    from memprobe.errors import UsageError

    if (memray or native) and frames:
        raise UsageError(
            "--memray and --tracemalloc exclude each other",
            cause="each would record the other's own memory, and slow it",
            remedy="--memray sees every allocation; --tracemalloc N needs no second file",
            docs="allocations.md",
        )
    return Tracing(memray or native, native, frames or 0)


def _refuse_tracing(tracing: Tracing) -> None:
    from memprobe.errors import UsageError

    if tracing.memray or tracing.frames:
        raise UsageError(
            "allocations are not traced on Databricks",
            cause="what runs there starts in an interpreter that runs already",
            remedy="leave --memray and --tracemalloc out",
            docs="databricks.md",
        )


def _run(
    target: tuple[str, ...], output: str | None, force: bool, settings: Config, tracing: Tracing,
    inside: tuple[str, ...],
) -> Outcome:  # fmt: skip
    from memprobe.targets import command as commands
    from memprobe.targets.script import ScriptRun

    names = ("interval", "max_pause", "cap", "cpu_share")
    options = {name: getattr(settings, name) for name in names}
    options.update(tracemalloc=tracing.frames, inside=inside)
    if commands.is_notebook(target):
        from memprobe.targets.notebook_run import NotebookRun

        commands.check_readable(target[0])
        notebook = Path(target[0])
        _require(tracing, ())
        writer, final = _recording(output, notebook.name, force)

        def make(log: AllocationLog | None) -> NotebookRun:
            made = NotebookRun(notebook, writer, len(target) - 1, options, log)
            for what, why in made.left_out:
                _say(f"memprobe: not run: {what}: {why}")
            return made

        return _started(writer, _log_maker(tracing, writer, force), final, make)
    planned = commands.resolve(target)
    _require(tracing, planned.line)
    writer, final = _recording(output, planned.program, force)
    return _started(
        writer, _log_maker(tracing, writer, force), final,
        lambda log: ScriptRun(planned, writer, options, log=log),
    )  # fmt: skip


def _require(tracing: Tracing, line: tuple[str, ...]) -> None:
    """Say before anything runs that memray is missing where it is needed."""
    if tracing.memray:
        from memprobe.targets.allocation_log import require_memray

        require_memray(line)


def _log_maker(
    tracing: Tracing, writer: RecordingWriter, force: bool
) -> Callable[[], AllocationLog | None]:
    def make() -> AllocationLog | None:
        if not tracing.memray:
            return None
        from memprobe.targets.allocation_log import AllocationLog

        return AllocationLog.create(writer.path, native=tracing.native, force=force)

    return make


def _recording(
    output: str | None, program: str, force: bool
) -> tuple[RecordingWriter, Path | None]:
    """Open the recording; without -o it gets its final name when the target's pid is known."""
    from memprobe.recording.naming import default_path
    from memprobe.recording.writer import RecordingWriter

    if output is not None:
        return RecordingWriter.create(Path(output), force=force), None
    first = default_path(program, f"starting-{os.getpid()}")
    return RecordingWriter.create(first), default_path(program, "{pid}")


def _started(
    writer: RecordingWriter, make_log: Callable[[], AllocationLog | None], final: Path | None,
    make: Callable[[AllocationLog | None], ScriptRun | NotebookRun],
) -> Outcome:  # fmt: skip
    from memprobe.errors import MemprobeError

    log: AllocationLog | None = None
    try:
        log = make_log()
        return make(log).run(final)
    except (MemprobeError, KeyboardInterrupt):  # nothing was run
        writer.discard()
        if log is not None:
            log.discard()
        raise


def _tell(outcome: Outcome) -> None:
    if outcome.trouble:
        _say(f"memprobe: the program ran without the probe: {outcome.trouble}")
    if outcome.incomplete:
        _say(f"memprobe: the recording is not whole: {outcome.incomplete}")


def _say(line: str) -> None:
    # stderr may be gone; the target's status is what counts.
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _report(outcome: Outcome, judged: Callable[[], int], *, quiet: bool, check: bool) -> int:
    from memprobe.errors import MemprobeError

    if quiet and not check:
        return outcome.status
    try:
        verdict = judged()
    except MemprobeError as error:
        from memprobe.cli.failure import print_error

        print_error(error)
        verdict = error.exit_code
    except KeyboardInterrupt:
        _say(f"memprobe: interrupted; the recording is {outcome.path}")
        verdict = 130
    except Exception as error:
        from memprobe.cli.failure import print_unexpected

        print_unexpected(error)
        verdict = 2
    return outcome.status or (verdict if check else 0)


def _judged(
    outcome: Outcome, settings: Config, known: frozenset[str], inside: tuple[str, ...],
    output_format: str, *, quiet: bool,
) -> int:  # fmt: skip
    from memprobe.cli.judge import judge

    verdict = judge([str(outcome.path)], settings, known, inside)
    if not quiet and verdict.reports:
        verdict.show(output_format, to_stderr=True)
        if output_format == "text":
            _say(f"recording: {outcome.path}")
        verdict.tell_unheld()
    return verdict.exit_code()
