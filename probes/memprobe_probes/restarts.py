"""Cells that restart a Databricks notebook's Python: told before they run.

``dbutils.library.restartPython()`` and ``%restart_python`` end the process in the middle of the
cell; how, and whether exit handlers run, is Databricks' affair. So the recording says beforehand
what is about to happen, and takes it back where the process has outlived the cell.
"""

from __future__ import annotations

import os
import re

from .databricks import RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESTARTS = re.compile(r"^\s*%restart_python\b|\blibrary\s*\.\s*restartPython\s*\(", re.MULTILINE)
REASON = "restarted"
LONGEST_CELL = 100_000  # characters that are looked at


class Restarts:
    """Watches the cells of ``shell`` and sets ``probe.parting``. Its callbacks never raise."""

    def __init__(self, probe: Any, shell: Any) -> None:
        self._probe = probe
        self._events = shell.events

    def install(self) -> bool:
        """Begin; return False where this is not Databricks."""
        if RUNTIME not in os.environ:
            return False
        self._events.register("pre_run_cell", self._before)
        self._events.register("post_run_cell", self._after)
        return True

    def remove(self) -> None:
        """Take the callbacks away."""
        for name, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            try:
                self._events.unregister(name, callback)
            except Exception:
                continue

    def _before(self, info: Any = None) -> None:
        try:
            if RESTARTS.search(str(getattr(info, "raw_cell", ""))[:LONGEST_CELL]):
                self._probe.parting = REASON
                self._probe.event("restarting", "the cell restarts the notebook's Python")
        except Exception:
            pass

    def _after(self, result: Any = None) -> None:
        try:
            if self._probe.parting is not None:
                self._probe.parting = None
                self._probe.event("not-restarted")
        except Exception:
            pass
