"""Which engine takes a snapshot: the native walker where there is one, else batches in the process.

The walker's copy can fail where the program itself is well: for lack of memory, in a type's own C
code, for want of time. It is tried once more, and after that the other engine answers; what went
wrong stays in the record. A walker that keeps failing is left alone.
"""

from __future__ import annotations

import os
import sys

from . import allocation_sites, heap
from .walk import TooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .native import Job, Native
    from .roots import Root

    Look = Callable[[], list[Root]]

# Who waits for the walk: the thread of ours that takes it; nobody, it is collected later; or the
# program's own thread, which has nothing else to do.
AWAITED, LATER, AT_REST = "awaited", "later", "at rest"

ATTEMPTS = 2
MOST_FAILURES = 4  # attempts in a row, then the walker is left alone
PREPARING_NS = 200_000_000  # for adapters, before a copy is made; each lets the program run
LONGEST_WAIT = 25.0  # seconds; the copy itself gets less


class Unsafe(Exception):
    """Copies crashed or hung in a library's code: a walk in the program itself would as well."""


class Engines:
    """The engines of one probe. ``note`` says why the last snapshot was not the walker's."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.note: str | None = None
        self.engine = "fallback"
        self.job: Job | None = None
        self.opened: Sequence[str] = ()  # holders whose inside is asked for, by expression
        self._config = config
        self._native: Native | None = None
        self._looked = False
        self._failures = 0
        self._danger: str | None = None  # why nothing may walk in the program itself
        self._ns_per_object: float = heap.NS_PER_OBJECT

    def take(
        self, look: Look, stops: set[int], asked: Sequence[str], max_pause_ns: int, manner: str,
        rss: int | None,
    ) -> dict[str, Any] | None:  # fmt: skip
        """Return a snapshot's tables; None where a copy works on them: then ``job`` is set.

        ``look`` lists the roots anew. Raises ``TooLong`` or ``Unsafe`` where neither engine may.
        """
        native = self._usable(manner, max_pause_ns, rss)
        if native is not None:
            from .native import Hung, Incomplete, Tight

            for _ in range(ATTEMPTS):
                try:
                    return self._walked(native, look, stops, asked, max_pause_ns, manner, rss)
                except (Incomplete, OSError, MemoryError) as error:
                    self._failed(error)
                    if isinstance(error, Hung):
                        break
                except (Tight, TooLong) as error:
                    self.note = f"the native walker was not used: {error}"
                    break
        if self._danger is not None:
            self.engine = "native"
            raise Unsafe(self._danger)
        return self._batched(look, stops, asked, max_pause_ns)

    def collect(self, look: Look) -> dict[str, Any] | None:
        """Return the tables of the job that is done, or None where it failed: see ``note``."""
        from .native import Incomplete

        job, self.job = self.job, None
        assert job is not None
        try:
            tables = job.tables(look)
        except (Incomplete, OSError) as error:
            self._failed(error)
            return None
        self._worked()
        return tables

    def copies_ns(self) -> int:
        """Return the CPU time (ns) of the copies that have ended since this was last asked."""
        return 0 if self._native is None else self._native.copies_ns()

    @property
    def walker(self) -> Any:
        """The walker's module, where it has been loaded; else None."""
        return None if self._native is None else self._native.walker

    def close(self) -> None:
        """Give up what is still on its way."""
        job, self.job = self.job, None
        if job is not None:
            job.close()

    def _walked(
        self, native: Native, look: Look, stops: set[int], asked: Sequence[str],
        max_pause_ns: int, manner: str, rss: int | None,
    ) -> dict[str, Any] | None:  # fmt: skip
        if manner == AT_REST:
            tables = native.at_rest(look(), stops, asked, max_pause_ns)
            self._worked()
            return tables
        job = native.start(look(), stops, asked, min(max_pause_ns, PREPARING_NS), rss)
        if manner == LATER:
            self.job = job
            self._worked()
            return None
        try:
            job.wait(LONGEST_WAIT)
            tables = job.tables(look)
        finally:
            job.close()
        self._worked()
        return tables

    def _batched(
        self, look: Look, stops: set[int], asked: Sequence[str], max_pause_ns: int
    ) -> dict[str, Any]:
        self.engine = "fallback"
        tables = heap.tables(look(), stops, max_pause_ns, self._ns_per_object, asked)
        nodes = tables.pop("nodes")
        if nodes > 1000:
            self._ns_per_object = tables["pause_ns"] / nodes
        return tables

    def _usable(self, manner: str, max_pause_ns: int, rss: int | None) -> Native | None:
        """Return the walker where it may be used now; else ``note`` says why not."""
        wanted = os.environ.get("MEMPROBE_ENGINE") or self._config.get("engine")
        if wanted == "fallback":
            self.note = "the other engine was asked for"
            return None
        if allocation_sites.traced_frames() is not None or allocation_sites.places_wanted:
            self.note = "allocations are traced: places are told for each object in the process"
            return None
        if _slices_keep_parents():
            self.note = "pandas 1.5 keeps what slices were cut from: only batches can tell"
            return None
        native = self._loaded()
        if native is None:
            return None
        if self._failures >= MOST_FAILURES:
            return None
        native.opened = self.opened
        pause = native.pause_of_copy(rss)
        if manner != AT_REST and pause > max_pause_ns:
            self.note = f"a copy of the process would pause it for about {pause / 1e6:.0f} ms"
            native.declined()
            return None
        return native

    def _loaded(self) -> Native | None:
        if not self._looked:
            self._looked = True
            from . import native_walker

            module, self.note = native_walker.load(self._config.get("walker"))
            if module is not None:
                from .native import Native

                self._native = Native(module)
        return self._native

    def _worked(self) -> None:
        self.engine, self.note, self._failures, self._danger = "native", None, 0, None

    def _failed(self, error: Exception) -> None:
        from .native import Crashed

        self._failures += 1
        self.note = f"the native walker failed: {str(error) or type(error).__name__}"
        if isinstance(error, Crashed):
            self._danger = self.note


def _slices_keep_parents() -> bool:
    """Whether slices of frames refer to the internals of the frame they were cut from."""
    version = getattr(sys.modules.get("pandas"), "__version__", None)
    return type(version) is str and version.startswith("1.")
