"""Where the main thread of a process is, as a person wants to read it."""

from __future__ import annotations

import time

_CALLS = {
    0: "read", 1: "write", 7: "poll", 17: "pread", 23: "select", 34: "pause", 35: "nanosleep",
    42: "connect", 43: "accept", 44: "sendto", 45: "recv", 46: "sendmsg", 47: "recvmsg",
    61: "wait4", 72: "fcntl", 73: "flock", 74: "fsync", 128: "sigtimedwait", 130: "sigsuspend",
    202: "futex", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 270: "pselect",
    271: "ppoll", 281: "epoll_pwait", 288: "accept", 441: "epoll_pwait2",
}  # fmt: skip  # x86_64
_WORDS = {
    "futex": "waiting for a lock", "nanosleep": "asleep", "clock_nanosleep": "asleep",
    "pause": "waiting for a signal", "wait4": "waiting for a child",
    "waitid": "waiting for a child",
}  # fmt: skip
_LONG = 2.0  # seconds from which the time is told


class MainThread:
    """Looks now and then at where the main thread of ``pid`` is, and for how long it has been."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen = ""
        self._since = time.monotonic()

    def where(self) -> str:
        """Return such as ``the main thread is in `recv` for 40 s``; never raises."""
        now = self._look()
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        place = _described(now)
        seconds = time.monotonic() - self._since
        return f"{place} for {seconds:.0f} s" if seconds >= _LONG else place

    def _look(self) -> str:
        folder = f"/proc/{self._pid}/task/{self._pid}"
        try:
            with open(f"{folder}/syscall", encoding="ascii") as file:
                call = file.read().split()
            with open(f"{folder}/status", encoding="ascii", errors="replace") as file:
                switches = [x.split()[1] for x in file if x.startswith("voluntary_ctxt")]
        except (OSError, IndexError):
            return "unknown"
        if not call or not call[0].lstrip("-").isdecimal():
            return "running"
        return " ".join([call[0], *switches])


def _described(seen: str) -> str:
    number = seen.split()[0]
    if number == "running":
        return "the main thread runs, perhaps C code that holds the GIL"
    name = _CALLS.get(int(number)) if number.lstrip("-").isdecimal() else None
    if name is None:
        return "the main thread is in the kernel"
    if name in _WORDS:
        return f"the main thread is {_WORDS[name]}"
    return f"the main thread is in `{name}`"
