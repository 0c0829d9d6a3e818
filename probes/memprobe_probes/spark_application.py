"""One Spark application: what is known of it, and one reading of all its parts."""

from __future__ import annotations

import os
import time

from . import (
    roots,
    spark_blocks,
    spark_caches,
    spark_executors,
    spark_holders,
    spark_jvm,
    spark_views,
)
from .jvm_wire import Gateway, Handle, JvmError, JvmGone
from .spark_caches import Caches
from .spark_frames import SESSION, Frames
from .spark_reach import Reach
from .spark_reads import Reads
from .spark_session import Driver
from .spark_views import Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .spark_caches import Cache
    from .spark_session import Found

MOST_CACHES = 200
LEARNING = 0.5  # seconds of one reading for frames that were not seen before
_COUNTERS = ("t", "took_ns", "user_ns", "python_objects", "jvm_objects", "accumulators",
             "executions", "jobs", "stages", "blocks", "streams", "unmeasured")  # fmt: skip


class Application:
    """What is known of the application that ``found`` belongs to.

    ``from_start``: the probe was there before it, so everything in it appeared while we looked.
    """

    def __init__(self, found: Found, gateway: Gateway, *, from_start: bool) -> None:
        self.key = found.key
        self.driver = Driver(found, gateway)
        self.caches = Caches(from_start)
        self.frames = Frames()
        self.views = Views()
        self.blocks = spark_blocks.BlockReader()
        self.executors: spark_executors.Executors | None = None
        self.pid: int | None = None  # of the JVM, where that is on this host
        self._pending: list[tuple[int | None, Handle | None, str]] = []
        self._noted: tuple[int, str] | None = None  # what was cached at the last note
        self.reads = Reads()
        self.sizes: tuple[spark_blocks.Blocks, int] | None = None  # and when they were listed
        self._written: tuple[Any, float] | None = None

    def note(self, cell: int | None, patience: float) -> None:
        """Keep what is cached now for the next reading: it was made by ``cell``."""
        gateway = self.driver.gateway
        with gateway.scope(patience):
            self.reads.cell_ended(cell, self.reads.total(self.driver))
            data, state = self._state()
            if state == self._noted:
                return
            self._noted = state
            if len(self._pending) < 50:
                kept = None if data is None else gateway.keep(data)
                self._pending.append((cell, kept, state[1]))

    def changed(self, patience: float) -> bool:
        """Whether something was cached or let go since the last reading or note."""
        with self.driver.gateway.scope(patience):
            return self._state()[1] != self._noted

    def read(self, reason: str, cell: int | None, shell: Any) -> dict[str, Any]:
        """Return the fields of a reading; a part that could not be read is None, and said."""
        fields: dict[str, Any] = {"mode": "classic", "cell": cell, "unmeasured": []}
        reading = Reading(self, fields, reason, cell, shell)
        reading.part("the application", reading.identity)
        if self.driver.app is not None:
            reading.part("cached data", reading.read_caches)
            reading.part("how often caches were read", reading.read_reads)
            reading.part("executors", reading.read_executors)
            reading.part("the driver's JVM", reading.read_jvm)
        return fields

    def worth_writing(self, fields: dict[str, Any], *, forced: bool, after: float) -> bool:
        """Whether a reading says something new, or the last one is older than ``after`` seconds."""
        now = time.monotonic()
        new = {name: value for name, value in fields.items() if name not in _COUNTERS}
        before = self._written
        if not forced and before is not None and before[0] == new and now - before[1] < after:
            return False
        self._written = new, now
        return True

    def pending(self) -> Iterator[tuple[int | None, Handle | None, str]]:
        """Yield what was noted at the ends of cells, the oldest first, and forget it."""
        while self._pending:
            yield self._pending.pop(0)

    def _state(self) -> tuple[Handle | None, tuple[int, str]]:
        """Return the sequence of cached plans, and what tells this state from the next."""
        gateway = self.driver.gateway
        data = spark_caches.cached_data(self.driver)
        identity = 0
        if data is not None:
            identity = int(gateway.static("java.lang.System", "identityHashCode", data))
        table = gateway.call(self.driver.context(), "persistentRdds")
        numbers = str(gateway.call(gateway.call(table, "keys"), "mkString", ","))
        return data, (identity, numbers)


class Reading:
    """One reading: its parts fill ``fields`` one after the other."""

    def __init__(
        self, app: Application, fields: dict[str, Any], reason: str, cell: int | None, shell: Any
    ) -> None:
        self.app = app
        self.reason = reason
        self.fields = fields
        self.cell = cell
        self.shell = shell
        self.gone = False
        self.t = time.monotonic_ns()

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
        rdds = spark_caches.persistent(driver)
        for cell, data, numbers in app.pending():
            then = {
                number: rdd for number, rdd in rdds.items() if str(number) in numbers.split(",")
            }
            app.caches.read_from(driver, self.t, cell, data, then)
            if data is not None:
                driver.gateway.release(data)
        data, app._noted = app._state()
        present = app.caches.read_from(driver, self.t, self.cell, data, rdds)
        app.frames.look(driver.found)
        app.frames.learn(driver, LEARNING, trees=bool(present))
        self.fields["python_objects"] = app.frames.total
        reach, known = self._reach(present)
        self._sizes()
        self._rows(present, reach, known)

    def read_reads(self) -> None:
        """Fill in how often each cache was read."""
        app, rows = self.app, self.fields.get("caches")
        app.reads.read(app.driver, app.caches.present, self.t, self.cell)
        self.fields["jobs"] = app.reads.jobs
        uses = app.reads.uses
        for row in rows or ():
            use = uses.get(row["rdd"])
            if row["rdd"] is None:
                row["reads"] = 0
            elif use is not None and (use.reads or (app.reads.whole and not app.reads.late)):
                row.update(reads=use.reads, read_cell=use.cell, read_t=use.t)
        if app.reads.late:
            self.unmeasured("reads of the last jobs", "more jobs than one reading looks at")

    def read_executors(self) -> None:
        """Fill in the executors."""
        app = self.app
        if app.executors is None:
            app.executors = spark_executors.Executors(str(app.driver.app))
            app.pid = spark_jvm.pid_on_this_host(app.driver.gateway)
        self.fields["executors"] = app.executors.read(app.driver, app.pid)

    def read_jvm(self) -> None:
        """Read the JVM itself, for a record of its own."""
        self.fields["jvm"] = {**spark_jvm.read(self.app.driver.gateway), "cell": self.cell}

    def _reach(self, present: list[Cache]) -> tuple[Reach, bool]:
        app, driver = self.app, self.app.driver
        names = spark_holders.names_of(roots.named_roots(self.shell)) if present else None
        reach = Reach(present)
        if names is not None:
            reach.add_frames(driver.found, app.frames, names)
        sessions = spark_views.sessions_of(
            driver, app.frames.of_kind(SESSION), spark_caches.session(driver)
        )
        self.fields["sessions"] = len(sessions) or None
        known = app.frames.known
        if present:
            for name, tree in app.views.read(driver, sessions):
                reach.add_view(name, tree)
            known = known and app.views.known
        return reach, known

    def _sizes(self) -> None:
        """List the blocks: when asked for or at a cell's end now, else when it is not too soon."""
        app = self.app
        try:
            if self.reason == "interval" and app.sizes is not None:
                found = app.blocks.listed(app.driver)
            else:
                found = spark_blocks.listed(app.driver)
        except spark_blocks.TooMany as error:
            self.unmeasured("sizes of caches", str(error))
            app.sizes = None
            return
        if found is not None:
            app.sizes = found, time.monotonic_ns()

    def _rows(self, present: list[Cache], reach: Reach, known: bool) -> None:
        blocks, listed = self.app.sizes or (None, 0)
        sizes = {} if blocks is None else blocks.of("rdd")
        stored = {} if blocks is None else _stored(blocks)
        shared = bool(self.fields.get("shared"))
        rows = []
        for cache in present:
            row = _row(cache, reach, known, shared)
            if blocks is not None and (cache.since is None or cache.since <= listed):
                _add_sizes(row, sizes, stored)
            rows.append(row)
        rows.sort(key=lambda row: -(row["memory"] or 0) - (row["disk"] or 0))
        self.fields["caches"] = rows[:MOST_CACHES]
        if len(rows) > MOST_CACHES:
            self.unmeasured(f"{len(rows) - MOST_CACHES} more caches", "only the largest are listed")
        if reach.left_out:
            self.unmeasured(
                f"{sum(reach.left_out.values())} more names of caches", "20 of each are listed"
            )


def place(error: BaseException) -> str:
    """Say what failed without a word of the user's: type, and our file and line."""
    step, found = error.__traceback__, ""
    while step is not None:
        found = f"{os.path.basename(step.tb_frame.f_code.co_filename)}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {found}"


def _row(cache: Cache, reach: Reach, known: bool, shared: bool) -> dict[str, Any]:
    holders = reach.rows(cache.id)
    cache.reached = cache.reached or bool(holders)
    digest = cache.digest
    return {
        "id": cache.id, "kind": cache.kind, "rdd": cache.rdd, "level": cache.level,
        "table": cache.table, "operators": cache.operators, "shape": cache.shape,
        "plan": "" if digest is None else f"{digest & 0xFFFFFFFF:08x}",
        "memory": None, "disk": None, "partitions": cache.partitions, "cached": None,
        "executors": {}, "holders": holders,
        "views": sorted(reach.views.get(cache.id, ())), "above": reach.above.get(cache.id, []),
        "cell": cache.cell, "file": cache.file, "line": cache.line, "since": cache.since,
        "ours": not shared or (cache.seen_made and cache.reached), "known": known,
    }  # fmt: skip


def _add_sizes(
    row: dict[str, Any], sizes: dict[int, dict[str, list[int]]], stored: dict[int, int]
) -> None:
    """Fill in what is stored of a cache; without an RDD nothing was computed yet."""
    by_executor = sizes.get(row["rdd"], {})
    row["executors"] = by_executor
    row["memory"] = sum(one[0] for one in by_executor.values())
    row["disk"] = sum(one[1] for one in by_executor.values())
    if row["rdd"] is not None:
        row["cached"] = stored.get(row["rdd"], 0)


def _stored(blocks: spark_blocks.Blocks) -> dict[int, int]:
    """Return how many partitions of each RDD are stored, each counted once."""
    found: dict[int, set[str]] = {}
    for _, name, _, _ in blocks.rows:
        parts = name.split("_")
        if len(parts) == 3 and parts[0] == "rdd" and parts[1].isdigit():
            found.setdefault(int(parts[1]), set()).add(parts[2])
    return {number: len(partitions) for number, partitions in found.items()}
