"""What an ``lru_cache`` says of itself: read through its C type, never through user code."""

from __future__ import annotations

# The C module itself: importing functools would make every start slower.
import _functools  # type: ignore[import-not-found]
import gc
import sys
import types

from .sampling import OWN_REFERENCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LRU_CACHE: type = _functools._lru_cache_wrapper
_info = vars(LRU_CACHE)["cache_info"]
_MOST_KEYS = 2000


def unwrapped(held: Any) -> Any:
    """Return the function behind a static method, class method, property or ``wraps``."""
    if type(held) is staticmethod or type(held) is classmethod:
        held = held.__func__
    elif type(held) is property:
        held = held.fget
    if type(held) is types.FunctionType:
        behind = held.__dict__.get("__wrapped__")
        return behind if type(behind) is LRU_CACHE else held
    return held


def entries(cache: Any) -> int:
    """Return the number of entries of an ``lru_cache``."""
    size: int = _info(cache)[3]
    return size


def facts(obj: Any, *, method: bool = False) -> dict[str, Any] | None:
    """Return the counters of an ``lru_cache``, or None for anything else.

    ``method``: it lies in a class, so that the first part of its keys is an instance; ``lost``
    then counts the instances that only the cache still refers to.
    """
    if type(obj) is not LRU_CACHE:
        return None
    hits, misses, maxsize, size = _info(obj)
    found = {"size": size, "maxsize": maxsize, "hits": hits, "misses": misses, "method": method}
    if method and size:
        found["lost"] = _lost(obj)
    return found


def _lost(cache: Any) -> int:
    """Count the instances among the keys that have no reference but those of the keys."""
    owners: list[Any] = []
    for held in gc.get_referents(cache):
        if type(held) is dict:
            # A key is a tuple of the arguments; one plain number or text is a key of its own.
            owners += [key[0] for key in list(held)[:_MOST_KEYS] if type(key) is tuple and key]
    held = None
    return _held_only_here(owners)


def _held_only_here(owners: list[Any]) -> int:
    keys: dict[int, int] = {}
    for owner in owners:
        keys[id(owner)] = keys.get(id(owner), 0) + 1
    owner = None
    counts = list(map(sys.getrefcount, owners))
    lost = {
        id(one)
        for one, count in zip(owners, counts)
        # Each of its keys refers to it, and so does our list as often.
        if count - (OWN_REFERENCES - 1) <= 2 * keys[id(one)]
    }
    return len(lost)
