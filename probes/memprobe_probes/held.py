"""Who holds how much just now, and what two such looks differ in.

One walk from named roots gives bytes per *set* of holders. Unlike a snapshot's tables nothing
small is left out, so that two looks can be compared to the byte.
"""

from __future__ import annotations

import functools
import time
from typing import Any, NamedTuple

from . import heap, sizes
from .paths import path_to
from .roots import Root
from .walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Key = frozenset[str]  # the expressions of the holders that keep the same bytes
MOST_PATHS = 20
_LRU_CACHE = type(functools.lru_cache(lambda: None))


class Share(NamedTuple):
    """Bytes kept by one set of holders; ``margin`` is what sampling leaves open."""

    bytes: float
    margin: float
    top: str  # type of the largest object
    path: tuple[str, ...]  # edges from a holder to that object; empty where nobody asked


class Holder(NamedTuple):
    """One named reference: its root kind, the type it refers to, and whether it is bounded."""

    kind: str
    type: str
    bounded: bool  # an lru_cache with a maxsize: it grows up to there and no further


class Held:
    """One look: ``shares`` by set of holders, and every holder by its expression."""

    def __init__(self, shares: dict[Key, Share], holders: dict[str, Holder]) -> None:
        self.shares = shares
        self.holders = holders

    def keeps(self, expr: str) -> bool:
        """Whether ``expr`` was a holder at this look."""
        return expr in self.holders

    def is_bounded(self, key: Key) -> bool:
        """Whether nothing but bounded caches keeps these bytes."""
        return all(expr in self.holders and self.holders[expr].bounded for expr in key)


def look(roots: list[Root], stops: set[int], max_pause_ns: int, before: Held | None = None) -> Held:
    """Walk from ``roots`` (emptied) and return who holds what; raises ``walk.TooLong``.

    With ``before``, what has grown since gets its path.
    """
    holders = {root.expr: _holder(root) for root in roots}
    walk = Walk(stops, time.thread_time_ns() + max_pause_ns)
    nodes = [walk.add(root.take(), -1) for root in roots]
    walk.expand_all()
    groups = _grouped(walk, roots, heap.attribute(walk, roots, nodes))
    shares = {key: group.share() for key, group in groups.items()}
    if before is not None:
        grown = sorted(increase(before.shares, shares).items(), key=lambda item: -item[1])
        for key, _ in grown[:MOST_PATHS]:
            path = _path(walk, roots, nodes, groups[key].largest)
            shares[key] = shares[key]._replace(path=path)
    return Held(shares, holders)


def changes(before: dict[Key, Share], after: dict[Key, Share]) -> dict[Key, float]:
    """Return by how many bytes each set of holders changed, beyond what sampling leaves open."""
    found = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key, _NOTHING), after.get(key, _NOTHING)
        change = new.bytes - old.bytes
        if abs(change) > old.margin + new.margin:
            found[key] = change
    return found


def increase(before: dict[Key, Share], after: dict[Key, Share]) -> dict[Key, float]:
    """Return what each set of holders keeps more than before, in bytes.

    Bytes that only moved count nowhere: an object that got one more holder leaves one set and
    appears in another that shares a holder with it.
    """
    found = changes(before, after)
    gone = {key: -change for key, change in found.items() if change < 0}
    more = {key: change for key, change in found.items() if change > 0}
    for key in sorted(more, key=lambda key: -more[key]):
        for other in gone:
            if not key.isdisjoint(other):
                moved = min(more[key], gone[other])
                more[key] -= moved
                gone[other] -= moved
    return {key: change for key, change in more.items() if change >= 1}


_NOTHING = Share(0.0, 0.0, "", ())


class _Group:
    """What one set of holders keeps, while it is summed up."""

    def __init__(self) -> None:
        self.bytes = 0.0
        self.variance = 0.0
        self.largest = -1
        self.largest_size = -1.0
        self.top = ""

    def share(self) -> Share:
        return Share(self.bytes, 2 * self.variance**0.5, self.top, ())


def _grouped(walk: Walk, roots: Sequence[Root], masks: Iterable[int]) -> dict[Key, _Group]:
    keys: dict[int, Key] = {}
    groups: dict[Key, _Group] = {}
    for node, mask in enumerate(masks):
        if not mask:
            continue
        key = keys.get(mask)
        if key is None:
            key = keys[mask] = frozenset(
                root.expr for bit, root in enumerate(roots) if mask >> bit & 1
            )
        group = groups.setdefault(key, _Group())
        group.bytes += walk.sizes[node]
        group.variance += walk.spread.get(node, 0.0)
        if walk.sizes[node] > group.largest_size:
            group.largest, group.largest_size = node, walk.sizes[node]
    for group in groups.values():
        largest = walk.objects[group.largest]
        group.top = "native buffer" if largest is None else sizes.type_name(type(largest))
    return groups


def _path(walk: Walk, roots: Sequence[Root], nodes: list[int], node: int) -> tuple[str, ...]:
    """Return the holder that leads to ``node`` and the edges from there."""
    steps, _ = path_to(walk, node)
    first = node
    while walk.parents[first] >= 0:
        first = walk.parents[first]
    begin = next((root.expr for root, at in zip(roots, nodes) if at == first), "")
    return (begin, *(step["edge"] for step in steps))


def _holder(root: Root) -> Holder:
    return Holder(root.kind, sizes.type_name(type(root.obj)), _is_bounded(root))


def _is_bounded(root: Root) -> bool:
    cache: Any = root.facts.get("cache")
    if type(root.obj) is _LRU_CACHE:
        cache = {"maxsize": _LRU_CACHE.cache_info(root.obj).maxsize}
    return type(cache) is dict and cache.get("maxsize") is not None
