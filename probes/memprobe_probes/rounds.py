"""Rounds of a notebook's cells in a context that stays: marked, and a snapshot after each cell.

Whoever runs the cells sends, after each of them, one more that is only a comment (``SETTLE``): by
then nothing of the last cell's execution is held any more, and nothing runs yet. The snapshot is
taken on the probe's own thread, while that comment's cell waits before its beginning.
"""

from __future__ import annotations

import _thread

from . import bootstrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SETTLE = "# memprobe: settle"
LONGEST = 120.0  # seconds that a snapshot may take
UNHURRIED = 60.0  # seconds that nobody waits for: --max-pause does not apply between two cells
_VERB = "round-snapshot"


class Rounds:
    """Counts the cells of a notebook that has ``cells`` of them, and marks each round."""

    def __init__(self, probe: Any, cells: int) -> None:
        self._probe = probe
        self._cells = cells
        self._position = 0  # cells of this round that have ended
        self._number = 0
        self._taken = _thread.allocate_lock()

    def cell_begins(self) -> None:
        """Mark a round's beginning before its first cell."""
        if self._position == 0:
            self._number += 1
            self._mark("start")

    def cell_settled(self) -> None:
        """Take the snapshot after a cell, and mark the round's end after its last one."""
        self._snapshot()
        self._position += 1
        if self._position >= self._cells:
            self._mark("end")
            self._position = 0

    def _snapshot(self) -> None:
        self._taken.acquire(False)
        bootstrap.verbs[_VERB] = self._take
        try:
            if bootstrap.post(b'{"id":"","verb":"' + _VERB.encode() + b'"}'):
                self._taken.acquire(timeout=LONGEST)
        finally:
            bootstrap.verbs.pop(_VERB, None)

    def _take(self, probe: Any, args: dict[str, Any]) -> dict[str, Any]:
        """Take one on the probe's thread."""
        allowed = probe.config["max_pause"]
        probe.config["max_pause"] = UNHURRIED
        try:
            probe.snapshot("request")
        finally:
            probe.config["max_pause"] = allowed
            try:
                self._taken.release()
            except RuntimeError:  # nobody waits any more
                pass
        return {}

    def _mark(self, phase: str) -> None:
        name = f"round {self._number}"
        self._probe.recorder.write("marker", marker="phase", phase=phase, name=name)
