"""The profilers of the overhead table: how each runs a program, and what it says about a leak."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenarios"))

from comparison import drive  # noqa: E402
from comparison.cases import Case, case  # noqa: E402
from comparison.judge import COLOUR, said  # noqa: E402

LEAKY = case("growing-script-list", "a script that remembers all it has handled", "list")
LINES = (10, 11)  # of the leaky script: where what stays is allocated
ROWS = 20
PATIENCE = 300  # seconds
SHOWN = 90  # characters of a quotation


@dataclass(frozen=True)
class Profiler:
    """One row of the table. ``{python} {bin} {folder} {program}`` are filled into the command."""

    name: str
    environment: str  # a key of tools.toml
    command: str
    report: Callable[[Path, Path], str]  # (interpreter, folder after the run) → what one reads

    def line(self, python: Path, program: str, folder: str) -> list[str]:
        """Return the command that runs ``program`` and leaves its results in ``folder``."""
        places = {"python": python, "bin": python.parent, "folder": folder, "program": program}
        return [word.format(**places) for word in self.command.split()]


def answer(profiler: Profiler, python: Path) -> str:
    """Run the leaky script under the profiler and return what it shows at the end."""
    with tempfile.TemporaryDirectory() as folder:
        line = profiler.line(python, str(LEAKY.program), folder)
        ran = _output(line, folder)
        return COLOUR.sub("", ran + profiler.report(python, Path(folder)))


def our_answer() -> str:
    """Return what memprobe reports about the same script."""
    return drive.ask_memprobe(LEAKY).text


def judged(text: str, about: Case = LEAKY) -> tuple[bool, bool, bool]:
    """Return whether an answer names the line that allocates, the holder, the bytes."""
    found = said(text, about, about.program.read_text(encoding="utf-8").splitlines())
    return line_of(text) is not None, bool(found.named), found.bytes


def line_of(text: str) -> str | None:
    """Return the line of an answer that names where the leaky script allocates, if any does."""
    numbers = "|".join(str(number) for number in LINES)
    by_file = rf"leaky\.py\W{{1,3}}(?:line )?(?:{numbers})\b"
    by_row = rf"^\W*(?:{numbers})\W.*\d+(?:\.\d+)? ?[KMG%]"
    return next(
        (line for line in text.splitlines() if re.search(by_file, line) or re.search(by_row, line)),
        None,
    )


def quotation(text: str) -> str:
    """Return the most telling line of an answer, shortened: of the holder, the line, the bytes."""
    source = LEAKY.program.read_text(encoding="utf-8").splitlines()
    lines = [line.strip() for line in text.splitlines()]
    holder = next((line for line in lines if said(line, LEAKY, source).named), None)
    near = next((line for line in lines if said(line, LEAKY, source).bytes), None)
    best = holder or line_of(text) or near or (lines or [""])[-1]
    return _shortened(re.sub(r"[^ ;,'\"|]*/(?=[^/ ;,'\"|]+)", "", best))


def _shortened(line: str) -> str:
    """Return a line without columns and runs of spaces, cut around the script's name."""
    words = " ".join(re.sub(r"[|│]", " ", line).split())
    start = max(0, min(words.find(LEAKY.program.name) - SHOWN // 2, len(words) - SHOWN))
    cut = words[start : start + SHOWN]
    return ("…" if start else "") + cut + ("…" if start + SHOWN < len(words) else "")


def _output(line: list[str], folder: str | None = None) -> str:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160"}
    try:
        done = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"nothing within {PATIENCE} s\n"
    return done.stdout + done.stderr


def _memray(python: Path, folder: Path) -> str:
    return drive.memray_leaks(python, folder / "out.bin")


def _scalene(python: Path, folder: Path) -> str:
    return _output([str(python), "-m", "scalene", "view", "--cli", str(folder / "out.json")])


def _tracemalloc(python: Path, folder: Path) -> str:
    """Return the statistics of a snapshot at the script's end: the module by itself shows none."""
    code = (
        "import runpy, sys, tracemalloc\n"
        "kept = runpy.run_path(sys.argv[1], run_name='__main__')\n"
        f"for one in tracemalloc.take_snapshot().statistics('lineno')[:{ROWS}]: print(one)\n"
    )
    return _output([str(python), "-X", "tracemalloc=1", "-c", code, str(LEAKY.program)])


def _mprof(python: Path, folder: Path) -> str:
    return _output([str(python.parent / "mprof"), "peak", str(folder / "out.dat")])


def _fil(python: Path, folder: Path) -> str:
    """Return the widest stacks of the flame graph."""
    stacks = "".join(path.read_text() for path in folder.rglob("peak-memory.prof"))
    return "\n".join(sorted(stacks.splitlines(), key=_last_number, reverse=True)[:ROWS])


def _last_number(stack: str) -> int:
    found = re.search(r"(\d+)$", stack)
    return int(found[1]) if found else 0


def _nothing(python: Path, folder: Path) -> str:
    return ""


MEMRAY = "{python} -m memray run --quiet --force --output {folder}/out.bin"
PROFILERS = (
    Profiler("memray", "memray", MEMRAY + " {program}", _memray),
    Profiler(
        "memray, Python allocators",
        "memray",
        MEMRAY + " --trace-python-allocators {program}",
        _memray,
    ),
    Profiler(
        "scalene",
        "scalene",
        "{python} -m scalene run -o {folder}/out.json {program}",
        _scalene,
    ),
    Profiler(
        "tracemalloc, 1 frame",
        "tracemalloc",
        "{python} -X tracemalloc=1 {program}",
        _tracemalloc,
    ),
    Profiler(
        "memory_profiler",
        "memory_profiler",
        "{bin}/mprof run --output {folder}/out.dat {program}",
        _mprof,
    ),
    Profiler(
        "filprofiler",
        "filprofiler",
        "{bin}/fil-profile -o {folder} --no-browser run {program}",
        _fil,
    ),
    Profiler("heapwise", "heapwise", "{python} -m heapwise {program}", _nothing),
)
