"""A live Spark driver, a live kernel busy and idle, and how long it takes to get in."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attaching import cells, rounds
from attaching.target import Target
from attaching.work import SPARK
from machine import load
from memprobe.targets import kernel, process
from memprobe.targets.kernel import Attachment, AttachOptions
from soaking.piece import Kernel

SECONDS = 60.0  # of a piece
WHOLE = 20  # attaches of a piece
FIRST_LINES = 10
Found = dict[str, Any]

# A cell that goes on until its gate is there, and whose result is known beforehand. It looks
# rarely: each look lets go of the GIL for less than another thread needs to wake up, and whoever
# does that all the time keeps even Jupyter's own requests waiting for seconds.
CELL = """
def _soak(gate):
    import hashlib, os
    digest, n = b"", 0
    while n % 100 or not os.path.exists(gate):
        sum(range(20000))
        digest = hashlib.sha256(digest + str(n).encode()).digest()
        n += 1
    return n, digest.hex()
result = _soak({gate!r})
"""


def pieces(count: int) -> Iterator[Found]:
    """Yield what was found in a Spark driver and in kernels."""
    yield _kernel(busy=False, count=count, way="kernel")
    yield _kernel(busy=True, count=count, way="kernel")
    yield _kernel(busy=True, count=count, way="pending-call")
    yield cells.piece(_python(), sys.executable, SPARK, SECONDS)


def latencies(count: int) -> Iterator[Found]:
    """Yield the seconds from a request to the probe's answer, and to a command's first line."""
    for busy in (False, True):
        with tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder:
            with Running(Path(folder), busy) as one:
                found = _timed(count, one.into("kernel"))
            yield {"latency": f"kernel, {'busy' if busy else 'idle'}", **found}
    for name, python in cells.interpreters().items():
        with tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder:
            target = Target(python, "busy loop", Path(folder))
            try:
                found = _timed(count, rounds.into_process(target.pid))
                first = [_first_line(target.pid) for _ in range(min(FIRST_LINES, count))]
            finally:
                target.kill()
        yield {"latency": f"plain process, busy, {name}", "first_line": first, **found}


def _timed(count: int, come_in: Callable[[AttachOptions], Attachment]) -> Found:
    found = rounds.attaches(count, float("inf"), come_in)
    return {"load": load(), "interpreter": "", "kind": "", **found}


def _first_line(pid: int) -> float:
    began = time.perf_counter()
    line = [sys.executable, "-m", "memprobe", "attach", str(pid), "--duration", "0.1",
            "-o", "/dev/null", "--force"]  # fmt: skip
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as command:
        assert command.stderr is not None
        command.stderr.readline()
        took = time.perf_counter() - began
        command.stderr.read()
    return took


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


class Running:
    """A kernel, idle or in a cell of known result."""

    def __init__(self, folder: Path, busy: bool) -> None:
        self._gate = folder / "gate"
        self.kernel = Kernel(Path(sys.executable), folder)
        self.busy = busy
        if busy:
            self.kernel._client.execute(CELL.format(gate=str(self._gate)), silent=True)
            time.sleep(1.0)  # it has begun by then, or begins meanwhile: both are busy

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kernel.stop()

    def into(self, way: str) -> Callable[[AttachOptions], Attachment]:
        pid = self.kernel.process.pid
        if way == "kernel":
            return lambda options: kernel.attach(self.kernel.file, pid, options)
        return lambda options: process.attach(pid, options, context="notebook")

    def wrong(self) -> str:
        """Return what is wrong with the cell's result, or with the kernel; nothing otherwise."""
        self._gate.write_text("")
        n, told = self.kernel.value("result") if self.busy else (0, "")
        digest = b""
        for step in range(n):
            digest = hashlib.sha256(digest + str(step).encode()).digest()
        wrong = "" if digest.hex() == told else "wrong result of the cell"
        return wrong or ("" if self.kernel.value("1 + 1") == 2 else "it does not compute")


def _kernel(*, busy: bool, count: int, way: str) -> Found:
    state = "busy" if busy else "idle"
    found: Found = {"interpreter": _python(), "kind": f"live ipykernel, {state}, by {way}",
                    "load": load(), "deaths": 0, "hangs": 0, "wrong": 0, "requests": 0, "lost": 0,
                    "queued": 0, "duplicated": 0, "refused": 0, "trouble": []}  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder,
        Running(Path(folder), busy) as one,
    ):
        _in_kernel(found, one, count, way, Path(folder))
    return found


def _in_kernel(found: Found, one: Running, count: int, way: str, folder: Path) -> None:
    began, pid = time.monotonic(), one.kernel.process.pid
    if way != "kernel":
        found.update(rounds.requests(pid, began + SECONDS / 2, count * 10, folder))
    whole = rounds.attaches(min(count, WHOLE), began + SECONDS, one.into(way))
    found["trouble"] = found["trouble"] + whole.pop("trouble")
    found.update(whole)
    if one.kernel.process.poll() is not None:
        found["deaths"] = 1
    elif wrong := one.wrong():
        found["wrong"] = 1
        found["trouble"].append(wrong)
