"""A nightly job bare, under ``memprobe run``, and bare again: CPU of all processes, results.

Driver, JVM, executors and Python workers are counted together, whoever waited for them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import load
from sparks.fixes import spark

HERE = Path(__file__).resolve().parent
JOB = HERE.parent / "programs" / "spark_job.py"
LONGEST = 900  # seconds for one run


class Failed(Exception):
    """A run did not end well; its text says how."""


@dataclass(frozen=True)
class Cost:
    """One run: CPU seconds of everything, those of the first process alone, seconds, its output."""

    cpu: float
    own: float
    wall: float
    printed: str


def pair(master: str) -> dict[str, float | bool]:
    """Return the ratios of a measured run to the two bare ones around it."""
    busy = load()
    bare = [sys.executable, str(JOB)]
    first = cost(bare, master)
    with tempfile.TemporaryDirectory() as folder:
        recording = str(Path(folder, "job.memprobe"))
        line = [sys.executable, "-m", "memprobe", "run", "-q", "-o", recording, str(JOB)]
        under = cost(line, master)
    second = cost(bare, master)
    both = (first.cpu + second.cpu) / 2
    return {
        "bare": both,
        "target": (under.cpu - under.own) / both,
        "whole": under.cpu / both,
        "control": second.cpu / first.cpu,
        "wall": under.wall / ((first.wall + second.wall) / 2),
        "same": first.printed == under.printed == second.printed != "",
        "load": busy,
    }


def cost(command: list[str], master: str) -> Cost:
    """Run a command to the end of the last process it started. Raises ``Failed``."""
    meter = [sys.executable, "-S", "-E", str(HERE / "tree_meter.py"), str(LONGEST)]
    environment = spark.environment(master, quick=False)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*meter, *command], cwd=folder, env=environment, capture_output=True, text=True
        )
    if done.returncode:
        raise Failed(f"it could not be started: {done.stderr.splitlines()[-1:]}")
    found = json.loads(done.stdout)
    if found["status"] != 0:
        raise Failed(f"it ended with {found['status']} after {os.path.basename(command[-1])}")
    return Cost(found["cpu"], found["own"], found["wall"], found["printed"].strip())
