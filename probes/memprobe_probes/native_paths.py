"""Names for the paths that the walker found: each step is looked up again, and believed only if
the object is still where it was.

The walk happened in a copy of the process; meanwhile the program went on. From a root that is the
same object as then, each next object must be among those the one before refers to now. Where one is
not, the rest of the path is told by types alone.
"""

from __future__ import annotations

import gc
import itertools

from . import numpy_arrays, places, sizes
from .paths import kinds_on_the_way, named_steps
from .walk import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Chain = list[tuple[int, int, int]]  # node, address, class's address (0: native memory)

MOST_LOOKED_AT = 200_000  # elements of a container among which one is looked for


def path_of(
    chain: Chain, root: Any, class_at: Callable[[int], type | None]
) -> tuple[list[dict[str, str]], list[str], Any]:
    """Return steps, kinds of holder met on the way, and the last object where it was found.

    ``root`` is the object the chain begins at, or None where it is not there any more.
    """
    live = _found_again(chain, root, class_at)
    steps = named_steps(live) if live else []
    via = kinds_on_the_way(live)
    rest = chain[max(1, len(live)) :]
    above = type(live[-1]) if live else None
    for _, _, address in rest:
        cls = class_at(address) if address else None
        steps.append({"edge": _edge_by_type(above, address), "type": _type_name(cls, address)})
        above = cls
    last = live[-1] if live and not rest and chain[-1][2] else None
    return steps, via, last


def _found_again(chain: Chain, root: Any, class_at: Callable[[int], type | None]) -> list[Any]:
    live: list[Any] = []
    if root is None or id(root) != chain[0][1]:
        return live
    live.append(root)
    for _, address, cls in chain[1:]:
        if not cls:
            live.append(None)
            break
        child = _child_at(live[-1], address)
        if child is None or class_at(cls) is not type(child):
            break
        live.append(child)
    return live


def _child_at(obj: Any, address: int) -> Any:
    """Return what ``obj`` refers to at an address, or None."""
    for kind in (list, tuple):
        if kind in sizes.mro(type(obj)):
            at = places.position(obj, address)
            if at is not None:
                return kind.__getitem__(obj, at)
    for group in _children(obj):
        for child in group:
            if id(child) == address:
                return child
    return None


def _children(obj: Any) -> Iterable[Iterable[Any]]:
    cls = type(obj)
    ancestry = sizes.mro(cls)
    if dict in ancestry:
        yield itertools.islice(dict.values(obj), MOST_LOOKED_AT)
        if dict.__len__(obj) > MOST_LOOKED_AT:
            return
    elif _is_big(obj, ancestry):
        return
    yield gc.get_referents(obj)
    arrays = numpy_arrays.arrays()
    if arrays is not None and arrays.array in ancestry:
        yield (arrays.base(obj),)
        if arrays.owns_objects(obj) and arrays.dtype(obj).kind == "O":
            yield itertools.islice(arrays.flat(obj), MOST_LOOKED_AT)


def _is_big(obj: Any, ancestry: tuple[type, ...]) -> bool:
    for kind in (list, tuple, set, frozenset):
        if kind in ancestry:
            return bool(kind.__len__(obj) > MOST_LOOKED_AT)
    return False


def _edge_by_type(above: type | None, address: int) -> str:
    if not address:
        return "data"
    if above is types.FrameType:
        return "local"
    if above is not None and above in (list, tuple):
        return "[*]"
    return "[key]" if above is dict else "·"


def _type_name(cls: type | None, address: int) -> str:
    if not address:
        return "buffer"
    return "object" if cls is None else sizes.type_name(cls)
