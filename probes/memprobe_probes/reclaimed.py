"""How much is resident before and after: each time after a collection and a trim."""

from __future__ import annotations

import gc
import sys
import time

POLARS_DECAY = 1.2  # seconds in which its allocator gives back what is free
_STEP = 0.1


def settle(without: frozenset[str] = frozenset()) -> None:
    """Collect, have Arrow give back its free memory, and trim.

    ``without`` those that are themselves what is measured: ``collect``, ``arrow``, ``trim``. No
    collection where the program switched it off or made it out of reach: what waits there would
    be taken for something that was let go.
    """
    if "collect" not in without and _collects():
        collect()
    if "arrow" not in without:
        release_arrow()
    if "trim" not in without:
        trim()


def _collects() -> bool:
    return gc.isenabled() and 0 < gc.get_threshold()[0] < 100_000 and not gc.get_debug()


def collect() -> None:
    """Collect twice: what finalizers of the first time let go of goes too, and free lists."""
    gc.collect()
    gc.collect()


def release_arrow() -> bool:
    """Have Arrow's default pool give back what it keeps; return whether there is one."""
    pool = getattr(sys.modules.get("pyarrow"), "default_memory_pool", None)
    if pool is None:
        return False
    pool().release_unused()
    return True


def trim() -> bool:
    """Have glibc's malloc give back what it keeps; return whether it is there."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return True


def resident() -> int | None:
    """Return the resident bytes as smaps sums them; as statm does where that cannot be read."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Rss:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    from .sampler import Counters

    counters = Counters()
    try:
        return counters.rss()
    finally:
        counters.close()


def resident_at_last() -> int | None:
    """Return the resident bytes once allocators that give back by themselves have done so."""
    found = resident()
    until = time.monotonic() + (POLARS_DECAY if "polars" in sys.modules else 0.0)
    while found is not None and time.monotonic() < until:
        time.sleep(_STEP)
        found = min(found, resident() or found)
    return found
