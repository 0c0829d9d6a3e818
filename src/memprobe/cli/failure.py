"""How a failure looks: error, cause, help and docs; a bug is one line and a log, no traceback."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import traceback

import click

from memprobe import __version__
from memprobe.cli.output import wants_color
from memprobe.errors import MemprobeError, UsageError
from memprobe.reporters.printable import printable


def print_error(error: MemprobeError) -> None:
    """Print ``error`` to stderr as error / cause / help / docs."""
    for line in error.lines():
        _say("\n".join(map(printable, line.split("\n"))))


def print_misuse(error: click.ClickException) -> None:
    """Print what click refuses, such as an unknown option, in the shape of our own errors."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later: its text is the help
        error.show(sys.stderr)
        return
    path = context.command_path if context is not None else "memprobe"
    message = error.format_message().rstrip(".")
    print_error(UsageError(message, remedy=f"{path} --help"))


def print_unexpected(error: Exception) -> None:
    """Print one line about a bug in memprobe, and where its traceback is."""
    what = printable(f"{type(error).__name__}: {error}".removesuffix(": "))
    _say(f"error: memprobe itself failed: {what}")
    path = _log(error)
    if path:
        _say(f"  log:   {path}")
        _say("  help:  please report it with this log to the project's issue tracker;")
        _say("         look through it first, it may name your files")
    else:
        _say("  help:  please report it (no log could be written to the temporary folder)")


def _log(error: Exception) -> str:
    """Write the traceback to a new file only its owner may read; return its path or ``""``."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="memprobe-error-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"memprobe {__version__}, Python {platform.python_version()}, ")
            file.write(f"{platform.platform()}\n\n")
            file.writelines(traceback.format_exception(type(error), error, error.__traceback__))
    except OSError:
        return ""
    return path


def _say(line: str) -> None:
    # Nothing can be told where stderr itself is closed or full.
    with contextlib.suppress(OSError, ValueError):
        label, colon, rest = line.partition(":")
        styled = click.style(label + colon, fg="red", bold=True) if label == "error" else label
        text = styled + rest if label == "error" else line
        click.echo(text, err=True, color=wants_color(sys.stderr))
