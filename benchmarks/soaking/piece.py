"""One kernel at work, snapshots taken of it, and what was seen from outside meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from machine import load
from memprobe.recording.schema import Snapshot
from memprobe.targets.kernel import Attachment, AttachOptions, attach
from memprobe.targets.kernel_ready import wait_until_ready

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
PATIENCE = 60.0  # seconds for a snapshot or a cell: what takes longer hangs
PER_VISIT = 100  # snapshots between attaching and leaving
FEW = 10  # snapshots of the first visit, after which the work is at its usual level
SETTLING = 20.0  # seconds after which the work is, with nobody attached
LOOK = 2.0  # seconds between two looks at such a kernel
PAGE = os.sysconf("SC_PAGE_SIZE")
HELD = ("held_rows", "held_array", "held_texts")


class Kernel:
    """A kernel of the given Python, and cells run in it."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.file = folder / "kernel.json"
        self._log = (folder / "kernel.log").open("wb+")
        environment = {**os.environ, "IPYTHONDIR": str(folder / "ipython")}
        self.process = subprocess.Popen(
            [str(python), "-Xfaulthandler", "-m", "ipykernel_launcher", "-f", str(self.file)],
            env=environment, stdout=self._log, stderr=self._log, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self.file.exists() or not self.file.stat().st_size:
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        self._client = BlockingKernelClient(connection_file=str(self.file))
        self._client.load_connection_file()
        self._client.start_channels()
        wait_until_ready(self._client, lambda: self.process.poll() is None, PATIENCE)

    def log(self) -> str:
        """Return what the kernel has said on its own streams."""
        self._log.flush()
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def value(self, expression: str, before: str = "") -> Any:
        """Run a cell, then return the literal value of an expression in the kernel."""
        import ast

        wanted = {"it": f"repr({expression})"}
        reply = self._client.execute(before, user_expressions=wanted, silent=True, reply=True,
                                     timeout=PATIENCE * 2)["content"]  # fmt: skip
        assert reply["status"] == "ok", reply
        told = reply["user_expressions"]["it"]
        assert told["status"] == "ok", told
        return ast.literal_eval(ast.literal_eval(told["data"]["text/plain"]))

    def stop(self) -> None:
        """End the kernel and what it has started."""
        self._client.stop_channels()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


class Watch:
    """What the kernel's process looks like from outside, after each snapshot."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.rss: list[int] = []
        self.descriptors: list[int] = []
        self.left_open = 0  # files of copies that were still open after their snapshot
        self.zombies: set[int] = set()
        self.own_children = set(self._children())  # the JVM

    def look(self) -> None:
        """Note memory, descriptors and children as they are now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        self.rss.append(int(pages) * PAGE)
        names = list(self._open())
        self.descriptors.append(len(names))
        self.left_open += sum("memfd:memprobe" in name for name in names)
        self.zombies.update(pid for pid in self._children() if self._state(pid) == "Z")

    def more_children(self) -> list[int]:
        """Return the children that were not there at the begin."""
        return sorted(set(self._children()) - self.own_children)

    def _open(self) -> Iterator[str]:
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(f"/proc/{self.pid}/fd/{number}")

    def _children(self) -> Iterator[int]:
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(OSError):
                found = Path(f"/proc/{self.pid}/task/{thread}/children").read_text()
                yield from map(int, found.split())

    @staticmethod
    def _state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return ""


class Taken:
    """The snapshots of a piece, as their records tell of them."""

    def __init__(self) -> None:
        self.count = 0
        self.hung = 0
        self.notes: dict[str, int] = {}  # why a snapshot was not the walker's
        self.seconds: list[float] = []
        self.pauses: list[float] = []
        self.objects = 0
        self.held: dict[str, set[int]] = {name: set() for name in HELD}

    def add(self, record: Snapshot) -> None:
        """Note one record."""
        self.count += 1
        if record.engine != "native" or record.skipped:
            why = record.skipped or record.engine_note or "?"
            self.notes[why] = self.notes.get(why, 0) + 1
            return
        self.seconds.append((record.took_ns or 0) / 1e9)
        self.pauses.append((record.pause_ns or 0) / 1e9)
        self.objects = max(self.objects, record.objects or 0)
        number = {holder.id: holder.expr for holder in record.holders}
        for group in record.groups:
            if len(group.holders) == 1 and number[group.holders[0]] in self.held:
                self.held[number[group.holders[0]]].add(group.bytes)


def soak(
    python: Path, folder: Path, *, minutes: float, snapshots: int, spark: bool
) -> dict[str, Any]:
    """Take up to so many snapshots in so many minutes; return what was found."""
    end = time.monotonic() + minutes * 60
    with _at_work(python, folder, spark) as (kernel, left_out):
        before = kernel.value("sorted(sys.modules)")
        return _visits(kernel, folder, end, snapshots, left_out, before)


def control(python: Path, folder: Path, *, minutes: float, spark: bool) -> dict[str, Any]:
    """Let the same work go on with nobody attached; return how its memory went."""
    with _at_work(python, folder, spark) as (kernel, _):
        return _watched(kernel, minutes)


@contextlib.contextmanager
def _at_work(python: Path, folder: Path, spark: bool) -> Iterator[tuple[Kernel, list[str]]]:
    """Start a kernel and all of its work; yield it with the work that had to be left out."""
    kernel = Kernel(python, folder)
    try:
        begin = f"import sys; sys.path.insert(0, {str(PROGRAMS)!r}); import soak_work"
        yield kernel, kernel.value(f"soak_work.start(globals(), spark={spark})", begin)
    finally:
        kernel.stop()


def _watched(kernel: Kernel, minutes: float) -> dict[str, Any]:
    loads = [load()]
    time.sleep(SETTLING)
    watch = Watch(kernel.process.pid)
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end and kernel.process.poll() is None:
        watch.look()
        time.sleep(LOOK)
    loads.append(load())
    work = kernel.value("soak_work.told()")
    return {"control": True, "minutes": minutes, "rss": watch.rss, "work": work, "loads": loads}


def _visits(
    kernel: Kernel, folder: Path, end: float, snapshots: int, left_out: list[str],
    before: list[str],
) -> dict[str, Any]:  # fmt: skip
    taken, visits, loads = Taken(), 0, [load()]
    began = time.monotonic()
    _visit(kernel, folder, taken, end, FEW, None)
    watch = Watch(kernel.process.pid)
    while taken.count < snapshots and time.monotonic() < end and kernel.process.poll() is None:
        visits += 1
        _visit(kernel, folder, taken, end, min(PER_VISIT, snapshots - taken.count), watch)
        loads.append(load())
    alive = kernel.process.poll() is None
    work = kernel.value("soak_work.told()") if alive else {}
    modules = kernel.value("sorted(sys.modules)") if alive else before
    ours = [name for name in modules if name.startswith("memprobe")]
    return {
        "snapshots": taken.count, "visits": visits + 1, "minutes": (time.monotonic() - began) / 60,
        "spark": "Spark" in work, "left_out": left_out, "alive": alive,
        "status": kernel.process.poll(),
        "said": _said(kernel.log()), "hung": taken.hung, "notes": taken.notes,
        "seconds": taken.seconds, "pauses": taken.pauses, "objects": taken.objects,
        "held": {name: sorted(found) for name, found in taken.held.items()},
        "rss": watch.rss, "descriptors": watch.descriptors, "left_open": watch.left_open,
        "zombies": len(watch.zombies), "children": len(watch.more_children()), "modules": ours,
        "work": work, "loads": loads, "python": sys.version.split()[0],
    }  # fmt: skip


def _visit(
    kernel: Kernel, folder: Path, taken: Taken, end: float, count: int, watch: Watch | None
) -> None:
    options = AttachOptions(
        output=folder / "soak.memprobe", program="soak.ipynb", force=True, cap=1 << 30,
        max_pause=1.0, timeout=PATIENCE, last_snapshot=False,
    )  # fmt: skip
    attachment = attach(kernel.file, kernel.process.pid, options)
    try:
        for _ in range(count):
            if time.monotonic() > end or kernel.process.poll() is not None:
                break
            if attachment.ask("snapshot", timeout=PATIENCE) is None:
                taken.hung += 1
            _collect(attachment, taken)
            if watch is not None and kernel.process.poll() is None:
                watch.look()
    finally:
        attachment.detach()


def _collect(attachment: Attachment, taken: Taken) -> None:
    for record in attachment.poll():
        if isinstance(record, Snapshot) and record.reason == "request":
            taken.add(record)


def _said(log: str) -> list[str]:
    """Return the lines of the kernel's streams that tell of a crash."""
    words = ("Fatal Python error", "Segmentation", "Traceback", "terminate called", "corrupt")
    return [line for line in log.splitlines() if any(word in line for word in words)][:20]
