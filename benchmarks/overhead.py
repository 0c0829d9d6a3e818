"""What ``memprobe run`` costs a program, in CPU time, against the bare program.

    python benchmarks/overhead.py [--pairs N] [-o reports/overhead.md]

Bare, measured and bare again are run in turn, so that a machine that gets slower meanwhile slows
all three alike; the second bare run against the first is the control (A/A). CPU time is what the
kernel says of the ended process (``wait4``), user and system together.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from memprobe.recording.reader import read

PROGRAMS = Path(__file__).parent / "programs"
NAMES = ("allocates", "arrays", "groups")
GOAL = 1.02
RESAMPLES = 4000


@dataclass
class Ratios:
    """CPU-time ratios of one program, a number per pair."""

    program: str
    bare: list[float] = field(default_factory=list)  # seconds
    target: list[float] = field(default_factory=list)  # the program under memprobe / bare
    whole: list[float] = field(default_factory=list)  # program and memprobe together / bare
    control: list[float] = field(default_factory=list)  # bare / bare


def main() -> int:
    """Measure every program, write the table, return 1 where the goal is missed."""
    options = _options()
    measured = [_measure(name, options.pairs) for name in NAMES]
    text = page(measured, options.pairs)
    Path(options.output).write_text(text, encoding="utf-8")
    print(text)
    return int(any(interval(one.target)[1] > GOAL for one in measured))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("-o", "--output", default="reports/overhead.md")
    return parser.parse_args()


def _measure(name: str, pairs: int) -> Ratios:
    found = Ratios(name)
    program = str(PROGRAMS / f"{name}.py")
    for pair in range(pairs):
        print(f"{name}: pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
        first = _cpu([sys.executable, program])
        target, whole = _cpu_measured(program)
        second = _cpu([sys.executable, program])
        bare = (first + second) / 2
        found.bare.append(bare)
        found.target.append(target / bare)
        found.whole.append(whole / bare)
        found.control.append(second / first)
    return found


def _cpu(command: list[str]) -> float:
    """Run a command to its end and return its CPU seconds, its children's included."""
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{command} ended with {status}")
    return usage.ru_utime + usage.ru_stime


def _cpu_measured(program: str) -> tuple[float, float]:
    """Return the CPU seconds of the program under memprobe, and of both together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "overhead.memprobe")
        whole = _cpu([sys.executable, "-m", "memprobe", "run", "-q", "-o", str(path), program])
        end = read(path).end
    assert end is not None
    assert end.cpu is not None
    return end.cpu, whole


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median."""
    chance = random.Random(7)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def page(measured: list[Ratios], pairs: int) -> str:
    """Return the report as Markdown."""
    lines = [
        "# Overhead",
        "",
        f"CPU time of a program under `memprobe run` against the bare program: {pairs} interleaved",
        "pairs each, median with its 95 % interval. The control: the bare program against itself.",
        "The whole command includes memprobe's own process (start-up, sampling from outside).",
        f"Made by `python benchmarks/overhead.py --pairs {pairs}` on {datetime.date.today()},",
        f"{os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}.",
        "",
        "| program | bare, s | control | program under memprobe | whole command |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{one.program}` | {statistics.median(one.bare):.1f} | {_cell(one.control)} "
        f"| {_cell(one.target)} | {_cell(one.whole)} |"
        for one in measured
    ]
    missed = [one.program for one in measured if interval(one.target)[1] > GOAL]
    verdict = f"missed by {', '.join(missed)}" if missed else "met"
    lines += ["", f"Goal: the upper bound for the program is at most {GOAL}: {verdict}."]
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    low, high = interval(values)
    return f"{statistics.median(values):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
