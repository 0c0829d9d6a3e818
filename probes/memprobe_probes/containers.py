"""Elements of Python's containers at random positions, through the built-in types' own code."""

from __future__ import annotations

import itertools
from _collections import deque  # type: ignore[import-not-found]
from sys import getrefcount

from . import buffers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_OF_A_KEY = 3  # references to a key that only one dict has, while it is looked at here


def _picked(iterable: Iterable[Any], positions: list[int]) -> list[Any]:
    """Return the items of ``iterable`` at the sorted ``positions``, in one pass of C code."""
    iterator = iter(iterable)
    found: list[Any] = []
    at = 0
    for position in dict.fromkeys(positions):
        found.extend(itertools.islice(iterator, position - at, position - at + 1))
        at = position + 1
    return found


def _list_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[list.__getitem__(obj, position)] for position in positions]


def _tuple_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[tuple.__getitem__(obj, position)] for position in positions]


def _dict_items(obj: Any, positions: list[int]) -> list[Any]:
    return [list(pair) for pair in _picked(dict.items(obj), positions)]


def own_keys(obj: Any, told: int, *, ordered: bool) -> list[Any]:
    """Return the texts that a dict has as keys and nobody else has.

    ``told``: how many objects the collector is told of. It is not told of the keys where all of
    them are texts; an ordered dict has two references to each key and tells the other one always.
    A text that others have too is a name mostly, and not the dict's to keep.
    """
    if told >= (3 if ordered else 2) * dict.__len__(obj):
        return []
    most = _OF_A_KEY + 2 * ordered  # its second one, and what the collector has told
    return [key for key in dict.__iter__(obj) if getrefcount(key) <= most]


def _set_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(set.__iter__(obj), positions)]


def _frozenset_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(frozenset.__iter__(obj), positions)]


def _deque_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(deque.__iter__(obj), positions)]


CONTAINERS: tuple[tuple[type, Any, Any], ...] = (
    (list, _list_items, list.__len__),
    (tuple, _tuple_items, tuple.__len__),
    (dict, _dict_items, dict.__len__),
    (set, _set_items, set.__len__),
    (frozenset, _frozenset_items, frozenset.__len__),
    (deque, _deque_items, deque.__len__),
)


class ObjectArray:
    """An object ndarray seen as a container."""

    length = staticmethod(buffers.object_array_length)

    @staticmethod
    def elements(obj: Any, positions: list[int]) -> list[Any]:
        """Return the elements at ``positions``, each in a list of its own."""
        return buffers.object_array_elements(obj, positions)


OBJECT_ARRAY = ObjectArray()
