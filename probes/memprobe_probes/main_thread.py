"""Running something between two cells, on the thread that runs the cells.

There no cell is in the middle of its work, and what an object's end runs (``__del__``, callbacks
of weak references) runs on the thread that its author expected.
"""

from __future__ import annotations

import _thread

from .notebook import cell_is_running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

START = 3.0  # seconds in which an idle main thread comes to it
LONGEST = 120.0  # seconds that it may take


def in_a_cell(shell: Any) -> bool:
    """Whether a cell is at work, also one that awaits something and is not on the stack.

    IPython notes a cell in its history when it begins, and counts it when it has ended.
    """
    if cell_is_running():
        return True
    history = getattr(getattr(shell, "history_manager", None), "input_hist_parsed", None)
    count = getattr(shell, "execution_count", None)
    return type(history) is list and type(count) is int and len(history) > count


class BetweenCells:
    """``work`` runs once on the main thread, if it comes to it in time, and else never."""

    def __init__(self, shell: Any, work: Callable[[], Any]) -> None:
        self._shell = shell
        self._work = work
        self._claim = _thread.allocate_lock()  # whoever gets it decides: run, or give up
        self._done = _thread.allocate_lock()
        self.started = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> str:
        """Return ``done``, ``busy`` where the thread did not come to it, ``late`` where it is
        still at it, or ``nowhere`` where there is no loop to ask."""
        loop = getattr(getattr(self._shell, "kernel", None), "io_loop", None)
        if loop is None or not callable(getattr(loop, "add_callback", None)):
            return "nowhere"
        self._done.acquire()
        loop.add_callback(self._on_main)
        if not self._done.acquire(timeout=START):
            if self._claim.acquire(blocking=False):
                return "busy"  # it will find the claim taken, and do nothing
            if not self._done.acquire(timeout=LONGEST):
                return "late"
        return "done" if self.started else "busy"

    def _on_main(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            if not in_a_cell(self._shell):
                self.started = True
                self.result = self._work()
        except BaseException as error:
            self.error = error
        finally:
            self._done.release()
