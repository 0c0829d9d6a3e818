"""The same target, entered by other tools: does it survive?"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attaching.target import Target
from environments import Unavailable, python_of, version
from machine import load

KIND = "malloc-heavy with threads"
PATIENCE = 60.0  # seconds for one attach
LONGEST = 240.0  # seconds for one tool
Found = dict[str, Any]


def pieces(count: int) -> Iterator[Found]:
    """Yield for each tool how many of up to ``count`` attaches worked, and what they did."""
    for tool, environment in (("memray attach (gdb)", "memray"), ("hypno (pyinjector)", "hypno")):
        try:
            python = python_of(environment)
        except Unavailable as reason:
            yield {"peer": tool, "unavailable": str(reason), "interpreter": "", "kind": tool}
            continue
        yield _rounds(tool, environment, str(python), count)


def _rounds(tool: str, environment: str, python: str, count: int) -> Found:
    found: Found = {"peer": tool, "version": version(environment), "interpreter": "", "kind": tool,
                    "load": load(), "rounds": 0, "worked": 0, "deaths": 0, "hangs": 0,
                    "trouble": []}  # fmt: skip
    until = time.monotonic() + LONGEST
    while found["rounds"] < count and time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder:
            target = Target(python, KIND, Path(folder))
            try:
                _until_it_dies(found, tool, python, target, Path(folder), count, until)
            finally:
                target.kill()
    return found


def _until_it_dies(
    found: Found, tool: str, python: str, target: Target, folder: Path, count: int, until: float
) -> None:
    while found["rounds"] < count and time.monotonic() < until:
        found["rounds"] += 1
        trouble = _attach(tool, python, target.pid, folder / f"done{found['rounds']}")
        found["worked"] += not trouble
        if trouble:
            found["trouble"] = [*found["trouble"][:4], trouble]
        if not target.alive():
            found["deaths"] += 1
            return
        if not target.goes_on():
            found["hangs"] += 1
            return


def _attach(tool: str, python: str, pid: int, done: Path) -> str:
    """Attach once; return what went wrong, or nothing."""
    if tool.startswith("memray"):
        line = [python, "-m", "memray", "attach", "--method", "gdb", "-f", "-o", str(done),
                "--duration", "1", str(pid)]  # fmt: skip
    else:
        line = [python, "-m", "hypno", str(pid), f"open({str(done)!r}, 'w').close()"]
    try:
        ran = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {PATIENCE:.0f} s"
    if ran.returncode:
        return (ran.stderr.strip().splitlines() or [f"status {ran.returncode}"])[-1][:200]
    deadline = time.monotonic() + PATIENCE / 4
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return "" if done.exists() else "nothing happened in the target"
