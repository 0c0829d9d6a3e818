"""Readings of the Spark application that this process drives: what, when, and at which cost.

Each part is read on its own: one that fails becomes a line of ``unmeasured``, with the reason.
No session is ever made, no function of PySpark is wrapped, nothing of the program's is changed.
"""

from __future__ import annotations

import _thread
import os
import time

from . import roots, spark_connect, spark_session
from .jvm_wire import Gateway, JvmError, JvmGone
from .spark_application import Application
from .spark_reading import place, reading_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


INTERVAL = 10.0  # seconds between two readings that nobody asked for
LEAST_REST = 0.5  # seconds between two readings of cells
READING = 5.0  # seconds that one reading waits for another
KEEP_ALIVE = 60.0  # seconds after which a reading is written that says nothing new
_FORCED = ("request", "step", "exit")  # reasons for which a reading is written in any case
USER_PATIENCE = 0.1  # seconds that the user's thread waits for the JVM at a cell's end


class SparkReader:
    """Reads the application at each cell's end, on request and at an interval.

    ``write`` takes the kind and the fields of a record. ``share`` is the part of one core that
    the readings may take. ``last_cell`` returns the last cell that had started; ``shell`` is the
    IPython shell of a notebook, or None.
    """

    def __init__(
        self, write: Callable[..., Any], share: float, last_cell: Callable[[], int | None],
        shell: Any,
    ) -> None:  # fmt: skip
        self._write = write
        self._share = max(share, 0.0001)
        self._last_cell = last_cell
        self._shell = shell
        self._pid = os.getpid()
        self._app: Application | None = None
        self._saw_none = False  # there was no application when we looked
        self._wanted: str | None = None
        self._next = 0.0
        self._next_interval = 0.0
        self._user_ns = 0
        self._closed = False
        self._connected: int | None = None  # sessions of Spark Connect that were told
        self._lock = _thread.allocate_lock()  # whoever follows another application
        self._reading = _thread.allocate_lock()
        self.failed = False  # by a mistake of ours: no reading any more, the rest goes on

    def look(self) -> bool:
        """See whether there is an application, and follow it; return whether there is one."""
        if self._closed or os.getpid() != self._pid:
            return False
        found = spark_session.find()
        if found is None:
            self._saw_none = True
            self._leave()
            return False
        if self._app is not None and self._app.key == found.key:
            return True
        if not self._lock.acquire(timeout=USER_PATIENCE):
            return False
        try:
            if self._app is None or self._app.key != found.key:
                self._leave()
                gateway = Gateway(found.address, found.port, found.token)
                self._app = Application(found, gateway, from_start=self._saw_none)
                self._next = self._next_interval = 0.0
        finally:
            self._lock.release()
        return True

    def cell_ended(self, cell: int | None) -> None:
        """On the user's thread: note what is cached now, in a few calls; the rest comes later."""
        started = time.monotonic_ns()
        try:
            app = self._app if self.look() else None
            if app is not None:
                app.levels.note(app.driver, cell, USER_PATIENCE)
                app.note(cell, USER_PATIENCE)
                self._wanted = "cell"
        except (JvmError, JvmGone):
            self._wanted = "cell"
        finally:
            self._user_ns += time.monotonic_ns() - started

    def due(self) -> str | None:
        """Return the reason of the reading that is due now, or None."""
        now = time.monotonic()
        if not self.look():
            return None
        if self._wanted is not None and now >= self._next:
            return self._wanted
        return "interval" if now >= self._next_interval else None

    def changed(self) -> bool:
        """Whether something was cached or let go since the last reading, or jobs have run.

        A handful of calls.
        """
        try:
            if self._app is None:
                return False
            rested = time.monotonic() >= self._next
            return self._app.changed(USER_PATIENCE) or (
                rested and self._app.worked(USER_PATIENCE)
            )  # fmt: skip
        except (JvmError, JvmGone):
            return False

    def settle(self) -> None:
        """Write where the JVM was at the ends of cells; of a script, where it is now."""
        app = self._app if self.look() else None
        if app is None:
            return
        try:
            self._settle(app, regular=self._shell is None)
        except Exception as error:
            self._fail(error)

    def read(self, reason: str, *, histogram: bool = False) -> None:
        """Read the application and write what is new. Never raises for what the JVM does.

        ``histogram``: count the objects on the JVM's heap by class, too; it stands still for that.
        """
        if not self.look() or self._app is None:
            self._read_connect(reason)
            return
        if not self._reading.acquire(timeout=READING):
            return  # another thread is at it, and the JVM is slow
        try:
            self._read(self._app, reason, histogram)
        except Exception as error:
            self._fail(error)
        finally:
            self._reading.release()

    def _fail(self, error: Exception) -> None:
        self.failed = True
        self._write("event", event="probe-error", detail=place(error))
        self.close()

    def _settle(self, app: Application, *, regular: bool, hurried: bool = False) -> None:
        for fields in app.levels.settle(app.driver, regular=regular, hurried=hurried):
            self._write("jvm-level", **fields)

    def _read(self, app: Application, reason: str, histogram: bool) -> None:
        started, cpu = time.monotonic_ns(), time.thread_time_ns()
        self._wanted = None
        self._settle(app, regular=False, hurried=True)
        fields = reading_of(app, reason, self._last_cell, self._shell, histogram=histogram)
        if app.driver.is_stopping():
            return  # what was read is what the program had not taken down yet
        fields["took_ns"] = time.monotonic_ns() - started
        if self._user_ns:
            fields["user_ns"], self._user_ns = self._user_ns, 0
        jvm = fields.pop("jvm", None)
        if app.news.worth_writing(fields, forced=reason in _FORCED, after=KEEP_ALIVE):
            self._write("spark", reason=reason, **fields)
            if jvm is not None:
                self._write("jvm", **jvm)
        self._rest((time.thread_time_ns() - cpu) / 1e9)

    def _read_connect(self, reason: str) -> None:
        """Say what there is to say about sessions of Spark Connect: once, and when asked."""
        if self._closed or os.getpid() != self._pid or spark_connect.session_class() is None:
            return
        started = time.monotonic_ns()
        fields = spark_connect.read(self._last_cell(), roots.named_roots(self._shell))
        if fields is None or (fields["sessions"] == self._connected and reason not in _FORCED):
            return
        self._connected = fields["sessions"]
        self._write("spark", reason=reason, took_ns=time.monotonic_ns() - started, **fields)

    def close(self) -> None:
        """Let go of everything in the JVM and close the connection. Safe to call twice."""
        self._closed = True
        self._leave()

    def abandon(self) -> None:
        """In a forked child: close the descriptor, say nothing."""
        self._closed = True
        if self._app is not None:
            self._app.driver.gateway.abandon()
            self._app = None

    def _leave(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            app.driver.drop()

    def _rest(self, cost: float) -> None:
        now = time.monotonic()
        self._next = now + max(LEAST_REST, cost / self._share)
        self._next_interval = now + max(INTERVAL, cost / self._share)
