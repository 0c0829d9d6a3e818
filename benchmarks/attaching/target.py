"""A process that is attached to, and whether its output was what it always is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from attaching.work import SPARK

WORK = Path(__file__).with_name("work.py")
START = 300.0  # seconds for the first line: a JVM takes long on a busy machine
PATIENCE = 60.0  # seconds for a line more: what takes longer hangs


class Target:
    """The program ``work.py KIND`` in one interpreter, its streams in files."""

    def __init__(self, python: str, kind: str, folder: Path) -> None:
        self._kind = kind
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [python, *_options(kind), str(WORK), kind], stdin=subprocess.PIPE,
                stdout=out, stderr=err, cwd=folder, start_new_session=True,
            )  # fmt: skip
        if not self.goes_on(START):
            self.kill()
            raise RuntimeError(self._err.read_text(errors="replace")[-500:])

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def goes_on(self, patience: float = PATIENCE) -> bool:
        """Whether it prints another line in time."""
        before, deadline = self._out.stat().st_size, time.monotonic() + patience
        while self._out.stat().st_size <= before:
            if time.monotonic() > deadline or not self.alive():
                return False
            time.sleep(0.01)
        return True

    def end(self) -> str:
        """End it; return what was wrong with its output, or nothing."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return "it did not end"
        # Spark logs there, and not always the same.
        said = "" if self._kind == SPARK else self._err.read_text(errors="replace").strip()
        if self.process.returncode or said:
            return f"status {self.process.returncode}: {said[-200:]}"
        return wrong_line(self._out.read_text().splitlines())

    def kill(self) -> None:
        """End it and what it has started, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _options(kind: str) -> list[str]:
    """From 3.12 on, Python warns where a process with threads forks, and the probe is one."""
    return ["-Wignore::DeprecationWarning"] if kind == "forking" else []


def wrong_line(lines: list[str]) -> str:
    """Return the first line that is not the digest of its steps; nothing where all are."""
    digest, n = b"", 0
    for line in lines:
        wanted, _, told = line.partition(" ")
        while n < int(wanted):
            digest = hashlib.sha256(digest + str(n).encode()).digest()
            n += 1
        if digest.hex() != told:
            return f"wrong output: {line!r}"
    return "" if lines else "no output"
