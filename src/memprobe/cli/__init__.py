"""The command line: the list of verbs, and the only mapping from exceptions to exit codes.

A verb is one module with a click command named ``command``. It is imported only when it is
called, so that ``memprobe --help`` stays light. A verb returns its exit code (None is 0) or raises
a MemprobeError.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

import click

from memprobe import __version__
from memprobe.cli.failure import print_error, print_misuse, print_unexpected
from memprobe.cli.output import close_quietly, finish
from memprobe.errors import MemprobeError, UsageError

INTERRUPTED = 130
FAILED = 2

# Verb → what `memprobe --help` says. The module is memprobe.cli.VERB.
VERBS = {
    "run": "Run a script, module or notebook, and report what it kept.",
    "attach": "Watch a running notebook or process from outside, and report what it keeps.",
    "snapshot": "Look once at a running notebook or script, report, leave nothing behind.",
    "release": "Let go of what findings name, in the running notebook.",
    "live": "Show a running context full-screen: memory, holders, findings as they appear.",
    "detach": "Stop and remove the probe from a context.",
    "ps": "List the contexts one could attach to.",
    "contrast": "Run a notebook and its script, and say what the notebook keeps.",
    "report": "Show the findings of recordings.",
    "explain": "Tell what a rule means and how to fix what it finds.",
    "demo": "Watch a small real leak being found.",
}

EPILOG = "Exit codes: 0 nothing found, 1 findings, 2 usage or failure, 5 nothing was measured."


class ReaderGone(Exception):
    """Whoever read our output has gone: `| head` has what it wanted."""


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports only the one that is called."""

    # click itself would turn a broken pipe into exit code 1, which means "findings" here.
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and print help or version if asked."""
        try:
            return super().parse_args(ctx, args)
        except BrokenPipeError:
            raise ReaderGone from None

    def invoke(self, ctx: click.Context) -> Any:
        """Call the verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of VERBS."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of ``cmd_name``, or None where there is no such verb."""
        if cmd_name not in VERBS:
            if ctx.resilient_parsing:  # a shell completes half a word
                return None
            near = difflib.get_close_matches(cmd_name, VERBS, n=1)
            raise click.UsageError(
                f"there is no verb {cmd_name}" + (f"; did you mean {near[0]}?" if near else ""), ctx
            )
        name = f"memprobe.cli.{cmd_name}"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UsageError(f"memprobe {cmd_name} is not part of this build") from None
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from VERBS, so that help imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="memprobe")
def memprobe() -> None:
    """Tell what keeps memory alive in a running notebook or script.

    And how much comes back if you let go of it.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the process's exit code. Never raises."""
    try:
        return finish(_invoke(arguments))
    except ReaderGone:
        close_quietly()
        return 0
    except MemprobeError as error:
        print_error(error)
        return finish(error.exit_code)
    except Exception as error:
        print_unexpected(error)
        return finish(FAILED)


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        result: Any = memprobe.main(
            args=None if arguments is None else list(arguments),
            prog_name="memprobe",
            standalone_mode=False,
        )
    except click.ClickException as error:
        print_misuse(error)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.Exit as error:
        return error.exit_code
    return result if isinstance(result, int) else 0
