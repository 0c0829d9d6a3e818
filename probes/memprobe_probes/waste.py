"""The bytes of garbage: its own, and those of texts, arrays and buffers that only it keeps."""

from __future__ import annotations

import gc
import sys
from _collections import _count_elements  # type: ignore[import-not-found]
from _operator import not_
from itertools import compress

from . import buffers, sizes
from .containers import OBJECT_ARRAY
from .sampling import OWN_REFERENCES, SAMPLE, sample_sizes
from .walk import BIG_CONTAINER, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .walk import Kind

BATCH = 4096  # objects between two looks at the clock


class Waste:
    """Adds up what would go if these objects went: ``objects`` and ``bytes``, by type.

    ``deadline`` is in ns of this thread's CPU time; past it ``TooLong`` is raised. Native buffers
    are known by their addresses and count once.
    """

    def __init__(self, stop_ids: set[int], deadline: int) -> None:
        self._walk = Walk(stop_ids, deadline)
        self.in_time = self._walk.in_time
        self._native: dict[int, int] = {}
        self._types: dict[int, list[Any]] = {}  # by the id of a class: it, objects, bytes
        self._met: dict[int, int] = {}  # id → references from garbage
        self._candidates: dict[int, Any] = {}  # id → what garbage refers to and nobody tracks
        self._fallen: set[int] = set()  # ids of those that only garbage keeps

    def add_all(self, garbage: list[Any]) -> None:
        """Add ``garbage``, and whatever has no reference but from what was added.

        The list is emptied: its own references would count.
        """
        while garbage:
            for cls, objects in _by_type(garbage):
                garbage.clear()
                for start in range(0, len(objects), BATCH):
                    self.in_time()
                    self._add(self._walk.kind(cls), cls, objects[start : start + BATCH])
            garbage += self._next()

    def rows(self, most: int) -> dict[str, Any]:
        """Return ``bytes``, ``objects`` and the ``most`` largest ``types``."""
        largest = sorted(self._types.values(), key=lambda row: -row[2])
        types = [
            {"type": sizes.type_name(cls), "count": int(count), "bytes": int(nbytes)}
            for cls, count, nbytes in largest[:most]
        ]
        return {
            "bytes": int(sum(row[2] for row in largest)),
            "objects": int(sum(row[1] for row in largest)),
            "types": types,
        }

    def _add(self, kind: Kind, cls: type, objects: list[Any]) -> None:
        row = self._types.setdefault(id(cls), [cls, 0, 0.0])
        row[1] += len(objects)
        row[2] += sum(map(sizes.allocated, map(kind.size, objects)))
        if kind.leaf:
            return
        if kind.elements is not None:
            objects = self._without_big(kind, objects, row)
        self._meet(gc.get_referents(*objects))
        if kind.adapter is not None:
            for one in objects:
                children, native = kind.native(one)
                row[2] += sum(self._fresh(address, nbytes) for address, nbytes in native)
                self._meet(children + self._elements(kind, one, row))

    def _without_big(self, kind: Kind, objects: list[Any], row: list[float]) -> list[Any]:
        """Estimate what big containers keep; return the others."""
        assert kind.elements is not None
        small = []
        for one in objects:
            length = kind.length(one)
            if length <= BIG_CONTAINER:
                small.append(one)
            else:
                positions = self._walk.random_positions(length, SAMPLE)
                self._estimate(kind.elements(one, positions), length, row)
        return small

    def _elements(self, kind: Kind, obj: Any, row: list[float]) -> list[Any]:
        """Return the elements of a small array of objects; of a big one estimate what it keeps."""
        if not (kind.is_array and buffers.is_object_array(obj)):
            return []
        length = buffers.object_array_length(obj)
        if length <= BIG_CONTAINER:
            return [one for found in buffers.object_array_elements(obj, None) for one in found]
        positions = self._walk.random_positions(length, SAMPLE)
        self._estimate(OBJECT_ARRAY.elements(obj, positions), length, row)
        return []

    def _estimate(self, drawn: list[Any], length: int, row: list[float]) -> None:
        """Add what the ``drawn`` elements let expect; tracked ones count by themselves."""
        for element in drawn:  # in place: whoever called has the list in hand as well
            element[:] = [one for one in element if not gc.is_tracked(one)]
        per_element, objects, _ = sample_sizes(self._walk, drawn)
        if per_element:
            row[1] += objects / len(per_element) * length
            row[2] += sum(per_element) / len(per_element) * length

    def _fresh(self, address: int, nbytes: int) -> int:
        """Return the bytes of a buffer that were not counted before."""
        known = self._native.get(address, 0)
        self._native[address] = max(known, nbytes)
        return max(0, nbytes - known)

    def _meet(self, children: list[Any]) -> None:
        """Note references to what nobody tracks; what is tracked is garbage itself, or alive."""
        loose = list(compress(children, map(not_, map(gc.is_tracked, children))))
        keys = list(map(id, loose))
        _count_elements(self._met, keys)
        self._candidates.update(zip(keys, loose))

    def _next(self) -> list[Any]:
        """Return the candidates whose every reference was met, and forget them as such."""
        keys, values = list(self._candidates), list(self._candidates.values())
        # Beside those met: one of the dict of candidates.
        spare = [
            count - OWN_REFERENCES - 1 - self._met[key]
            for key, count in zip(keys, map(sys.getrefcount, values))
        ]
        found = [
            one
            for key, one, more in zip(keys, values, spare)
            if more <= 0 and key not in self._fallen
        ]
        self._fallen.update(map(id, found))
        self._candidates = {key: one for key, one, more in zip(keys, values, spare) if more > 0}
        return found


def _by_type(objects: list[Any]) -> list[tuple[type, list[Any]]]:
    found: dict[int, tuple[type, list[Any]]] = {}
    for one in objects:
        found.setdefault(id(type(one)), (type(one), []))[1].append(one)
    return list(found.values())
