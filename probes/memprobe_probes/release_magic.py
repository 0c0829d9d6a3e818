"""``%memprobe release FINGERPRINT…``: let go of what findings name, from inside the notebook.

A child process reads the recording and says what would be cut, as the command line does; the cuts
are made here, on the thread of the cells; the child puts the result into words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from . import bootstrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .measure import Probe

USAGE = "usage: %memprobe release FINGERPRINT… [--yes | --dry-run]"
NOBODY = "memprobe: nobody can be asked here: see it with --dry-run, then say --yes"
MISSED = "memprobe: no snapshot could be taken now, so nothing was touched: try again"
_FLAGS = {"--yes": "yes", "-y": "yes", "--dry-run": "dry"}


def run(probe: Probe, words: list[str], width: int) -> str:
    """Show what would be cut, ask, do it, and return what is to be said at last."""
    flags = {_FLAGS[word] for word in words if word in _FLAGS}
    fingerprints = [word for word in words if word not in _FLAGS]
    if not fingerprints or any(word.startswith("-") for word in fingerprints):
        return USAGE
    if not probe.snapshot("request", on_user_thread=True):
        return MISSED
    spool = str(probe.config["spool"])
    planned, trouble = _child(width, {}, "plan", spool, *fingerprints)
    if planned is None:
        return trouble
    if "dry" in flags:
        return str(planned["text"])
    print(planned["text"])
    if "yes" not in flags:
        agreed = _agreed()
        if agreed is not True:
            return NOBODY if agreed is None else "nothing was touched"
    reply = bootstrap.command({"verb": "release", "args": {**planned["request"], "inside": True}})
    told, trouble = _child(width, {"plan": planned, "reply": reply}, "told", spool)
    return trouble if told is None else str(told["text"])


def _agreed() -> bool | None:
    """Ask whoever sits before the notebook; None where nobody does."""
    try:
        return input("Let go of this? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, OSError):
        return None
    except Exception as error:
        if type(error).__name__ == "StdinNotImplementedError":
            return None
        raise


def _child(width: int, given: dict[str, Any], *words: str) -> tuple[dict[str, Any] | None, str]:
    """Return what the child answers, or None and what it said instead."""
    environment = {**os.environ, "COLUMNS": str(width)}
    done = subprocess.run(
        [sys.executable, "-m", "memprobe.cli.release_inside", *words], env=environment,
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return None, (done.stderr or done.stdout).rstrip()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer, ""
