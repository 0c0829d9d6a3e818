"""Rounds in one process: many requests that are only acknowledged, and some whole attaches."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memprobe.errors import MemprobeError
from memprobe.targets import plain_python, process, remote_exec
from memprobe.targets.kernel import Attachment, AttachOptions
from memprobe.targets.pending.bootstrap_text import bootstrap_text
from memprobe.targets.pending.injector import Failed, Injector
from memprobe.targets.pending.refusal import Queued, Refused
from memprobe.targets.session import SessionFolder

TIMEOUT = 30.0  # seconds for one request
RECORD = 0.05
PAUSE = 0.004  # seconds between two requests, at most: never a tight loop

Found = dict[str, Any]


class Acknowledgements:
    """A FIFO into which the target writes the number of each request that it has run."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "acknowledged")
        os.mkfifo(self.path, 0o600)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._text = b""
        self.counts: dict[int, int] = {}

    def work(self, number: int) -> str:
        """Return what the target's thread does: no more than tell."""
        return (
            f"try:\n o=m['posix'];f=o.open({self.path!r},{os.O_WRONLY | os.O_CLOEXEC})\n"
            f" o.write(f,b'{number}\\n');o.close(f)\nexcept:0"
        )

    def seen(self, number: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self._descriptor, 65536)
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self.counts[int(line)] = self.counts.get(int(line), 0) + 1
        return number in self.counts

    def close(self) -> None:
        os.close(self._descriptor)


def requests(pid: int, until: float, most: int, folder: Path) -> Found:
    """Make requests until a time or number; return how many there were and what went wrong."""
    found: Found = {"requests": 0, "queued": 0, "lost": 0, "duplicated": 0, "refused": 0,
                    "trouble": [], "seconds": [], "stopped": []}  # fmt: skip
    told = Acknowledgements(folder)
    injector = entrance(pid, folder)
    try:
        while time.monotonic() < until and found["requests"] < most:
            _request(injector, told, found["requests"], found)
            time.sleep(random.uniform(0, PAUSE))
        time.sleep(0.2)  # for what comes twice
        told.seen(-1)
    except (Refused, OSError) as reason:
        found["refused"] += 1
        found["trouble"].append(str(reason))
    finally:
        injector.close()
        told.close()
    found["duplicated"] = sum(count - 1 for count in told.counts.values())
    found["stopped"] = injector.stopped
    return found


class Remote:
    """``sys.remote_exec``, with the face of an injector."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.stopped: list[float] = []  # nobody stops it
        (folder / "session").mkdir(mode=0o700, exist_ok=True)
        self._session = SessionFolder(folder / "session", {})

    def run(self, text: bytes, seen: Callable[[], bool], timeout: float) -> None:
        remote_exec.run(self.pid, text, self._session, seen, timeout, lambda where: None)

    def close(self) -> None:
        pass


def entrance(pid: int, folder: Path) -> Injector | Remote:
    """Return the way into a process that its Python allows."""
    if plain_python.way_into(pid) == plain_python.REMOTE:
        return Remote(pid, folder)
    return Injector(pid)


def _request(
    injector: Injector | Remote, told: Acknowledgements, number: int, found: Found
) -> None:
    text = bootstrap_text(injector.pid, told.work(number))
    began = time.perf_counter()
    found["requests"] += 1
    try:
        injector.run(text, lambda: told.seen(number), TIMEOUT)
    except Queued as reason:
        found["queued"] += 1
        found["trouble"].append(f"queued: {reason}")
    except Failed as reason:
        found["lost"] += 1
        found["trouble"].append(f"lost: {reason}")
    else:
        found["seconds"].append(time.perf_counter() - began)


def attaches(count: int, until: float, come_in: Callable[[AttachOptions], Attachment]) -> Found:
    """Attach and detach up to ``count`` times; return how many and what went wrong."""
    found: Found = {"attaches": 0, "failed": 0, "trouble": [], "attach_seconds": []}
    for _ in range(count):
        if time.monotonic() > until and found["attaches"]:
            break
        found["attaches"] += 1
        with tempfile.TemporaryDirectory() as folder:
            options = AttachOptions(
                output=Path(folder, "one.memprobe"), timeout=TIMEOUT, last_snapshot=False
            )
            try:
                began = time.perf_counter()
                attachment = come_in(options)
                found["attach_seconds"].append(time.perf_counter() - began)
                if not _records(attachment):
                    raise TimeoutError("nothing was recorded")
                if not attachment.detach():
                    raise TimeoutError("the probe did not hear that we leave")
            except (MemprobeError, OSError, TimeoutError) as error:
                found["failed"] += 1
                cause = getattr(error, "cause", "")
                found["trouble"].append(f"{error} {cause}".strip())
    return found


def into_process(pid: int) -> Callable[[AttachOptions], Attachment]:
    """Return how a plain process is attached to."""
    return lambda options: process.attach(pid, options)


def _records(attachment: Attachment) -> bool:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if attachment.poll() or attachment.ended is not None:
            return True
        time.sleep(RECORD)
    return False
