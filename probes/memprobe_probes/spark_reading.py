"""One reading of a Spark application: its parts, each on its own."""

from __future__ import annotations

import os
import time

from . import (
    roots,
    spark_blocks,
    spark_broadcasts,
    spark_caches,
    spark_connect,
    spark_counts,
    spark_executors,
    spark_holders,
    spark_jvm,
    spark_rows,
    spark_streams,
    spark_views,
)
from .jvm_wire import Handle, JvmError, JvmGone
from .spark_frames import SESSION
from .spark_reach import Reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .spark_application import Application
    from .spark_caches import Cache
    from .spark_holders import Names

_ATTEMPTS = 3  # to see what is cached while no cell begins
HISTOGRAM = 60.0  # seconds that a JVM may take to count what is on its heap
LEARNING = 0.5  # seconds of one reading for frames that were not seen before


def reading_of(
    app: Application, reason: str, last_cell: Callable[[], int | None], shell: Any, *,
    histogram: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields of a reading; a part that could not be read is None, and said.

    ``last_cell`` returns the last cell that had started.
    """
    fields: dict[str, Any] = {"mode": "classic", "cell": last_cell(), "unmeasured": []}
    reading = Reading(app, fields, reason, last_cell, shell)
    reading.part("the application", reading.identity)
    if app.driver.app is not None:
        reading.part("cached data", reading.read_caches)
        reading.part("how often caches were read", reading.read_reads)
        reading.part("broadcasts", reading.read_broadcasts)
        reading.part("executors", reading.read_executors)
        reading.part("streaming queries", reading.read_streams)
        reading.part("counters", reading.read_counts)
        reading.part("the driver's JVM", reading.read_jvm)
        if histogram:
            reading.part("classes of the driver's JVM", reading.read_histogram)
    return fields


class Reading:
    """One reading: its parts fill ``fields`` one after the other."""

    def __init__(
        self, app: Application, fields: dict[str, Any], reason: str,
        last_cell: Callable[[], int | None], shell: Any,
    ) -> None:  # fmt: skip
        self.app = app
        self.reason = reason
        self.fields = fields
        self.cell: int | None = fields["cell"]
        self._last_cell = last_cell
        self.shell = shell
        self.gone = False
        self.t = time.monotonic_ns()
        self._names: Names | None = None

    def part(self, what: str, read: Callable[[], None]) -> None:
        """Read one part in a scope of its own; say why where that fails."""
        if self.gone:
            return
        try:
            with self.app.driver.gateway.scope():
                read()
        except JvmGone as error:
            self.gone = True
            self.unmeasured(what, f"the driver's JVM could not be asked: {error}")
        except JvmError as error:
            self.unmeasured(what, f"the driver's JVM threw {error.java_class}")
        except Exception as error:
            self.unmeasured(what, f"memprobe failed: {place(error)}")

    def unmeasured(self, what: str, why: str) -> None:
        """Say that something was not measured."""
        self.fields["unmeasured"].append({"what": what, "why": why})

    def identity(self) -> None:
        """Fill in what names the application."""
        driver = self.app.driver
        driver.identify()
        self.fields.update(app=driver.app, version=driver.version, master=driver.master)
        self.fields["shared"] = driver.shared()

    def read_caches(self) -> None:
        """Fill in the caches with all that reaches them."""
        app, driver = self.app, self.app.driver
        present = self._present()
        app.frames.look(driver.found)
        app.frames.learn(driver, LEARNING, trees=bool(present))
        reach, known = self._reach(present)
        self._sizes()
        self._rows(present, reach, known)

    def _present(self) -> list[Cache]:
        """Return what is cached now; what is new was made by the cell that runs, or just ran.

        Cells go on while we look: only where none began meanwhile is it known which one that is.
        """
        app, driver = self.app, self.app.driver
        for _ in range(_ATTEMPTS):
            rdds = spark_caches.persistent(driver)
            for cell, data, numbers in app.pending():
                noted = numbers.split(",")
                then = {number: rdd for number, rdd in rdds.items() if str(number) in noted}
                app.caches.read_from(driver, self.t, cell, data, then)
                if data is not None:
                    driver.gateway.release(data)
            self.cell = self.fields["cell"] = self._last_cell()
            rdds = spark_caches.persistent(driver)
            data, app.noted = app.state()
            if not app.noted_since() and self._last_cell() == self.cell:
                break
        return app.caches.read_from(driver, self.t, self.cell, data, rdds)

    def read_reads(self) -> None:
        """Fill in how often each cache was read."""
        app = self.app
        app.reads.read(app.driver, app.caches.present, self.t, self.cell)
        spark_rows.add_reads(self.fields.get("caches") or [], app.reads)
        if app.reads.late:
            self.unmeasured("reads of the last jobs", "more jobs than one reading looks at")

    def read_executors(self) -> None:
        """Fill in the executors."""
        app = self.app
        if app.executors is None:
            app.executors = spark_executors.Executors(str(app.driver.app))
            app.pid = spark_jvm.pid_on_this_host(app.driver.gateway)
        rows = self.fields["executors"] = app.executors.read(app.driver, app.pid)
        if app.sizes is not None and app.sizes[1] >= self.t:
            # Spark's own sum takes the file of a destroyed broadcast for two.
            disk = app.sizes[0].on_disk()
            for row in rows:
                if row["active"]:
                    row["disk"] = disk.get(row["id"], 0)
        for what, why in app.executors.unmeasured():
            self.unmeasured(what, why)

    def read_broadcasts(self) -> None:
        """Fill in the broadcasts that Python made."""
        app = self.app
        if not app.frames.classified:
            self.unmeasured("broadcasts", "not every reference into the JVM was looked up yet")
            return
        blocks = None if app.sizes is None else app.sizes[0]
        names = self.names() if app.frames.of_kind(spark_broadcasts.KIND) else None
        held = spark_broadcasts.held(app.frames, names)
        gateway = app.driver.gateway
        self.fields["broadcasts"] = app.broadcasts.read(gateway, held, blocks, self.t, self.cell)

    def read_streams(self) -> None:
        """Fill in the streaming queries that run."""
        session = self._session()
        gateway = self.app.driver.gateway
        self.fields["streams"] = [] if session is None else spark_streams.read(gateway, session)

    def read_counts(self) -> None:
        """Fill in how much the driver and this process remember."""
        self.fields.update(spark_counts.read(self.app.driver, self._session()))

    def read_jvm(self) -> None:
        """Read the JVM itself, for a record of its own."""
        self.fields["jvm"] = {**spark_jvm.read(self.app.driver.gateway), "cell": self.cell}

    def read_histogram(self) -> None:
        """Count the objects on the JVM's heap by class: it stands still, a second per GB or so."""
        gateway = self.app.driver.gateway
        with gateway.scope(HISTOGRAM):
            self.fields["jvm"]["histogram"] = spark_jvm.histogram(gateway)

    def names(self) -> Names:
        """Return the names that lead to objects of PySpark, looked up once in a reading."""
        if self._names is None:
            self._names = spark_holders.names_of(roots.named_roots(self.shell))
        return self._names

    def _session(self) -> Handle | None:
        """Return a session that has made what sessions share: to ask another would make it."""
        driver = self.app.driver
        return spark_caches.session(driver) if spark_caches.cached_data(driver) else None

    def _reach(self, present: list[Cache]) -> tuple[Reach, bool]:
        app, driver = self.app, self.app.driver
        reach = Reach(present)
        if present:
            reach.add_frames(driver.found, app.frames, self.names())
        sessions = spark_views.sessions_of(
            driver, app.frames.of_kind(SESSION), spark_caches.session(driver)
        )
        self.fields["sessions"] = len(sessions) or None
        known = app.frames.known and not self._has_connect_frames()
        if present:
            for name, tree in app.views.read(driver, sessions):
                reach.add_view(name, tree)
            known = known and app.views.known
            session = self._session()
            for tree in app.streams.read(driver, session) if session is not None else ():
                reach.add_other("spark.streams.active", tree)
        return reach, known

    def _has_connect_frames(self) -> bool:
        """Whether frames of Spark Connect may reach caches: the JVM has no object for these."""
        if not spark_connect.alive():
            return False
        self.unmeasured(
            "caches that frames of Spark Connect reach", "their plans are not asked for"
        )
        return True

    def _sizes(self) -> None:
        """List the blocks: when asked for or at a cell's end now, else when it is not too soon."""
        app = self.app
        try:
            if self.reason == "interval" and not app.stored_more():
                found = app.blocks.listed(app.driver)
            else:
                found = spark_blocks.listed(app.driver)
        except spark_blocks.TooMany as error:
            self.unmeasured("stored blocks, of caches and of broadcasts", str(error))
            app.sizes = None
            return
        if found is not None:
            app.sizes = found, time.monotonic_ns()
            app.listed()
            self.fields["blocks"] = found.by_kind()

    def _rows(self, present: list[Cache], reach: Reach, known: bool) -> None:
        shared = bool(self.fields.get("shared"))
        rows = spark_rows.of_caches(present, reach, self.app.sizes, known=known, shared=shared)
        self.fields["caches"] = rows[: spark_rows.MOST_CACHES]
        if len(rows) > spark_rows.MOST_CACHES:
            left = len(rows) - spark_rows.MOST_CACHES
            self.unmeasured(f"{left} more caches", "only the largest are listed")
        if reach.left_out:
            left = sum(reach.left_out.values())
            self.unmeasured(f"{left} more names of caches", "20 of each are listed")


def place(error: BaseException) -> str:
    """Say what failed without a word of the user's: type, and our file and line."""
    step, found = error.__traceback__, ""
    while step is not None:
        found = f"{os.path.basename(step.tb_frame.f_code.co_filename)}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {found}"
