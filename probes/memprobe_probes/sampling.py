"""What the elements of a big container keep, from a random sample of them."""

from __future__ import annotations

import gc
import itertools
import sys

from . import buffers, numpy_arrays, python_buffers, sizes
from .spans import LEAST, WHOLE, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .spans import Span
    from .walk import Kind, Walk

SAMPLE = 400  # elements walked of a big container
MAX_SUBTREE = 3000  # objects below one sampled element


def sample_sizes(walk: Walk, drawn: list[Any]) -> tuple[list[float], int, float]:
    """Return what each drawn element keeps in bytes, the number of objects met, bytes pinned.

    Pinned is what the drawn elements keep together of arrays that only views of them show.
    ``drawn`` holds one list per element (an item, or a key and a value) and is emptied: its own
    references would count.
    """
    per_element, objects, pinned = [], 0, 0.0
    drawn.reverse()
    while drawn:
        if not len(drawn) & 15:
            walk.check()
        size, met, hidden = _kept_by(walk, drawn.pop())
        per_element.append(size)
        objects += met
        pinned += hidden
    return per_element, objects, pinned


def _kept_by(walk: Walk, objects: list[Any]) -> tuple[float, int, float]:
    """Return the bytes one sampled element answers for, the objects below it, the bytes pinned.

    An object counts by the share of its references that come from this subtree: one that a
    hundred elements share counts a hundredth for each.
    """
    met: dict[int, int] = {id(one): 1 for one in objects}
    above = [-1] * len(objects)
    native: dict[int, tuple[int, int]] = {}
    at = 0
    while at < len(objects) < MAX_SUBTREE:
        kind = walk.kind(type(objects[at]))
        if not (kind.leaf or kind.stop or id(objects[at]) in walk.stop_ids):
            children, found = _parts(kind, objects[at])
            native.update((address, (at, nbytes)) for address, nbytes in found)
            _meet(walk, children, met, objects)
            above += [at] * (len(objects) - len(above))
        at += 1
    children = []
    shares = _shares(objects, met, above)
    total = sum(
        share * sizes.allocated(walk.kind(type(one)).size(one))
        for one, share in zip(objects, shares)
    )
    total += sum(shares[owner] * nbytes for owner, nbytes in native.values())
    return total, len(objects), _pinned(walk, objects, met, shares, native)


def _pinned(
    walk: Walk, objects: list[Any], met: dict[int, int], shares: list[float],
    native: dict[int, tuple[int, int]],
) -> float:  # fmt: skip
    """Return the bytes below one element that only views in it keep, less those they show."""
    views = _views(walk, objects)
    memory = dict(native.values())

    def is_exposed(at: int) -> bool:
        return shares[at] < 1.0 or met[id(objects[at])] > len(views.get(at, ()))

    total = 0.0
    for owner in views:
        nbytes = memory.get(owner, 0) if _is_array(walk, owner, objects) else _own(objects, owner)
        if nbytes >= LEAST and not is_exposed(owner):
            seen = shown(owner, views, is_exposed, lambda at: _span(walk, objects[at]))
            total += nbytes - seen if seen < WHOLE * nbytes else 0.0
    return total


def _views(walk: Walk, objects: list[Any]) -> dict[int, list[int]]:
    """Return the place of an object → the places of the views that were cut from it."""
    cut = [
        (at, id(base)) for at, one in enumerate(objects) if (base := _base(walk, one)) is not None
    ]
    places = {id(one): at for at, one in enumerate(objects)} if cut else {}
    views: dict[int, list[int]] = {}
    for at, base in cut:
        if base in places:
            views.setdefault(places[base], []).append(at)
    return views


def _base(walk: Walk, obj: Any) -> Any:
    """Return what an array or a view was cut from, or None."""
    if walk.kind(type(obj)).is_array:
        arrays = numpy_arrays.arrays()
        return None if arrays is None else arrays.base(obj)
    if not walk.kind(type(obj)).is_view:
        return None
    return next(reversed(gc.get_referents(obj)), None)


def _is_array(walk: Walk, at: int, objects: list[Any]) -> bool:
    return walk.kind(type(objects[at])).is_array


def _own(objects: list[Any], at: int) -> int:
    """Return the bytes of an object that owns memory which others show."""
    cls = type(objects[at])
    return sizes.shallow_sizer(cls)(objects[at]) if python_buffers.owns_memory(cls) else 0


def _span(walk: Walk, obj: Any) -> Span:
    arrays = numpy_arrays.arrays()
    if arrays is not None and walk.kind(type(obj)).is_array:
        return (*arrays.extent(obj), arrays.nbytes(obj))
    if type(obj) is memoryview:
        return -1, -1, python_buffers.shown_bytes(obj)
    return -1, -1, sys.maxsize  # not known what it shows: everything


def _meet(walk: Walk, children: list[Any], met: dict[int, int], objects: list[Any]) -> None:
    for child in children:
        if id(child) in met:
            met[id(child)] += 1
        elif not walk.kind(type(child)).stop:
            met[id(child)] = 1
            objects.append(child)


def _parts(kind: Kind, obj: Any) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return children and native buffers of one object inside a sampled element."""
    if kind.adapter is None:
        return gc.get_referents(obj), []
    children, native = kind.native(obj)
    children = children + gc.get_referents(obj)
    if (
        kind.is_array
        and buffers.is_object_array(obj)
        and buffers.object_array_length(obj) <= SAMPLE
    ):
        rows = buffers.object_array_elements(obj, None)
        children = children + list(itertools.chain.from_iterable(rows))
    return children, native


def _shares(objects: list[Any], met: dict[int, int], above: list[int]) -> list[float]:
    """Return which part of each object counts: what is below a shared object is shared too."""
    counts = list(map(sys.getrefcount, objects))
    shares: list[float] = []
    for one, count, parent in zip(objects, counts, above):
        share = min(1.0, met[id(one)] / max(1, count - OWN_REFERENCES))
        shares.append(share if parent < 0 else share * shares[parent])
    return shares


def _own_references() -> int:
    """Count what ``map(sys.getrefcount, objects)`` sees of an object only that list holds."""
    objects = [object()]
    return next(map(sys.getrefcount, objects))


OWN_REFERENCES = _own_references()
