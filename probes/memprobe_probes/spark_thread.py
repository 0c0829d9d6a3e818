"""A thread that reads Spark in a script, from when there is a context until there is none.

A script gets no thread of ours while it may have just one itself. A driver of PySpark has others
already, and while it waits for the JVM it allocates nothing from which we could be called.
"""

from __future__ import annotations

import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TURN = 1.0  # seconds between two looks at what is cached
_PARTING = 3.0  # seconds that a reading may still take when we are told to stop


class SparkThread:
    """Reads the Spark application of ``probe``'s process. Its methods never raise."""

    def __init__(self, probe: Any) -> None:
        self._probe = probe
        self._pid = os.getpid()
        self._running = False
        self._stopped = False
        self._alarm = _thread.allocate_lock()  # held while there is nothing to wake up for
        self._ended = _thread.allocate_lock()  # held while the thread runs

    def ensure(self) -> None:
        """Start the thread where there is a SparkContext and no thread yet; else a look-up."""
        if self._running or self._stopped or "pyspark" not in sys.modules:
            return
        try:
            reader = self._probe.spark()
            if reader is None or reader.failed or not reader.look():
                return
            self._alarm.acquire(False)
            self._ended.acquire(False)
            self._running = True
            _thread.start_new_thread(self._run, ())
        except Exception:
            self._running = False

    def stop(self) -> None:
        """End the thread and wait for it, three seconds at most."""
        self._stopped = True
        if not self._running or os.getpid() != self._pid:
            return
        try:
            self._alarm.release()
        except RuntimeError:  # it is awake
            pass
        if self._ended.acquire(timeout=_PARTING):
            self._ended.release()

    def _run(self) -> None:
        try:
            while not self._stopped and self._probe.alive and self._turn():
                self._alarm.acquire(timeout=TURN)
        except BaseException:
            pass
        finally:
            self._running = False
            self._ended.release()

    def _turn(self) -> bool:
        """Read where something has changed or a reading is due; False: the context is gone."""
        present = False
        with self._probe.guarded(on_user_thread=False):
            reader = self._probe.spark()
            present = reader.look() and not reader.failed
            if present:
                reader.settle()
                reason = reader.due() or ("interval" if reader.changed() else None)
                if reason is not None:
                    reader.read(reason)
        return present
