"""Run a notebook in a kernel of the tool's own environment and ask the tool at its end."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from subprocess import DEVNULL
from typing import Any

import nbformat
from jupyter_client.manager import KernelManager

from environments import python_of

from .cases import Case
from .tools import Tool

PATIENCE = 240  # seconds for one cell or one question
TABLES = "\nWho holds what"
ROWS = 20  # of memray's table
FILES = "print(get_ipython().compile._filename_map)"


@dataclass
class Answer:
    """What a tool printed, and what it took."""

    text: str
    seconds: float  # of the questions alone, the notebook's own time left out
    files: dict[int, str] = field(default_factory=dict)  # execution → file name of its code


def ask(tool: Tool, case: Case) -> Answer:
    """Run the case's notebook with the tool. Raises ``Unavailable`` or ``TimeoutError``."""
    python = python_of(tool.name)
    with tempfile.TemporaryDirectory(prefix="memprobe-peers-") as folder:
        output = Path(folder, "memray.bin")
        around = tool.around.format(output=output).split()
        with kernel([str(python), *(["-m", *around] if around else [])], folder) as client:
            execute(client, _filled(tool.before, case), counts=False)
            for source in cells(case.program):
                execute(client, source)
            files = _files(execute(client, FILES, counts=False))
            start = time.monotonic()
            text = execute(client, _filled(tool.after, case), counts=False, cut_off=True)
            seconds = time.monotonic() - start
        if around:
            start = time.monotonic()
            text = memray_leaks(python, output)
            seconds = time.monotonic() - start
    return Answer(text, seconds, files)


def ask_memprobe(case: Case) -> Answer:
    """Run the notebook under ``memprobe run`` and return the text of ``memprobe report``."""
    memprobe = [sys.executable, "-m", "memprobe"]
    environment = {**os.environ, "MPLBACKEND": "agg", "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory(prefix="memprobe-peers-") as folder:
        recording = str(Path(folder, "a.memprobe"))
        line = [*memprobe, "run", "--quiet", "-o", recording, str(case.program)]
        subprocess.run(line, cwd=folder, env=environment, capture_output=True, timeout=PATIENCE)
        start = time.monotonic()
        line = [*memprobe, "report", "--exit-zero", recording]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
        # Of its own report only the findings count: its tables name every cell and large name.
        findings = done.stdout.partition(TABLES)[0]
        return Answer(findings + done.stderr, time.monotonic() - start)


def cells(notebook: Path) -> list[str]:
    """Return the sources of a notebook's code cells."""
    book = nbformat.read(notebook, as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


@contextmanager
def kernel(command: list[str], folder: str) -> Iterator[Any]:
    """Start ``command -m ipykernel_launcher`` in ``folder``; it is asked to end with the block."""
    manager = KernelManager()
    spec = manager.kernel_spec
    assert spec is not None
    spec.argv = [*command, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    environment = {**os.environ, "MPLBACKEND": "agg"}
    manager.start_kernel(cwd=folder, env=environment, stdout=DEVNULL, stderr=DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def execute(client: Any, source: str, *, counts: bool = True, cut_off: bool = False) -> str:
    """Run one cell and return all that it shows, as text; an error's traceback included.

    Raises ``TimeoutError`` after ``PATIENCE`` seconds, or returns what it has shown until then.
    """
    if not source.strip():
        return ""
    shown: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            shown.append(content["text"])
        elif kind in ("execute_result", "display_data"):
            shown.append(content["data"].get("text/plain", "") + "\n")
        elif kind == "error":
            shown.append("\n".join(content["traceback"]) + "\n")

    try:
        client.execute_interactive(source, timeout=PATIENCE, store_history=counts, output_hook=keep)
    except (TimeoutError, Empty):
        if not cut_off:
            raise
        shown.append(f"\n(not finished after {PATIENCE} s)\n")
    return "".join(shown)


def _filled(source: str, case: Case) -> str:
    return source.format(type=case.type, short=case.short).strip()


def _files(text: str) -> dict[int, str]:
    """Read IPython's map of code names to executions."""
    pairs = re.findall(r"'([^']+)': (\d+)", text)
    return {int(cell): Path(name).name for name, cell in pairs}


def memray_leaks(python: Path, output: Path) -> str:
    """Return memray's largest allocations that were never freed, the largest first."""
    target = output.with_suffix(".csv")
    line = [str(python), "-m", "memray", "transform", "csv", "--leaks", "-f", "-o", str(target)]
    done = subprocess.run([*line, str(output)], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode or not target.exists():
        return done.stdout + done.stderr
    rows = list(csv.reader(io.StringIO(target.read_text(encoding="utf-8"))))
    size = rows[0].index("size")
    largest = sorted(rows[1:], key=lambda row: int(row[size]), reverse=True)[:ROWS]
    return "\n".join(",".join(row) for row in [rows[0], *largest]) + "\n"
