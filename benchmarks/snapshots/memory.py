"""What the processes of a snapshot take, seen from outside: a small process that looks often.

    with Watched() as watched:
        ...
    watched.seen  # {"peak": …, "copy": …, "apart": …} bytes

The sum over the target and its copies is of PSS: what they share counts once.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

PAUSE = 0.004  # seconds between two looks


class Watched:
    """A process that watches this one while the block runs."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def __enter__(self) -> Watched:
        line = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: Any) -> None:
        told, _ = self._process.communicate("", timeout=60)
        self.seen = json.loads(told)


def rollup(pid: int | str = "self") -> dict[str, int]:
    """Return the sums of ``smaps_rollup`` in bytes, empty for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return {}
    return {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB$", text, re.M)}


def _copies(pid: int, program: str) -> list[int]:
    """Return the children that run the program itself: what it started by exec is another."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
            found += [int(one) for one in children if os.readlink(f"/proc/{one}/exe") == program]
        except OSError:
            continue
    return [one for one in found if one != os.getpid()]


def main() -> None:
    """Look at the process until standard input ends, and print what was most."""
    pid = int(sys.argv[1])
    program = os.readlink(f"/proc/{pid}/exe")
    before = rollup(pid)["Pss"]
    seen = {"peak": 0, "copy": 0, "apart": 0, "looks": 0}
    print("ready", flush=True)
    while not select.select([0], [], [], PAUSE)[0]:
        _look(pid, program, before, seen)
    print(json.dumps(seen))


def _look(pid: int, program: str, before: int, seen: dict[str, int]) -> None:
    copies = _copies(pid, program)
    target = rollup(pid)
    total = target.get("Pss", 0)
    for one in copies:
        copy = rollup(one)
        if not copy:  # it ended meanwhile: what they shared counts as the target's own again
            continue
        total += copy["Pss"]
        seen["copy"] = max(seen["copy"], copy["Private_Dirty"])
        seen["apart"] = max(seen["apart"], target["Private_Dirty"])
    seen["peak"] = max(seen["peak"], total - before)
    seen["looks"] += 1


if __name__ == "__main__":
    main()
