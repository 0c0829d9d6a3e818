"""The driver as a machine of its own: its processes see each other, and nobody else's.

A PID namespace with its own ``/proc``, where this user may make one (root, or a kernel that lets
everybody): its first process ends with us, and all others with it. Elsewhere the driver's processes
are ordinary ones, beside all that runs on this machine.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import time
from pathlib import Path

SPACE = ["--user", "--map-root-user", "--pid", "--mount-proc", "--fork", "--kill-child"]
FIRST = "cat"


class Machine:
    """A place for processes."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self._init: subprocess.Popen[bytes] | None = None
        if is_possible():
            # Its first process reads from us: it sees our end, however that comes.
            self._init = subprocess.Popen(
                ["unshare", *SPACE, FIRST], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            first = _child(self._init.pid)
            self.inside = ["nsenter", "--target", str(first), "--user", "--pid", "--mount"]
            self.inside += ["--preserve-credentials"]

    def command(self, argv: list[str], folder: Path) -> list[str]:
        """Return what runs ``argv`` in there, in ``folder``."""
        return [*self.inside, f"--wdns={folder}", "--", *argv] if self.inside else argv

    def stop(self) -> None:
        """Kill everything that is in there."""
        if self._init is not None:
            assert self._init.stdin is not None
            self._init.stdin.close()
            self._init.kill()
            self._init.wait()


@functools.lru_cache(maxsize=1)
def is_possible() -> bool:
    """Whether this user may make such a place."""
    try:
        return subprocess.run(["unshare", *SPACE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def process_of(started: subprocess.Popen[bytes], isolated: bool) -> int:
    """Return the PID of what ``Machine.command`` runs, as we see it; of itself where it has ended.

    Entering takes a process of its own, which waits for the one inside.
    """
    listed = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    while isolated and started.poll() is None:
        with contextlib.suppress(OSError):
            children = listed.read_text().split()
            if children:
                return int(children[0])
        time.sleep(0.005)
    return started.pid


def inner_pid(pid: int) -> int:
    """Return the PID that a process has for those in there with it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid


def _child(pid: int) -> int:
    """Return the one child of a process, once it is there and has become what it shall be."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        with contextlib.suppress(OSError):
            for child in listed.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == FIRST:
                    return int(child)
        time.sleep(0.01)
