"""Process counters of the process this runs in, and what the probe itself costs.

All sizes are bytes, all times nanoseconds. A counter that the platform does not offer is None.
"""

from __future__ import annotations

import gc
import os
import time

from .descriptors import close_own, identity, out_of_the_way

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Counters:
    """RSS from a kept-open ``/proc/self/statm`` (1 µs), high-water mark, GC counts."""

    def __init__(self) -> None:
        self._statm = out_of_the_way(_open("/proc/self/statm"))
        self._file = identity(self._statm)
        self.peak = 0  # true maximum, kept across resets of the kernel's own mark

    def rss(self) -> int | None:
        """Return the resident bytes now."""
        if self._statm < 0:
            return None
        try:
            rss = int(os.pread(self._statm, 128, 0).split()[1]) * PAGE
        except (OSError, ValueError, IndexError):
            return None
        self.peak = max(self.peak, rss)
        return rss

    def high_water(self) -> int | None:
        """Return the kernel's high-water mark of RSS since the last reset."""
        peak = _status_bytes(b"VmHWM:")
        if peak is not None:
            self.peak = max(self.peak, peak)
        return peak

    def reset_high_water(self) -> bool:
        """Reset the kernel's mark, keeping the true maximum; False where that is refused.

        This also lowers the ``ru_maxrss`` that the process and its parent read.
        """
        self.high_water()
        fd = _open("/proc/self/clear_refs", os.O_WRONLY)
        if fd < 0:
            return False
        try:
            return os.write(fd, b"5") == 1
        except OSError:
            return False
        finally:
            os.close(fd)

    def read(self) -> dict[str, Any]:
        """Return the fields of one sample, without the probe's own cost."""
        return {
            "by": "probe",
            "rss": self.rss(),
            "peak": self.peak or None,
            "gc": list(gc.get_count()),
            "collections": [generation["collections"] for generation in gc.get_stats()],
            "threads": _threads(),
        }

    def close(self) -> None:
        """Close the kept-open file. Safe to call twice."""
        fd, self._statm = self._statm, -1
        close_own(fd, self._file)


# What a routine snapshot is taken to cost before there was one, in ns.
FIRST_COST = 10_000_000
IDLE = 4  # so many seconds in which a script does not work count as one


class Governor:
    """Keeps the probe under ``share`` of one core by spacing what is expensive.

    Work of ``cost`` ns buys a rest of ``cost / share``: the next expensive piece is due only
    when that rest is over. ``cpu_ns`` is everything the probe has used, ``user_ns`` the part
    spent on the user's own thread.

    ``by_work``: a rest is counted in what the process works, and a quarter of what it waits. On a
    machine that is busy with others, a script gets on slowly: measured as often as on an idle
    one, it would pay several times the share.
    """

    def __init__(self, share: float, minimum_rest: float = 1.0, *, by_work: bool = False) -> None:
        self.share = max(share, 0.0001)
        self.minimum_rest_ns = int(minimum_rest * 1e9)
        self.cpu_ns = 0
        self.user_ns = 0
        self._by_work = by_work
        self._began = time.monotonic_ns(), time.process_time_ns()
        # The first one waits as if one had been taken: a program of a few seconds has its last.
        self._next = int(FIRST_COST / (self.share / 4))

    def spent(self, cost: int, *, on_user_thread: bool) -> None:
        """Account ``cost`` ns of the probe's own work."""
        self.cpu_ns += cost
        if on_user_thread:
            self.user_ns += cost

    def rest_after(self, cost: int, *, routine: bool = False) -> None:
        """Make the next expensive piece wait for what this one cost.

        A ``routine`` piece may take a quarter of the share only, for whatever else is to come;
        and it waits a hundredth of what has passed: a day needs hundreds of them, not a hundred
        thousand.
        """
        now = self._passed()
        share = self.share / 4 if routine else self.share
        passed = now // 100 if routine else 0
        self._next = now + max(self.minimum_rest_ns, int(cost / share), passed)

    def due(self) -> bool:
        """Whether an expensive piece may be done now."""
        return self._passed() >= self._next

    @property
    def next_due(self) -> int:
        """Monotonic ns before which ``due()`` is not true."""
        return time.monotonic_ns() + max(0, self._next - self._passed())

    def _passed(self) -> int:
        """Return the ns since the start, as they count."""
        wall = time.monotonic_ns() - self._began[0]
        if not self._by_work:
            return wall
        worked = min(wall, time.process_time_ns() - self._began[1])
        return worked + (wall - worked) // IDLE

    def report(self, written: int) -> dict[str, int]:
        """Return the ``cost`` field of a sample."""
        return {"cpu_ns": self.cpu_ns, "user_ns": self.user_ns, "bytes": written}


def cpu_seconds() -> float | None:
    """Return the CPU time of this process and of its children that have ended."""
    if resource is None:
        return None
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _open(path: str, flags: int = os.O_RDONLY) -> int:
    try:
        return os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return -1


def _status_bytes(label: bytes) -> int | None:
    fd = _open("/proc/self/status")
    if fd < 0:
        return None
    try:
        text = os.read(fd, 8192)
    except OSError:
        return None
    finally:
        os.close(fd)
    start = text.find(label)
    if start < 0:
        return None
    return int(text[start + len(label) :].split(None, 1)[0]) * 1024


def _threads() -> int | None:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return None
