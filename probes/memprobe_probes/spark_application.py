"""One Spark application: what is known of it, and one reading of all its parts."""

from __future__ import annotations

import time

from . import (
    spark_blocks,
    spark_broadcasts,
    spark_caches,
    spark_executors,
)
from .jvm_wire import Gateway, Handle
from .spark_caches import Caches
from .spark_frames import Frames
from .spark_levels import Levels
from .spark_news import News
from .spark_reads import Reads
from .spark_session import Driver
from .spark_stream_plans import StreamPlans
from .spark_views import Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .spark_session import Found

MOST_PENDING = 50  # cells whose caches wait to be looked at
LISTING_REST = 2.0  # seconds between two lists of blocks, even where jobs run


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
        self.streams = StreamPlans()
        self.blocks = spark_blocks.BlockReader()
        self.broadcasts = spark_broadcasts.Broadcasts(from_start)
        self.executors: spark_executors.Executors | None = None
        self.pid: int | None = None  # of the JVM, where that is on this host
        self._pending: list[tuple[int | None, Handle | None, str]] = []
        self.noted: tuple[int, str] | None = None  # what was cached at the last note
        self.reads = Reads()
        self.levels = Levels()
        self.sizes: tuple[spark_blocks.Blocks, int] | None = None  # and when they were listed
        self._listed: tuple[Any, int, float] | None = None
        self.news = News()

    def note(self, cell: int | None, patience: float) -> None:
        """Keep what is cached now for the next reading: it was made by ``cell``."""
        gateway = self.driver.gateway
        with gateway.scope(patience):
            self.reads.cell_ended(cell, self.reads.total(self.driver))
            data, state = self.state()
            if state == self.noted:
                return
            self.noted = state
            if len(self._pending) < MOST_PENDING:
                kept = None if data is None else gateway.keep(data)
                self._pending.append((cell, kept, state[1]))

    def changed(self, patience: float) -> bool:
        """Whether something was cached or let go since the last reading or note."""
        with self.driver.gateway.scope(patience):
            return self.state()[1] != self.noted

    def worked(self, patience: float) -> bool:
        """Whether jobs were submitted since the last reading."""
        with self.driver.gateway.scope(patience):
            return self.reads.total(self.driver) != self.reads.jobs

    def pending(self) -> Iterator[tuple[int | None, Handle | None, str]]:
        """Yield what was noted at the ends of cells, the oldest first, and forget it."""
        while self._pending:
            yield self._pending.pop(0)

    def stored_more(self) -> bool:
        """Whether jobs have run, or caches come, since the blocks were listed a while ago."""
        if self._listed is None:
            return True
        state, jobs, at = self._listed
        moved = state != self.noted or jobs != self.reads.total(self.driver)
        return moved and time.monotonic() - at > LISTING_REST

    def listed(self) -> None:
        """Note that the blocks have just been listed."""
        self._listed = self.noted, self.reads.total(self.driver), time.monotonic()

    def noted_since(self) -> bool:
        """Whether a cell has ended since ``pending`` was gone through."""
        return bool(self._pending)

    def state(self) -> tuple[Handle | None, tuple[int, str]]:
        """Return the sequence of cached plans, and what tells this state from the next."""
        gateway = self.driver.gateway
        data = spark_caches.cached_data(self.driver)
        identity = 0
        if data is not None:
            identity = int(gateway.static("java.lang.System", "identityHashCode", data))
        table = gateway.call(self.driver.context(), "persistentRdds")
        numbers = str(gateway.call(gateway.call(table, "keys"), "mkString", ","))
        return data, (identity, numbers)
