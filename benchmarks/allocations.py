"""What ``run --memray`` and ``run --tracemalloc`` cost a program, as ratios to the bare program.

    make allocations
    python benchmarks/allocations.py [--rounds N] [-o reports/allocations.md]

In each round every program runs bare and then in every way, one after the other. CPU time and peak
memory of the program are what the kernel says of it when it has ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from machine import load, sentence
from medians import cell
from overhead import NAMES, PROGRAMS, Cost, Failed, cost

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "reports" / "allocations.md"
WAYS: dict[str, tuple[str, ...]] = {
    "run": (),
    "run --memray": ("--memray",),
    "run --memray-native": ("--memray-native",),
    "run --tracemalloc 1": ("--tracemalloc", "1"),
    "run --tracemalloc 25": ("--tracemalloc", "25"),
}
LONGEST = 900  # seconds for one run
MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One run in one way, against the bare run of its round."""

    cpu: float  # ratio
    peak: float  # ratio
    log: int  # bytes of memray's log, 0 without one


Results = dict[tuple[str, str], list[Measured]]


def main() -> int:
    """Measure, write the page and print it."""
    options = _options()
    results: Results = defaultdict(list)
    loads: list[float] = []
    for number in range(options.rounds):
        for name in NAMES:
            loads.append(load())
            bare = cost([sys.executable, str(PROGRAMS / f"{name}.py")])
            for way, arguments in WAYS.items():
                print(f"{name}, {way}: {number + 1} of {options.rounds}", file=sys.stderr)
                results[name, way].append(_measured(name, arguments, bare))
    text = "\n".join(_page(results, loads)) + "\n"
    Path(options.output).write_text(text, encoding="utf-8")
    print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", default=str(PAGE))
    return parser.parse_args()


def _measured(name: str, arguments: tuple[str, ...], bare: Cost) -> Measured:
    """Run one program under memprobe; what it cost is in the recording's end."""
    from memprobe.recording.reader import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.memprobe")
        line = [sys.executable, "-m", "memprobe", "run", "-q", "-o", str(path), *arguments]
        subprocess.run([*line, str(PROGRAMS / f"{name}.py")], check=True, timeout=LONGEST)
        recording = read(path)
    end, log = recording.end, recording.allocations
    if end is None or end.cpu is None or end.peak is None:
        raise Failed("memprobe run wrote no end")
    if log is not None and log.failed is not None:
        raise Failed(log.failed)
    size = log.file_bytes or 0 if log is not None else 0
    return Measured(end.cpu / bare.cpu, end.peak / bare.peak, size)


def _page(results: Results, loads: list[float]) -> Iterable[str]:
    yield "# What knowing the place of every allocation costs"
    yield ""
    rounds = len(results[NAMES[0], "run"])
    yield f"Medians of the ratios to the bare program in {rounds} rounds. `make allocations` writes"
    yield "this page."
    yield ""
    yield sentence(loads)
    for name in NAMES:
        yield ""
        yield f"## {name}.py"
        yield ""
        yield "| way | CPU time | peak memory | log |"
        yield "|---|--:|--:|--:|"
        for way in WAYS:
            rows = results[name, way]
            log = median(row.log for row in rows)
            yield (
                f"| `{way}` | {cell([row.cpu for row in rows])} | "
                f"{cell([row.peak for row in rows])} | {f'{log / MIB:.1f} MiB' if log else '–'} |"
            )


if __name__ == "__main__":
    sys.exit(main())
