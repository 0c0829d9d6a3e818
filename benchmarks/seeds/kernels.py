# ruff: noqa: E501 - calls with many words
"""Facts of a live kernel, from outside, beside those of a script that does the same and ends."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from seeds.runtime import environment

PATIENCE = 600.0
SETTLE = 0.5  # seconds until what a cell has let go of is gone


class Kernel:
    """A kernel of one interpreter, to which cells are given."""

    def __init__(self, python: Path, folder: str) -> None:
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import KernelManager

        self._manager: Any = KernelManager(
            transport="ipc", ip=f"{folder}/s", connection_file=f"{folder}/kernel.json"
        )
        self._manager._kernel_spec = KernelSpec(
            argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            language="python",
        )
        self._manager.start_kernel(env=environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=folder)  # fmt: skip
        self._client: Any = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.process = psutil.Process(self._manager.provisioner.process.pid)

    def run(self, source: str) -> str:
        """Run a cell to its end; return what it printed. Raises RuntimeError where it fails."""
        message = self.start(source)
        printed, deadline = "", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                one = self._client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if one["parent_header"].get("msg_id") != message:
                continue
            content = one["content"]
            if one["msg_type"] == "stream" and content["name"] == "stdout":
                printed += content["text"]
            elif one["msg_type"] == "error":
                raise RuntimeError(f"{content['ename']}: {content['evalue']}")
            elif one["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed
        raise RuntimeError("a cell did not end")

    def start(self, source: str) -> str:
        """Start a cell; return the number of its message."""
        return str(self._client.execute(source, store_history=True))

    def facts(self) -> dict[str, int]:
        """Return RSS of the kernel, and number and RSS of the processes below it."""
        time.sleep(SETTLE)
        below = [one for one in self.process.children(recursive=True) if one.is_running()]
        return {"rss": self.process.memory_info().rss, "children": len(below),
                "children_rss": sum(map(_rss, below))}  # fmt: skip

    def end(self) -> None:
        """End it, and all that it started."""
        below = self.process.children(recursive=True) if self.process.is_running() else []
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        for one in below:
            try:
                one.kill()
            except psutil.Error:
                continue


@contextmanager
def kernel(python: Path) -> Iterator[Kernel]:
    """Yield a kernel that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="seed-") as folder:
        found = Kernel(python, folder)
        try:
            yield found
        finally:
            found.end()


def both(python: Path, cells: Sequence[str]) -> dict[str, Any]:
    """Return the kernel's facts before and after the cells, and what a script left behind.

    What the last cell prints as JSON in either is in ``printed``.
    """
    with kernel(python) as one:
        before = one.facts()
        printed = [one.run(source) for source in cells]
        after = one.facts()
    return {"before": before, "after": after, "printed": _json(printed[-1]),
            "script": script(python, "\n".join(cells))}  # fmt: skip


def script(python: Path, source: str) -> dict[str, Any]:
    """Run a program; return its seconds, what it printed, and what of it is left when it ended."""
    with tempfile.TemporaryDirectory(prefix="seed-") as folder:
        path = Path(folder, "job.py")
        path.write_text(source, encoding="utf-8")
        began = time.monotonic()
        mark = {"SEED_MARK": folder}
        done = subprocess.run([str(python), str(path)], capture_output=True, text=True,
                              timeout=PATIENCE, env={**environment(), **mark}, cwd=folder)  # fmt: skip
        seconds = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        left = [one for one in psutil.process_iter() if _has_mark(one, folder)]
        found = {"seconds": seconds, "left": len(left), "left_rss": sum(map(_rss, left)),
                 "printed": _json(done.stdout)}  # fmt: skip
        for one in left:
            one.kill()
        return found


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("SEED_MARK") == mark
    except psutil.Error:
        return False


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _json(text: str) -> Any:
    for line in reversed(text.strip().splitlines()):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return None


if __name__ == "__main__":
    sys.exit("this is a part of benchmarks/seed.py")
