"""Whose turn it is: what the probe does on one thread at a time, without ever waiting for itself.

A magic takes its snapshot on the thread of the cells while the probe's own thread may be at one
that began earlier and ends later: then the older one would be the last of the recording.
"""

from __future__ import annotations

import _thread


class Turns:
    """A lock that says no to the thread that has it already, and whose wait has an end."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._taken_by: int | None = None

    def take(self, patience: float) -> bool:
        """Return whether it is this thread's turn now; wait ``patience`` seconds for it."""
        me = _thread.get_ident()
        # A signal's handler or a collection can come back here in the midst of our own turn.
        if self._taken_by == me:
            return False
        if not self._lock.acquire(timeout=patience):
            return False
        self._taken_by = me
        return True

    def give_back(self) -> None:
        """End this thread's turn."""
        self._taken_by = None
        self._lock.release()
