"""The memory account of this process as records: the cheap one now and then, the full one with a
snapshot.

Read-only: totals from ``smaps_rollup``, what malloc, Arrow and Python say of themselves, and the
buckets that the walker's copy has counted. What is not there is None, with the reason beside it.
"""

from __future__ import annotations

import os
import sys
import time

from . import account_words, limits
from .account_context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

EVERY = 10.0  # seconds between two cheap accounts
DEAR_NS = 2_000_000  # from here on malloc is asked a hundredth of the time at most
ROLE = "driver-python"
_TOTALS = {b"Rss:": "rss", b"Pss:": "pss", b"Swap:": "swap", b"Anonymous:": "anonymous"}


class Accountant:
    """Takes the accounts of the process ``pid``, which is this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.context = Context(pid)
        self._next = 0.0
        self._ask_malloc_again = 0

    def due(self) -> bool:
        """Whether it is time for a cheap account."""
        return time.monotonic() >= self._next

    def cheap(self, walker: Any, why: str | None = None) -> dict[str, Any]:
        """Return the fields of an account without buckets. ``why``: there are none."""
        began = time.monotonic_ns()
        self._next = time.monotonic() + EVERY
        fields = self._allocators(walker)
        totals = totals_of(self.pid)
        if totals is not None:
            fields["processes"] = [{"pid": self.pid, "role": ROLE, **totals}]
        if why is not None:
            fields["unmeasured"] = [{"what": "the memory account in buckets", "why": why}]
        fields["took_ns"] = fields["pause_ns"] = time.monotonic_ns() - began
        return fields

    def full(
        self, words: Sequence[int], walker: Any, reason: str, *, waiting: bool
    ) -> dict[str, Any]:
        """Return the fields of an account in buckets, from the walker's words.

        ``waiting``: the program waits for it; then only what is quick is asked.
        """
        balance = account_words.Balance(words)
        began = time.monotonic_ns()
        fields = self._allocators(walker)
        rows, unmeasured = self.context.rows(reason, walker, waiting=waiting)
        fields["full"] = True
        fields["processes"] = [balance.process(self.pid, ROLE), *rows]
        fields["neighbours"] = self.context.neighbours(rows)
        fields["unmeasured"] = balance.unmeasured() + unmeasured
        fields["pause_ns"] = time.monotonic_ns() - began
        fields["took_ns"] = fields["pause_ns"] + balance.took_ns
        self._next = time.monotonic() + EVERY
        return fields

    def _allocators(self, walker: Any) -> dict[str, Any]:
        """Return what allocators say of themselves."""
        used, free = self._malloc(walker)
        live, backend = account_words.arrow_pool()
        return {
            "malloc_used": used, "malloc_free": free, "arrow_live": live, "arrow_backend": backend,
            "python_blocks": getattr(sys, "getallocatedblocks", lambda: None)(),
            "limit_used": limits.used(),
        }  # fmt: skip

    def _malloc(self, walker: Any) -> tuple[int | None, int | None]:
        """Ask malloc; with many free pieces that takes long, and is then done seldom."""
        began = time.monotonic_ns()
        if walker is None or began < self._ask_malloc_again:
            return None, None
        told = walker.malloc()
        took = time.monotonic_ns() - began
        if took > DEAR_NS:
            self._ask_malloc_again = began + 100 * took
        return told if told is not None else (None, None)


def totals_of(pid: int) -> dict[str, int] | None:
    """Return the totals of a process's memory in bytes, or None where they cannot be read."""
    text = _content(f"/proc/{pid}/smaps_rollup")
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] in _TOTALS:
            found[_TOTALS[words[0]]] = int(words[1]) * 1024
    return found if "rss" in found else None


def _content(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 16)
    except OSError:  # it has ended
        return b""
    finally:
        os.close(fd)
