"""Runs one tool on one heap in a fresh process, and reads what that told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent
PROBES = BENCHMARKS.parent / "probes"
PATIENCE = 1500  # seconds for one heap with one tool
IN_KERNEL = ("notebook",)
CELL = """
from snapshots import target as _target
_target.measure({heap!r}, {tool!r}, {output!r}, {times}, globals())
"""


@dataclass
class Told:
    """The lines that one target wrote, by kind; ``trouble`` says why it did not come to its end."""

    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    trouble: str = ""

    def one(self, kind: str) -> dict[str, Any]:
        """Return the last line of a kind, empty where there is none."""
        return self.lines.get(kind, [{}])[-1]

    def values(self, kind: str, name: str) -> list[float]:
        """Return what every line of a kind says under a name."""
        return [line[name] for line in self.lines.get(kind, []) if name in line]


def measured(python: Path, heap: str, tool: str, times: int) -> Told:
    """Build the heap in a new process and measure the tool there."""
    with tempfile.TemporaryDirectory(prefix="memprobe-snapshot-") as folder:
        output = str(Path(folder, "told.jsonl"))
        Path(output).touch()
        run = _in_kernel if heap in IN_KERNEL else _as_script
        trouble = run(python, heap, tool, output, times, folder)
        told = read(Path(output).read_text(encoding="utf-8"))
    if "end" not in told.lines:
        told.trouble = trouble or "it ended without a word"
    return told


def read(text: str) -> Told:
    """Sort the lines of a target's output by their kind; a torn last line is left out."""
    told = Told()
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        told.lines.setdefault(found.pop("kind"), []).append(found)
    return told


def _environment() -> dict[str, str]:
    path = os.pathsep.join(map(str, (PROBES, BENCHMARKS)))
    return {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}


def _as_script(python: Path, heap: str, tool: str, output: str, times: int, folder: str) -> str:
    line = [str(python), str(HERE / "target.py"), heap, tool, output, "--times", str(times)]
    try:
        done = subprocess.run(
            line, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {PATIENCE} s"
    if done.returncode < 0:
        return f"it was ended by signal {-done.returncode}"
    return _last_line(done.stderr)


def _in_kernel(python: Path, heap: str, tool: str, output: str, times: int, folder: str) -> str:
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    spec = manager.kernel_spec
    assert spec is not None
    spec.argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    manager.start_kernel(cwd=folder, env=_environment(), **nowhere)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        cell = CELL.format(heap=heap, tool=tool, output=output, times=times)
        reply = client.execute_interactive(cell, timeout=PATIENCE, output_hook=_nothing)
    except TimeoutError:
        return f"not finished after {PATIENCE} s"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    content = reply["content"]
    return "" if content["status"] == "ok" else f"{content['ename']}: {content['evalue']}"


def _nothing(_: Any) -> None:
    """Take no notice of what a cell prints."""


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


if __name__ == "__main__":
    told = measured(Path(sys.executable), sys.argv[1], sys.argv[2], 2)
    print(json.dumps([told.lines, told.trouble], indent=1))
