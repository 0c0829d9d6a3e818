"""Plain Python processes that tests attach to, and what they are asked about themselves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from running import PROGRAMS, bare_environment
from test_packaging import PYTHONS

PATIENCE = 60.0
WORKS = PROGRAMS / "plain" / "works.py"
STRIPPED = "/usr/bin/python3"  # the distribution's own, without symbols


def interpreters() -> dict[str, str | None]:
    """Return every interpreter that plain processes are tried with; None: not installed."""
    found = dict(PYTHONS)
    found["stripped"] = STRIPPED if os.access(STRIPPED, os.X_OK) and _supported() else None
    return found


def _supported() -> bool:
    asked = [STRIPPED, "-c", "import sys, ctypes; sys.exit(sys.version_info[:2] < (3, 10))"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


class Works:
    """The program ``works.py`` in one interpreter."""

    def __init__(self, python: str, folder: Path) -> None:
        self._out = folder / "out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [python, str(WORKS)], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE,
                env=bare_environment(), text=True, cwd=folder,
            )  # fmt: skip
        assert self.line() == "ready\n"

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def described(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write("describe\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.line())
        return found

    def end(self) -> None:
        """End it, and check that it did and said exactly what it always does."""
        _, said = self.process.communicate("end\n", timeout=PATIENCE)
        assert (self.process.returncode, said) == (0, "")
        lines = self._out.read_text().splitlines()
        assert lines == expected(len(lines))


def expected(lines: int) -> list[str]:
    digest, found = b"", []
    for n in range(lines * 2000):
        digest = hashlib.sha256(digest + str(n).encode()).digest()
        if (n + 1) % 2000 == 0:
            found.append(f"{n + 1} {digest.hex()}")
    return found


@contextlib.contextmanager
def plain(python: str, text: str, *, wait: str = "ready\n") -> Iterator[subprocess.Popen[str]]:
    """Run ``text`` with that Python; it is killed afterwards."""
    with subprocess.Popen(
        [python, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=bare_environment(),
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == wait
            yield process
        finally:
            process.kill()


def eventually(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
