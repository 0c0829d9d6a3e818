"""See the moment a probe's process ends or executes another program.

The probe holds the ``alive`` FIFO open for writing, close-on-exec. When the last writer is gone
the FIFO hangs up. A process that still exists then, with another memory image, has called exec.
Children that the process forked may hold it open too: so a probe that leaves writes a byte before,
and the end of the process itself is watched as well.
"""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path
from typing import Literal

LAST_STEPS = 200  # milliseconds
SETTLE = 0.5  # seconds for an exec to show its new command line
STACK_FIELD = 25  # of /proc/PID/stat after the command's name: where the stack starts


class AliveWatch:
    """``left`` is ``None`` while the probe is there, then ``exit``, ``exec`` or ``closed``.

    ``closed``: the process goes on as before, but it closed descriptors that it did not open.
    """

    def __init__(self, fifo: Path) -> None:
        self.left: Literal["exit", "exec", "closed"] | None = None
        self._descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake = os.pipe()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        """Watch process ``pid``. Signals blocked by the caller stay blocked in the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor < 0:
            return
        os.write(self._wake[1], b".")
        if self._thread is not None:
            self._thread.join()
        for descriptor in (self._descriptor, *self._wake):
            os.close(descriptor)
        self._descriptor = -1

    def _watch(self, pid: int) -> None:
        image = _settled_image(pid)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)  # a hang-up is always reported
        poll.register(self._wake[0], select.POLLIN)
        process = _process(pid)
        if process is not None:
            poll.register(process, select.POLLIN)
        try:
            seen = dict(poll.poll())
            if seen.get(self._descriptor, 0) & select.POLLIN:
                self._await_hang_up()
                self.left = "closed"  # the probe said so
            elif set(seen) - {self._wake[0]}:
                self.left = _how(pid, image)
        finally:
            if process is not None:
                os.close(process)

    def _await_hang_up(self) -> None:
        """Give the thread that is leaving a moment to end; a forked child keeps us no longer."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        poll.poll(LAST_STEPS)


def _process(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _how(pid: int, image: str) -> Literal["exit", "exec", "closed"]:
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        now = _image(pid)
        if now == "gone":
            return "exit"
        if now not in ("", image):
            return "exec"
        time.sleep(0.005)
    return "closed" if image else "exec"


def _settled_image(pid: int) -> str:
    """Return the image of a process that may just be beginning."""
    deadline = time.monotonic() + SETTLE
    while not (image := _image(pid)) and time.monotonic() < deadline:
        time.sleep(0.001)
    return image


def _image(pid: int) -> str:
    """Return what tells one memory image of a process from the next; ``gone`` after its end.

    The address where the stack starts is random for each exec. Empty: not readable just now.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
    except OSError:
        return "gone"
    if fields[0] in (b"Z", b"X"):
        return "gone"
    start = fields[STACK_FIELD].decode()
    return f"{start} {command!r}" if start != "0" and command else ""
