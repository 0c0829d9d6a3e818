"""What ``memprobe run`` costs a program, in CPU time, against the bare program; and other tools.

    python benchmarks/overhead.py [--pairs N] [--tool-pairs N] [--only NAME] [--again]

Bare, measured and bare again are run in turn, so that a machine that gets slower meanwhile slows
all three alike; the second bare run against the first is the control (A/A). CPU time and peak
memory are what the kernel says of the ended process (``wait4``), user and system together. The
last snapshot, taken when the program is over, is told apart from the program's cost.

Bytecode is kept in a cache of the benchmark's own, as an installed package has it: what a compiler
costs on every start where ``PYTHONDONTWRITEBYTECODE`` is set is no tool's overhead.

Every pair is written to ``benchmarks/.cache/overhead.json`` at once: a run that was cut off goes
on where it stopped, unless memprobe, a tool's version or a program has changed since.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from environments import CACHE, Unavailable, python_of, version
from imports_first import UNUSED
from machine import load
from medians import FEWEST, interval
from overhead_page import GOAL, IMPORTS, OURS, page
from overhead_results import Results, digest
from profilers import PROFILERS, Profiler, answer, our_answer

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
NAMES = ("allocates", "arrays", "groups")
LONGEST = 600  # seconds for one run of one program
SOURCES = (HERE.parent / "src", HERE.parent / "probes", PROGRAMS)


@dataclass(frozen=True)
class Cost:
    """What one run took: CPU seconds and peak resident bytes, its children's included."""

    cpu: float
    peak: int


class Failed(Exception):
    """A program did not run to its end under a tool; its text says how."""


def main() -> int:
    """Measure what is missing, write the page, return 1 where the goal is missed."""
    options = _options()
    results = Results.load(CACHE / "overhead.json")
    if options.only in (None, OURS):
        _measure_ours(results, options.pairs, again=options.again)
    if options.only in (None, IMPORTS):
        _measure_imports(results, options.tool_pairs, again=options.again)
    for profiler in PROFILERS:
        if options.only in (None, profiler.name):
            _measure_profiler(results, profiler, options.tool_pairs, again=options.again)
    text = page(results)
    Path(options.output).write_text(text, encoding="utf-8")
    print(text)
    ours = results.ratios(OURS, "target")
    return int(any(len(one) < FEWEST or interval(one)[1] > GOAL for one in ours.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60, help="of memprobe, per program")
    parser.add_argument("--tool-pairs", type=int, default=7, help="of each other tool")
    parser.add_argument("--only", metavar="NAME", help="memprobe or one of the other tools")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    parser.add_argument("-o", "--output", default="reports/overhead.md")
    return parser.parse_args()


def _measure_ours(results: Results, pairs: int, *, again: bool) -> None:
    """Run memprobe's pairs of all programs in turn until there are ``pairs`` of each."""
    kept = results.begin(OURS, digest(*SOURCES), again=again)
    kept.said = kept.said or our_answer()
    for pair in range(pairs):
        for name in NAMES:
            if len(kept.of(name)) > pair:
                continue
            print(f"{OURS}, {name}: pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
            program = str(PROGRAMS / f"{name}.py")
            busy = load()
            first = cost([sys.executable, program])
            target, whole, at_exit = _under_memprobe(program)
            second = cost([sys.executable, program])
            bare = (first.cpu + second.cpu) / 2
            kept.add(
                name,
                bare=bare,
                target=target.cpu / bare,
                whole=whole.cpu / bare,
                at_exit=at_exit,
                control=second.cpu / first.cpu,
                peak=target.peak / max(first.peak, second.peak),
                load=busy,
            )
            results.save()


def _measure_imports(results: Results, pairs: int, *, again: bool) -> None:
    """Run the bare programs beside themselves with modules imported that they do not use."""
    first = HERE / "imports_first.py"
    kept = results.begin(IMPORTS, f"{len(UNUSED)} {digest(PROGRAMS)}", again=again)
    for pair in range(pairs):
        for name in NAMES:
            if len(kept.of(name)) > pair:
                continue
            print(f"{IMPORTS}, {name}: pair {pair + 1} of {pairs}", file=sys.stderr, flush=True)
            program = str(PROGRAMS / f"{name}.py")
            kept.add(name, **_against([sys.executable, program],
                                      [sys.executable, str(first), program]))  # fmt: skip
            results.save()


def _under_memprobe(program: str) -> tuple[Cost, Cost, float]:
    """Return the cost of the program under memprobe, of both together, and CPU seconds at exit.

    What the probe does at exit, when the program is over, is no part of the program's cost.
    """
    from memprobe.recording.reader import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "overhead.memprobe")
        whole = cost([sys.executable, "-m", "memprobe", "run", "-q", "-o", str(path), program])
        end = read(path).end
    if end is None or end.cpu is None or end.peak is None or end.at_exit is None:
        raise Failed("memprobe run wrote no end")
    return Cost(end.cpu - end.at_exit, end.peak), whole, end.at_exit


def _measure_profiler(results: Results, profiler: Profiler, pairs: int, *, again: bool) -> None:
    """Run the tool's pairs, and ask it once about the leaky script."""
    key = f"{profiler.command} {version(profiler.environment)} {digest(PROGRAMS)}"
    kept = results.begin(profiler.name, key, again=again)
    try:
        python = python_of(profiler.environment)
        if not kept.said:
            kept.said = answer(profiler, python)
            results.save()
    except Unavailable as reason:
        kept.unavailable = str(reason)
        results.save()
        return
    for pair in range(pairs):
        for name in NAMES:
            if len(kept.of(name)) > pair or name in kept.failed:
                continue
            told = f"{profiler.name}, {name}: pair {pair + 1} of {pairs}"
            print(told, file=sys.stderr, flush=True)
            try:
                kept.add(name, **_pair(profiler, python, name))
            except Failed as trouble:
                kept.failed[name] = str(trouble)
            results.save()


def _pair(profiler: Profiler, python: Path, name: str) -> dict[str, float]:
    """Return the ratios of one run under the tool to the one before it in the same environment."""
    program = str(PROGRAMS / f"{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        return _against([str(python), program], profiler.line(python, program, folder), folder)


def _against(bare: list[str], command: list[str], folder: str | None = None) -> dict[str, float]:
    """Return the ratios of a command, run in ``folder``, to a bare program run just before it."""
    busy, first = load(), cost(bare)
    measured = cost(command, folder)
    return {
        "bare": first.cpu,
        "whole": measured.cpu / first.cpu,
        "peak": measured.peak / first.peak,
        "load": busy,
    }


def with_bytecode() -> dict[str, str]:
    """Return the environment of every measured command: it compiles modules once, not each time."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def cost(command: list[str], folder: str | None = None) -> Cost:
    """Run a command to its end in ``folder``. Raises ``Failed``, after ``LONGEST`` seconds too."""
    meter = [sys.executable, "-S", "-E", str(HERE / "meter.py"), str(LONGEST)]
    done = subprocess.run(
        [*meter, *command], cwd=folder, env=with_bytecode(), capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(f"it could not be started: {done.stderr.splitlines()[-1:]}")
    found = json.loads(done.stdout)
    if found["status"] is None:
        raise Failed(f"it was stopped after {LONGEST} s")
    if found["status"]:
        raise Failed(f"it ended with {found['status']}")
    return Cost(found["cpu"], found["peak"])


if __name__ == "__main__":
    sys.exit(main())
