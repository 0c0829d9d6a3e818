"""Run one program under ``memprobe run`` as a user would, and read its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .judge import Verdict, judge
from .scenario import Case

PATIENCE = 300  # seconds for one program; they take about ten
REPORTED = (0, 1)  # exit codes of `memprobe report` with a report on stdout


class Broken(Exception):
    """There is no report to judge, and why."""


def run(case: Case) -> Verdict:
    """Run the case's program recorded, report, judge. Never raises."""
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="memprobe-scenario-") as folder:
            verdict = judge(case, report_of(case.path, Path(folder)))
    except Broken as trouble:
        verdict = Verdict(case, broken=str(trouble))
    verdict.seconds = time.monotonic() - start
    return verdict


def report_of(program: Path, folder: Path) -> dict[str, Any]:
    """Return the report of one recorded run as ``memprobe report`` prints it in JSON."""
    recording = folder / "scenario.memprobe"
    done = memprobe(["run", "-o", str(recording), "--quiet", str(program)], folder)
    if done.returncode:
        raise Broken(f"memprobe run ended with {done.returncode}: {_last_line(done.stderr)}")
    done = memprobe(["report", str(recording), "--output-format", "json"], folder)
    if done.returncode not in REPORTED:
        raise Broken(f"memprobe report ended with {done.returncode}: {_last_line(done.stderr)}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def memprobe(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run memprobe with this interpreter in ``folder``. Raises ``Broken`` when it hangs."""
    line = [sys.executable, "-m", "memprobe", *arguments]
    environment = {**os.environ, "MPLBACKEND": "agg", "NO_COLOR": "1"}
    try:
        return subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"memprobe {arguments[0]} took more than {PATIENCE} s") from None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error")]
    return (errors or lines or ["(silent)"])[-1]
