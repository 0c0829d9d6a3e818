"""What an ``lru_cache`` says of itself: read through its C type, never through user code."""

from __future__ import annotations

# The C module itself: importing functools would make every start slower.
import _functools  # type: ignore[import-not-found]
import gc
import sys
import types

from . import sizes
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

    ``method``: it lies in a class, so that the first part of its keys is an instance;
    ``instances`` then counts them, and ``lost`` those that only the cache still refers to and no
    equal one can stand in for.
    """
    if type(obj) is not LRU_CACHE:
        return None
    hits, misses, maxsize, size = _info(obj)
    found = {"size": size, "maxsize": maxsize, "hits": hits, "misses": misses, "method": method}
    if method and size:
        found["instances"], found["lost"] = _instances(obj)
    return found


def _instances(cache: Any) -> tuple[int, int]:
    """Count the instances among the keys, and those that have no reference but those of the keys.

    An instance with an ``__eq__`` of its own is never lost: the next equal one finds its results.
    """
    owners: list[Any] = []
    for held in gc.get_referents(cache):
        if type(held) is dict:
            # A key is a tuple of the arguments; one plain number or text is a key of its own.
            owners += [key[0] for key in list(held)[:_MOST_KEYS] if type(key) is tuple and key]
    held = None
    return len(set(map(id, owners))), _held_only_here(owners)


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
        and sizes.is_compared_by_identity(type(one))
    }
    return len(lost)
