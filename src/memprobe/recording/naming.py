"""How a recording is called where nobody said: ``memprobe-NAME.PID.memprobe``, here."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PROGRAM_SUFFIXES = (".py", ".ipynb", ".pyz", ".pyw")


def default_path(program: str, pid: int | str) -> Path:
    """Return the default path of a recording of ``program``, in the working directory."""
    return Path(f"memprobe-{part_of_name(program)}.{pid}.memprobe")


def part_of_name(program: str) -> str:
    """Return a program's, module's or notebook's name as one word that no shell takes apart."""
    name = os.path.basename(program)
    for suffix in _PROGRAM_SUFFIXES:
        name = name.removesuffix(suffix)
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


def free(path: Path) -> Path:
    """Return ``path``, or the first of ``NAME-2``, ``NAME-3`` … that does not exist."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate
