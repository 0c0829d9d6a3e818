"""What the walker's account is told beforehand, and what its 64-bit words mean."""

from __future__ import annotations

import sys

from . import account_buckets as buckets
from .words import packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

# In the order of the walker's (native/regions.h).
ORDER = (
    buckets.UNKNOWN, buckets.PYTHON_OBJECTS, buckets.PYTHON_FREE, buckets.ARRAYS,
    buckets.ARROW_LIVE, buckets.ARROW_RETAINED, buckets.POLARS_LIVE, buckets.POLARS_RETAINED,
    buckets.TORCH, buckets.MALLOC_OTHER, buckets.MALLOC_RETAINED, buckets.NATIVE_OTHER,
    buckets.LIBRARIES, buckets.MAPPED_FILES, buckets.SHARED_MEMORY, buckets.THREAD_STACKS,
    buckets.HEAP_USED, buckets.METASPACE, buckets.CODE_CACHE, buckets.GC_STRUCTURES,
    buckets.NATIVE_OBJECTS,
)  # fmt: skip
# Counted in every process of Python, so that nothing of it is told as zero.
_ALWAYS = (
    buckets.PYTHON_OBJECTS, buckets.PYTHON_FREE, buckets.ARRAYS, buckets.MALLOC_OTHER,
    buckets.MALLOC_RETAINED, buckets.LIBRARIES, buckets.UNKNOWN,
)  # fmt: skip
ARRAYS = ORDER.index(buckets.ARRAYS)
OF_LIBRARY = {
    "pyarrow": ORDER.index(buckets.ARROW_LIVE),
    "polars": ORDER.index(buckets.POLARS_LIVE),
    "torch": ORDER.index(buckets.TORCH),
}
NOT_TOLD = 2**64 - 1
_HEAD = ("rss", "pss", "swap", "anonymous", "trimmable", "live_blocks", "pool_bytes",
         "shortened", "how", "took_ns")  # fmt: skip
_EVERY_PAGE, _BY_SCAN = 3, 0  # of `how`: residency was not told; by the kernel, page by page


def known(owned: Iterable[int] = ()) -> bytes:
    """Return what the account is told: bytes of Arrow's pool, then who owns which memory.

    ``owned``: address, bytes and number of bucket, one after the other.
    """
    live = arrow_pool()[0]
    return packed((NOT_TOLD if live is None else live, *owned))


def arrow_pool() -> tuple[int | None, str | None]:
    """Return the bytes in use of Arrow's default pool and its backend; None where it is not there.

    Both are counters: nothing of the pool is touched.
    """
    arrow = sys.modules.get("pyarrow")
    try:
        pool = arrow.default_memory_pool() if arrow is not None else None
        if pool is None:
            return None, None
        return int(pool.bytes_allocated()), str(pool.backend_name)
    except Exception:  # it is being imported just now, or very old
        return None, None


class Balance:
    """What the walker found of one process. All sizes are bytes."""

    def __init__(self, words: Sequence[int]) -> None:
        head = dict(zip(_HEAD, words))
        self.rss, self.pss, self.swap = head["rss"], head["pss"], head["swap"]
        self.anonymous, self.trimmable = head["anonymous"], head["trimmable"]
        self.live_blocks = head["live_blocks"]  # of Python's own allocator
        self.pool_bytes = head["pool_bytes"]  # in use of it
        self.took_ns = head["took_ns"]
        self.shortened = head["shortened"]  # parts that were left out
        self.by_page = head["how"] != _EVERY_PAGE
        amounts = words[len(_HEAD) :]
        told = zip(ORDER, amounts)
        self.buckets = {name: size for name, size in told if size or name in _ALWAYS}

    def process(self, pid: int, role: str) -> dict[str, Any]:
        """Return the row of the process as an ``account`` record has it."""
        return {
            "pid": pid, "role": role, "rss": self.rss, "pss": self.pss, "swap": self.swap,
            "anonymous": self.anonymous, "trimmable": self.trimmable, "buckets": self.buckets,
        }  # fmt: skip

    def unmeasured(self) -> list[dict[str, str]]:
        """Return what the account could not tell, as rows of a record."""
        rows = []
        if self.shortened:
            why = "it changed while it was read, is laid out in another way, or would take too long"
            rows.append({"what": "the owners of a part of the memory", "why": why})
        if not self.by_page:
            why = "the kernel does not tell which pages are in memory: whole mappings are counted"
            rows.append({"what": "buckets to the page", "why": why})
        return rows
