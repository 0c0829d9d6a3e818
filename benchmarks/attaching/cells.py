"""The cells of the table: every kind of work in every interpreter, a piece of some seconds each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attaching import rounds
from attaching.target import Target
from attaching.work import KINDS
from machine import load

STRIPPED = "/usr/bin/python3"
WHOLE = 2  # attaches of a piece
SHARE = 0.6  # of a piece's time for requests
MOST = 100_000


def interpreters() -> dict[str, str]:
    """Return name → path of every CPython from 3.10 to 3.14 that is installed."""
    places = [*Path.home().glob(".pyenv/versions/3.*/bin/python3"), Path(STRIPPED)]
    if newest := shutil.which("python3.14"):
        places.append(Path(newest))
    if root := os.environ.get("PYENV_ROOT"):
        places += Path(root).glob("versions/3.*/bin/python3")
    found: dict[str, str] = {}
    for place in sorted(set(places)):
        version = _version(place)
        if version is not None:
            own = str(place) == STRIPPED
            found[f"{version} (Debian)" if own else version] = str(place)
    return found or {_version(Path(sys.executable)) or "this one": sys.executable}


def _version(place: Path) -> str | None:
    try:
        said = subprocess.run([str(place), "-V"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    told = re.fullmatch(r"Python (3\.1[0-4]\.\d+)\s*", said.stdout)
    return told[1] if told else None


def piece(name: str, python: str, kind: str, seconds: float) -> dict[str, Any]:
    """Run one process for so long, make requests and attaches, and return what was found."""
    found: dict[str, Any] = {"interpreter": name, "kind": kind, "load": load(), "deaths": 0,
                             "hangs": 0, "wrong": 0}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder:
        target = Target(python, kind, Path(folder))
        began = time.monotonic()
        try:
            found.update(rounds.requests(target.pid, began + seconds * SHARE, MOST, Path(folder)))
            whole = rounds.attaches(WHOLE, began + seconds, rounds.into_process(target.pid))
            found["trouble"] += whole.pop("trouble")
            found.update(whole)
            judge(found, target)
        finally:
            target.kill()
    return found


def judge(found: dict[str, Any], target: Target) -> None:
    """Note whether the target has died, hangs, or had another output than always. Ends it."""
    if not target.alive():
        found["deaths"] += 1
        found["trouble"].append(f"died: {target.process.returncode}")
    elif not target.goes_on():
        found["hangs"] += 1
        found["trouble"].append("it prints nothing any more")
    else:
        wrong = target.end()
        if wrong:
            found["wrong"] += 1
            found["trouble"].append(wrong)


def all_kinds() -> list[str]:
    """Return the kinds of work in plain processes."""
    return list(KINDS)
