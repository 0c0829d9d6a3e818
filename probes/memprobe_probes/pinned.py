"""Native memory that only smaller views keep: what of it nobody can see any more.

``row = big[0]`` keeps all of ``big``: after ``del big`` its array has no reference but the
``base`` of the row. For every such memory: its bytes less what the views together show. Where the
whole is still referenced by anything else than views, nothing is pinned.
"""

from __future__ import annotations

import sys
from _collections import _count_elements  # type: ignore[import-not-found]
from itertools import chain

from . import numpy_arrays, python_buffers, sizes
from .sampling import OWN_REFERENCES
from .spans import LEAST, WHOLE, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .spans import Span
    from .walk import Walk

LEAST_ARROW = 64 * 1024  # bytes of an object below which its slices are not compared


def pinned_bytes(walk: Walk, named: int, masks: list[int]) -> dict[int, float]:
    """Return node → bytes of memory that is kept, and shown by nobody.

    Nodes from ``named`` on were met on the way up from a suspected holder; those without a mask
    among them are waiting garbage, whose references do not count.
    """
    found: dict[int, float] = {}
    hidden = _hidden_by_pandas(walk)
    views = _views(walk, hidden)
    garbage = (node for node in range(named, len(masks)) if not masks[node])
    dead = _references_from(walk, [*garbage, *hidden])
    exposed = _Exposed(walk, views, dead)
    for owner in views:
        if owner in exposed.based or exposed(owner):
            continue
        memory = _memory_of(walk, owner)
        if memory and memory[0][1] >= LEAST:
            left = 1.0 - shown(owner, views, exposed, exposed.span) / memory[0][1]
            found.update((node, nbytes * left) for node, nbytes in memory if left > 1.0 - WHOLE)
    found.update(_arrow(walk, hidden))
    found.update(walk.pinned_in_samples)
    return found


def _arrow(walk: Walk, hidden: set[int]) -> dict[int, float]:
    """Return node → pinned bytes of the memory that only slices of Arrow data show."""
    shown: dict[int, dict[tuple[Any, ...], float]] = {}
    for node in walk.adapted:
        if node in hidden or not walk.kind(type(walk.objects[node])).is_arrow:
            continue
        from . import arrow_buffers

        if sum(walk.sizes[buffer] for buffer in walk.edges[node]) < LEAST_ARROW:
            continue
        for place, memory, nbytes in arrow_buffers.shares(walk.objects[node], walk.in_time):
            whole = sum(memory.values())
            for address in memory:
                shown.setdefault(address, {})[place] = nbytes / whole
    return _unshown(walk, shown)


def _unshown(walk: Walk, shown: dict[int, dict[tuple[Any, ...], float]]) -> dict[int, float]:
    found = {}
    others = _seen_by_arrays(walk)
    for address, slices in shown.items():
        node, share = walk.index.get(-address, -1), sum(slices.values())
        if node < 0 or node in others or not others.isdisjoint(walk.edges[node]):
            continue
        if walk.sizes[node] >= LEAST_ARROW and share < WHOLE:
            found[node] = walk.sizes[node] * (1.0 - share)
    return found


def _seen_by_arrays(walk: Walk) -> set[int]:
    """Return the nodes of native memory that ndarrays show too, wholly or in part."""
    found: set[int] = set()
    for node in walk.adapted:
        if walk.kind(type(walk.objects[node])).is_array:
            for target in walk.edges[node]:
                if walk.objects[target] is None:
                    found.add(target)
                    found.update(walk.edges[target])  # it lies within another one
    return found


def _views(walk: Walk, hidden: set[int]) -> dict[int, list[int]]:
    """Return node → the nodes of the views that were cut from it."""
    views: dict[int, list[int]] = {}
    for node in walk.adapted:
        base = -1 if node in hidden else _base(walk, node)
        if base >= 0:
            views.setdefault(base, []).append(node)
    return views


def _base(walk: Walk, node: int) -> int:
    """Return the node that an array or a view was cut from, or -1."""
    obj, arrays = walk.objects[node], numpy_arrays.arrays()
    if walk.kind(type(obj)).is_array and arrays is not None:
        held = arrays.base(obj)
        return -1 if held is None else walk.index.get(id(held), -1)
    if walk.kind(type(obj)).is_view and walk.edges[node]:
        return walk.edges[node][-1]
    return -1


def _references_from(walk: Walk, nodes: Iterable[int]) -> dict[int, int]:
    """Return node → number of references that ``nodes`` have to it."""
    found: dict[int, int] = {}
    _count_elements(found, chain.from_iterable(walk.edges[node] for node in nodes))
    return found


def _hidden_by_pandas(walk: Walk) -> set[int]:
    """Return the nodes that only slices of pandas 1.5 keep, as the ``parent`` of what they are.

    Its slices hold on to the internals of the frame that they were cut from: nobody else can
    reach those any more, so what they refer to is not shown by them.
    """
    parents: dict[int, int] = {}
    for node in _managers(walk):
        parent = walk.index.get(id(getattr(walk.objects[node], "parent", None)), -1)
        if parent >= 0:
            parents[parent] = parents.get(parent, 0) + 1
    hidden: set[int] = set()
    known = parents
    fresh = [node for node in parents if _references(walk, node) <= parents[node]]
    while fresh:
        hidden.update(fresh)
        known = _references_from(walk, hidden)
        known.update((node, known.get(node, 0) + count) for node, count in parents.items())
        below = {target for node in fresh for target in walk.edges[node]} - hidden
        fresh = [
            node
            for node in below
            if walk.objects[node] is not None
            and not walk.kind(type(walk.objects[node])).is_array
            and _references(walk, node) <= known.get(node, 0)
        ]
    return hidden


def _managers(walk: Walk) -> list[int]:
    version = getattr(sys.modules.get("pandas"), "__version__", None)
    if type(version) is not str or not version.startswith("1.5"):
        return []
    name = "pandas.core.internals.managers"
    wanted = {id(cls) for cls in walk.kinds() if sizes.module_of(cls) == name}
    return [node for node, obj in enumerate(walk.objects) if id(type(obj)) in wanted]


def _references(walk: Walk, node: int) -> int:
    """Return how many references an object has, without those of the walk."""
    held = [walk.objects[node]]
    return next(map(sys.getrefcount, held)) - OWN_REFERENCES - 1


class _Exposed:
    """Whether an object can be reached otherwise than through its views, and what they show."""

    def __init__(self, walk: Walk, views: dict[int, list[int]], dead: dict[int, int]) -> None:
        self.walk = walk
        self.views = views
        self.dead = dead
        self.based = {view for group in views.values() for view in group}
        self.arrays = numpy_arrays.arrays()

    def __call__(self, node: int) -> bool:
        """Whether anything but views refers to ``node``."""
        return _references(self.walk, node) > len(self.views.get(node, ())) + self.dead.get(node, 0)

    def span(self, node: int) -> Span:
        """Return what an array or a view shows."""
        obj = self.walk.objects[node]
        if type(obj) is memoryview:
            return -1, -1, python_buffers.shown_bytes(obj)
        if self.arrays is not None and self.walk.kind(type(obj)).is_array:
            low, high = self.arrays.extent(obj)
            return low, high, min(high - low, self.arrays.nbytes(obj))
        return -1, -1, sys.maxsize  # not known what it shows: everything


def _memory_of(walk: Walk, owner: int) -> list[tuple[int, float]]:
    """Return the nodes that hold the data of ``owner``, with their bytes."""
    cls = type(walk.objects[owner])
    if python_buffers.owns_memory(cls):
        return [(owner, walk.sizes[owner])]
    if not walk.kind(cls).is_array:  # of another library, whose objects may share it
        return []
    buffers = [node for node in walk.edges[owner] if walk.objects[node] is None]
    found = [(node, walk.sizes[node]) for node in buffers]
    if owner in walk.spread:  # an array of objects: what they keep goes with their places
        found.append((owner, walk.sizes[owner]))
    return found
