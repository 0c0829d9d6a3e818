"""Measure one program as a user would, and read its report.

Either ``memprobe run`` around the program, or, for a notebook, a plain kernel that has run all
cells before ``memprobe attach`` comes from outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import spark
from .judge import Verdict, judge
from .kernel import CellFailed, kernel, run_cells
from .scenario import Case

PATIENCE = 300  # seconds for one program; they take about ten
ATTACHED = 2.0  # seconds
IDLE = 3.0  # seconds beside an idle notebook, past those from which it counts as one
REPORTED = (0, 1)  # exit codes of `memprobe report` with a report on stdout


class Broken(Exception):
    """There is no report to judge, and why."""


def run(case: Case, *, attach: bool = False) -> Verdict:
    """Measure the case's program, report, judge. Never raises."""
    start = time.monotonic()
    idle = case.scenario.idle
    record = attached if (attach or idle is not None) and case.notebook else recorded
    try:
        with (
            tempfile.TemporaryDirectory(prefix="memprobe-scenario-") as folder,
            environment_for(case) as environment,
        ):
            # A copy: whatever a program writes beside itself goes with the folder.
            program = Path(shutil.copy(case.path, folder))
            recording = program.with_suffix(".memprobe")
            if idle is not None:
                environment["MEMPROBE_IDLE_SECONDS"] = str(idle)
            record(program, recording, environment)
            require_last_snapshot(recording)
            verdict = judge(case, report_of(recording, environment))
    except (Broken, CellFailed, TimeoutError) as trouble:
        verdict = Verdict(case, broken=str(trouble))
    verdict.seconds = time.monotonic() - start
    return verdict


@contextmanager
def environment_for(case: Case) -> Iterator[dict[str, str]]:
    """Give the environment of the case's program; what it starts has ended with the block."""
    if not case.scenario.spark:
        yield dict(os.environ)
        return
    with spark.marked(spark.environment()) as environment:
        yield environment


def recorded(program: Path, recording: Path, environment: dict[str, str]) -> None:
    """Run the program under ``memprobe run``. Raises ``Broken`` where it does not end well."""
    line = ["run", "-o", str(recording), "--quiet", str(program)]
    done = memprobe(line, recording.parent, environment)
    if done.returncode:
        raise Broken(f"memprobe run ended with {done.returncode}: {_error(done.stderr)}")


def attached(notebook: Path, recording: Path, environment: dict[str, str]) -> None:
    """Run the notebook in a plain kernel, then attach to it for a moment from outside.

    Where it is to be idle, until it has been for longer than that.
    """
    idle = environment.get("MEMPROBE_IDLE_SECONDS")
    duration = ATTACHED if idle is None else float(idle) + IDLE
    with kernel(environment, str(notebook.parent)) as client:
        run_cells(client, notebook)
        line = ["attach", client.connection_file, "-o", str(recording), "--quiet"]
        line += ["--duration", str(duration)]
        done = memprobe(line, recording.parent, environment)
    if done.returncode not in REPORTED:
        raise Broken(f"memprobe attach ended with {done.returncode}: {_error(done.stderr)}")


def require_last_snapshot(recording: Path) -> None:
    """Raise ``Broken`` where the end was not measured: silence about it would prove nothing."""
    lines = recording.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if '"snapshot"' in line]
    snapshots = [record for record in records if record["kind"] == "snapshot"]
    if not snapshots:
        raise Broken("no snapshot was taken")
    if snapshots[-1].get("skipped"):
        raise Broken(f"the last snapshot was skipped: {snapshots[-1]['skipped']}")


def report_of(recording: Path, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the report as ``memprobe report`` prints it in JSON."""
    line = ["report", str(recording), "--output-format", "json"]
    done = memprobe(line, recording.parent, environment)
    if done.returncode not in REPORTED:
        raise Broken(f"memprobe report ended with {done.returncode}: {_error(done.stderr)}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def memprobe(
    arguments: list[str], folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run memprobe with this interpreter in ``folder``. Raises ``Broken`` when it hangs."""
    line = [sys.executable, "-m", "memprobe", *arguments]
    environment = {**(environment or os.environ), "MPLBACKEND": "agg", "NO_COLOR": "1"}
    try:
        return subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"memprobe {arguments[0]} took more than {PATIENCE} s") from None


def _error(text: str) -> str:
    """Return what memprobe's error says, or else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error:", "cause:"))]
    return "; ".join(errors) or (lines or ["(silent)"])[-1]
