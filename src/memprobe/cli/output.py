"""Where a report goes: stdout, stderr or a file, with the colours and the width that place has."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import Any, TextIO

from memprobe.errors import MemprobeError

FAILED = 2
FILE_WIDTH = 100  # of a text report written to a file

# For a terminal or a locale that cannot show the signs of a text report.
PLAIN_SIGNS = str.maketrans(
    {
        "├": "|",
        "─": "-",
        "│": "|",
        "╰": "`",
        "→": ">",
        "↓": "v",
        "←": "<-",
        "┄": "-",
        "·": "-",
        "×": "x",
        "–": "-",
        "−": "-",
        "…": "...",
        **dict(zip("▁▂▃▄▅▆▇█", "__..::##")),
    }
)


def wants_color(stream: Any) -> bool:
    """Whether ``stream`` should get colours: a terminal, unless NO_COLOR or TERM=dumb."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """Return the width to write for: ``COLUMNS``, the terminal's, or 80."""
    return shutil.get_terminal_size((80, 24)).columns


def emit(text: str, *, to_stderr: bool = False) -> None:
    """Write ``text`` to stdout or stderr and flush it.

    A reader that has gone (``| head``) is no error, and does not change the verdict. Raises
    MemprobeError where it cannot be written for another reason, such as a full disk.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    if stream is None:  # closed by the caller: `>&-`
        return
    try:
        _write(stream, text)
    except BrokenPipeError:
        close_quietly()
    except OSError as error:
        close_quietly()
        raise MemprobeError(
            "cannot write the report",
            cause=error.strerror or str(error),
            remedy="free some space, or write it elsewhere: --output FILE",
        ) from None


def write_file(path: str, content: str | bytes, *, option: str = "--output") -> None:
    """Write ``content`` to ``path``, text as UTF-8; raises MemprobeError where that fails.

    A file is there as a whole or as it was before; ``option`` is what named it.
    """
    from memprobe.cli.whole_file import write_whole

    try:
        write_whole(path, content if isinstance(content, bytes) else content.encode())
    except (OSError, ValueError) as error:
        raise MemprobeError(
            f"cannot write {path}",
            cause=getattr(error, "strerror", None) or str(error),
            remedy=f"name a file in a folder you may write to: {option} FILE",
        ) from None


def finish(code: int) -> int:
    """Flush stdout and return ``code``, or 2 where the output could not be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        close_quietly()
    except (OSError, ValueError):
        close_quietly()
        return code or FAILED
    return code


def close_quietly() -> None:
    """Point stdout to nowhere, so that Python's last flush does not complain about it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        plain = text.translate(PLAIN_SIGNS).encode(encoding, "backslashreplace")
        stream.write(plain.decode(encoding))
    stream.flush()
