"""Elements of a big container that are far larger than any that a random sample has met.

Four hundred random elements of a hundred thousand miss one that is larger than all the others
together. Where the sampled elements are all of one built-in type, the sizes of up to 200,000
elements are looked at as well, by that type's own C code: some 40 ns each.
"""

from __future__ import annotations

import _operator
from _collections import deque  # type: ignore[import-not-found]
from itertools import compress, islice, repeat

from . import numpy_arrays, sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MOST = 200_000  # elements looked at
LEAST = 16 * 1024  # bytes of an element from which on it can be one
_FAR = 2.0  # times the largest sampled element
_MEASURES: dict[int, Callable[[Any], int]] = {
    id(cls): cls.__sizeof__ for cls in (str, bytes, bytearray, list, tuple, dict, set)
}


def excess(obj: Any, length: int, sampled: list[Any]) -> tuple[float, float]:
    """Return the bytes of giants beyond the sample, and the variance of that number.

    ``sampled`` are elements of ``obj``. Where their types differ nothing is looked at.
    """
    kinds = set(map(id, map(type, sampled)))
    gaps = id(type(None)) in kinds
    kinds.discard(id(type(None)))
    measure = _MEASURES.get(kinds.pop()) if len(kinds) == 1 else None
    if measure is None:
        return 0.0, 0.0
    sample = [measure(one) for one in sampled if one is not None]
    limit = max(LEAST, _FAR * max(sample))
    # What the sample lets each of them count already.
    usual = sum(map(sizes.allocated, sample)) / len(sampled)
    step = -(-length // MOST)
    try:
        elements = _elements(obj, step)
        if gaps:
            there = map(_operator.is_not, _elements(obj, step), repeat(None))
            elements = compress(elements, there)
        found = [sizes.allocated(size) - usual for size in map(measure, elements) if size > limit]
    except (TypeError, RuntimeError):  # another type among them, or it changed meanwhile
        return 0.0, 0.0
    return float(step * sum(found)), float((step - 1) * step * sum(size * size for size in found))


def _elements(obj: Any, step: int) -> Iterable[Any]:
    """Return every ``step``-th element, through the built-in types' own code."""
    arrays = numpy_arrays.arrays()
    if arrays is not None and arrays.array in sizes.mro(type(obj)):
        every: Iterable[Any] = arrays.flat(obj)
    else:
        every = next(iterate(obj) for cls, iterate in _ITERATORS if cls in sizes.mro(type(obj)))
    return islice(every, 0, None, step)


def _values(obj: Any) -> Iterable[Any]:
    return dict.values(obj)


_ITERATORS: tuple[tuple[type, Callable[[Any], Iterable[Any]]], ...] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (dict, _values),
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
    (deque, deque.__iter__),
)
