"""How long ``memprobe report`` takes over the recording of a day, and how long its page to open.

    python benchmarks/report_day.py [--runs N] [-o reports/report.md]

The recording is ``day.py``'s, the same one every time. A run is the whole command as a user types
it, from the start of its process to its end; the time is the wall clock's. The page is opened in a
Chromium that has just started with an empty profile, until everything in it is drawn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import day
import machine
import opening
from medians import FEWEST, interval

GOAL = 2.0  # seconds
REPORTED = (0, 1)  # exit codes with a report


@dataclass(frozen=True)
class Run:
    """What one report took: wall-clock and CPU seconds, peak resident bytes."""

    seconds: float
    cpu: float
    peak: int


def main() -> int:
    """Write the recording, report it again and again, write the page; 1 where it takes too long."""
    options = _options()
    loads = [machine.load()]
    with tempfile.TemporaryDirectory(prefix="memprobe-day-") as folder:
        recording = Path(folder, "day.memprobe")
        day.write(recording)
        report(recording)  # once for the page cache and the compiled modules
        runs = [report(recording) for _ in range(options.runs)]
        drawn = Path(folder, "day.html")
        written = [report(recording, "--html", str(drawn)) for _ in range(options.runs)]
        openings = opening.measured(drawn, options.runs, Path(folder))
        loads.append(machine.load())
        text = page(runs, recording, loads) + opening.section(written, drawn, openings)
        kept = opening.kept(drawn, openings)
    Path(options.output).write_text(text, encoding="utf-8")
    print(text)
    return int(median([run.seconds for run in runs]) > GOAL or not kept)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("-o", "--output", default="reports/report.md")
    return parser.parse_args()


def report(recording: Path, *more: str) -> Run:
    """Run ``memprobe report`` on the recording. Raises ``RuntimeError`` where it gives none."""
    line = [sys.executable, "-m", "memprobe", "report", str(recording), *more]
    start = time.monotonic()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in REPORTED:
        raise RuntimeError(f"memprobe report ended with {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def page(runs: list[Run], recording: Path, loads: list[float]) -> str:
    """Return the page as Markdown."""
    seconds = [run.seconds for run in runs]
    middle = median(seconds)
    between = "{:.2f} to {:.2f}".format(*interval(seconds)) if len(runs) >= FEWEST else "–"
    verdict = "met" if middle <= GOAL else "missed"
    lines = [
        "# A report on a day",
        "",
        "`memprobe report` as a process, on a synthetic recording of 24 hours: a sample a second",
        f"by the probe and one by the host, {_count(recording, 'snapshot')} snapshots, "
        f"{_count(recording, 'marker')} markers of cells, lengths of",
        f"{len(day.LISTS)} containers every ten seconds; {recording.stat().st_size / 1e6:.0f} MB. "
        "Made by `make report-day` on",
        machine.sentence(loads),
        "",
        "| runs | median, s | 95 % interval | CPU, s | peak memory |",
        "|---|---|---|---|---|",
        f"| {len(runs)} | {middle:.2f} | {between} | {median([run.cpu for run in runs]):.2f} "
        f"| {max(run.peak for run in runs) / 1e6:.0f} MB |",
        "",
        f"Goal: under {GOAL:.0f} s: **{verdict}**.",
    ]
    return "\n".join(lines) + "\n"


def _count(recording: Path, kind: str) -> int:
    start = f'{{"kind":"{kind}"'
    with recording.open(encoding="utf-8") as lines:
        return sum(line.startswith(start) for line in lines)


if __name__ == "__main__":
    sys.exit(main())
