"""``memprobe run``: run a script, module, notebook or command as ever, and report what it kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprobe.cli.rules import known_before, rule_options
from memprobe.reporters import FORMATS

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.recording.writer import RecordingWriter
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
@click.option("--interval", metavar="SECONDS", help="Time between two samples.  [default: 1]")
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for a snapshot.  [default: 0.25]"
)
@click.option("--check", is_flag=True, help="Exit with 1 if something was found, 5 if unmeasured.")
@rule_options
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Print no report.")
@click.argument("target", nargs=-1, type=click.UNPROCESSED, metavar="TARGET [ARGS]...")
def command(
    output: str | None,
    force: bool,
    interval: str | None,
    max_pause: str | None,
    check: bool,
    select: str | None,
    ignore: str | None,
    baseline: str | None,
    output_format: str,
    quiet: bool,
    target: tuple[str, ...],
) -> int:
    """Run TARGET as ever, record its memory, and report to stderr what it kept.

    TARGET is SCRIPT.py, -m MODULE, NOTEBOOK.ipynb or any command that starts a Python. Everything
    after it belongs to it. Exits with the target's own status, 128+n for signal n, and 2 if it
    never started.
    """
    from memprobe import config

    settings = config.load(interval=interval, max_pause=max_pause, select=select, ignore=ignore)
    known = known_before(settings, baseline)
    outcome = _run(target, output, force, settings)
    _tell(outcome)
    # Without --check nothing that happens from here on may change the target's status.
    judged = partial(_judged, outcome, settings, known, output_format, quiet=quiet)
    return _report(outcome, judged, quiet=quiet, check=check)


def _run(target: tuple[str, ...], output: str | None, force: bool, settings: Config) -> Outcome:
    from memprobe.targets import command as commands
    from memprobe.targets.script import ScriptRun

    options = {
        name: getattr(settings, name) for name in ("interval", "max_pause", "cap", "cpu_share")
    }
    if commands.is_notebook(target):
        from memprobe.targets.notebook_run import NotebookRun

        commands.check_readable(target[0])
        notebook = Path(target[0])
        writer, final = _recording(output, notebook.name, force)
        return _started(
            writer, lambda: NotebookRun(notebook, writer, len(target) - 1, options), final
        )
    planned = commands.resolve(target)
    writer, final = _recording(output, planned.program, force)
    return _started(writer, lambda: ScriptRun(planned, writer, options), final)


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
    writer: RecordingWriter, make: Callable[[], ScriptRun | NotebookRun], final: Path | None
) -> Outcome:
    from memprobe.errors import MemprobeError

    try:
        return make().run(final)
    except (MemprobeError, KeyboardInterrupt):  # nothing was run
        writer.discard()
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
    outcome: Outcome, settings: Config, known: frozenset[str], output_format: str, *, quiet: bool
) -> int:
    from memprobe.cli.judge import judge

    verdict = judge([str(outcome.path)], settings, known)
    if not quiet and verdict.reports:
        verdict.show(output_format, to_stderr=True)
        if output_format == "text":
            _say(f"recording: {outcome.path}")
    return verdict.exit_code()
