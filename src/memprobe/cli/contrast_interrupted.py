"""Ctrl-C in the middle of ``memprobe contrast``: what was measured is kept, and said."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memprobe.reporters.amounts import counted

if TYPE_CHECKING:
    from memprobe.targets.contrast_run import Interrupted


def note(interrupted: Interrupted, rounds: int) -> tuple[str, str]:
    """Return (what, why) of what was not run, for the report of what was; say it on stderr."""
    done = len(interrupted.runs.scripts)
    missing = "1 process" if rounds - done == 1 else f"{rounds - done} processes"
    _say(
        f"memprobe: interrupted at {interrupted.at}; the report is of what was measured until then"
    )
    return f"{missing} of the script", f"interrupted at {interrupted.at}"


def keep(interrupted: Interrupted, folder: Path | None) -> None:
    """Leave the notebook's recording where it can be found; ``folder``: it is to stay there."""
    from memprobe.recording.naming import free

    path = interrupted.runs.notebook
    if folder is None:
        path = free(Path.cwd() / path.name)
        try:
            shutil.move(interrupted.runs.notebook, path)
        except OSError:
            return  # the working directory cannot be written to: nothing is kept
    done = counted(interrupted.runs.completed, "round")
    _say(
        f"memprobe: interrupted at {interrupted.at}; {done} of the notebook are kept\n"
        f"  see them: memprobe report {path}"
    )


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
