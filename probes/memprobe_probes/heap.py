"""The snapshot driver: from named roots to the tables of a snapshot record.

Bytes are attributed to *sets* of holders, and an object whose reference count is larger than the
references the walk has met is held by something unnamed as well: its bytes are then never
promised to anybody. A native walker can replace ``Walk`` behind ``tables``: the record stays the
same.
"""

from __future__ import annotations

import time

from . import allocation_sites, sizes
from .containers import CONTAINERS
from .describe import describe
from .garbage import adopt_garbage, unmet
from .inside import parts
from .overlaps import settle
from .paths import path_to
from .pinned import pinned_bytes
from .roots import Root
from .sampling import SAMPLE
from .texts import strings
from .walk import BIG_CONTAINER, TooLong, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

LEAST_GROUP = 64 * 1024  # bytes below which a group is not worth a row
MAX_GROUPS = 300
NS_PER_OBJECT = 2_500  # first guess of the walk's cost; replaced by what was measured
_UNNAMED = "a reference that memprobe cannot name"


def attribute(walk: Walk, roots: Sequence[Root], nodes: Sequence[int]) -> list[int]:
    """Return per node the set of roots that reach it, as a bit mask; bit ``len(roots)`` is
    "something unnamed".

    A node with more references than the walk has met is reached by something unnamed too.
    """
    for node in nodes:
        if node >= 0:
            walk.incoming[node] += 1
    settle(walk)
    masks = _reached(walk, nodes)
    if adopt_garbage(walk, [bool(mask) for mask in masks]):
        settle(walk)
        masks = _reached(walk, nodes)
    for node in unmet(walk):
        _spread_mask(walk, masks, node, 1 << len(roots))
    named = (1 << len(roots)) - 1
    return [mask if mask & named else 0 for mask in masks]


def _reached(walk: Walk, nodes: Sequence[int]) -> list[int]:
    masks = [0] * len(walk.objects)
    for position, node in enumerate(nodes):
        if node >= 0:
            _spread_mask(walk, masks, node, 1 << position)
    return masks


def _spread_mask(walk: Walk, masks: list[int], node: int, mask: int) -> None:
    pending = [node]
    edges = walk.edges
    while pending:
        node = pending.pop()
        if masks[node] & mask == mask:
            continue
        masks[node] |= mask
        pending.extend(edges[node])


def tables(
    roots: list[Root], stop_ids: set[int], max_pause_ns: int, ns_per_object: float,
    asked: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Walk from ``roots`` and return the snapshot's tables.

    ``roots`` is emptied: its own references would count. ``asked``: attributes of holders whose
    own part of the bytes is wanted. Raises ``TooLong``.
    """
    started = time.thread_time_ns()
    estimate = int(estimate_objects(roots) * ns_per_object)
    if estimate > max_pause_ns:
        raise TooLong(f"it would pause for about {estimate / 1e6:.0f} ms")
    walk = Walk(stop_ids, started + max_pause_ns)
    nodes = [walk.add(root.take(), -1) for root in roots]
    walk.expand_all()
    named = len(walk.objects)
    masks = attribute(walk, roots, nodes)
    groups = _group(walk, masks, pinned_bytes(walk, named, masks))
    for number, inside in parts(walk, roots, nodes, masks, asked).items():
        roots[number].facts["parts"] = inside
    result = _rows(walk, roots, nodes, groups, masks)
    result["objects"] = len(walk.objects) + sum(walk.counts.values())
    result["estimate_ns"] = estimate
    result["pause_ns"] = time.thread_time_ns() - started
    result["nodes"] = len(walk.objects)
    return result


def estimate_objects(roots: Iterable[Root]) -> int:
    """Return about how many objects a walk from ``roots`` would touch."""
    total = 0
    for root in roots:
        obj = root.obj
        total += 30
        for container, _, length in CONTAINERS:
            if container in sizes.mro(type(obj)):
                size = length(obj)
                total += SAMPLE * 8 if size > BIG_CONTAINER else size * 4
    return total


class _Group:
    """Bytes that share one set of holders."""

    def __init__(self) -> None:
        self.bytes = 0.0
        self.variance = 0.0
        self.objects = 0
        self.largest = -1
        self.sampled = False
        self.pinned: float | None = None


def _group(walk: Walk, masks: list[int], pinned: dict[int, float]) -> dict[int, _Group]:
    groups: dict[int, _Group] = {}
    for node, mask in enumerate(masks):
        if not mask:
            continue
        group = groups.get(mask)
        if group is None:
            group = groups[mask] = _Group()
        group.bytes += walk.sizes[node]
        group.objects += 1 + walk.counts.get(node, 0)
        if node in walk.spread:
            group.variance += walk.spread[node]
            group.sampled = True
        if group.largest < 0 or walk.sizes[node] > walk.sizes[group.largest]:
            group.largest = node
    for node, nbytes in pinned.items():
        if masks[node]:
            groups[masks[node]].pinned = (groups[masks[node]].pinned or 0) + nbytes
    return groups


def _rows(
    walk: Walk, roots: list[Root], nodes: list[int], groups: dict[int, _Group], masks: list[int]
) -> dict[str, Any]:
    kept = sorted(groups.items(), key=lambda item: -item[1].bytes)[:MAX_GROUPS]
    kept = [(mask, group) for mask, group in kept if group.bytes >= LEAST_GROUP]
    used: set[int] = set()
    rows = []
    large = {mask for mask, group in kept if group.bytes >= allocation_sites.LEAST_GROUP}
    members = allocation_sites.members_of(masks, large)
    for mask, group in kept:
        holders = [bit for bit in range(len(roots) + 1) if mask >> bit & 1]
        used.update(holders)
        row = _group_row(walk, nodes, holders, group)
        if mask in members:
            row.update(allocation_sites.of_group(walk, members[mask]))
        rows.append(row)
    return {
        "holders": _holder_rows(walk, roots, nodes, sorted(used)),
        "groups": rows,
        "types": _type_rows(walk),
        "unmeasured": [
            {"what": name, "why": "its native data has no adapter in this version"}
            for name in sorted(walk.blind)
        ]
        + [
            {"what": f"the elements of a {name}", "why": "it changed while it was read"}
            for name in sorted(walk.changed)
        ],
    }


def _group_row(walk: Walk, nodes: list[int], holders: list[int], group: _Group) -> dict[str, Any]:
    path, via = path_to(walk, group.largest)
    start = _start(walk, group.largest)
    # The path begins at the holder that is named first.
    holders = sorted(holders, key=lambda one: one == len(nodes) or nodes[one] != start)
    margin = int(2 * group.variance**0.5)
    nbytes = int(group.bytes)
    largest = walk.objects[group.largest]
    return {
        "holders": holders,
        "bytes": nbytes,
        "low": max(0, nbytes - margin) if group.sampled else None,
        "high": nbytes + margin if group.sampled else None,
        "objects": group.objects,
        "top": "native buffer" if largest is None else sizes.type_name(type(largest)),
        "path": path,
        "via": via,
        "pinned": None if group.pinned is None else int(group.pinned),
    }


def _start(walk: Walk, node: int) -> int:
    """Return the root's node above ``node``, by the way the walk came."""
    while walk.parents[node] >= 0:
        node = walk.parents[node]
    return node


def _holder_rows(
    walk: Walk, roots: list[Root], nodes: list[int], used: list[int]
) -> list[dict[str, Any]]:
    rows = []
    for number in used:
        if number == len(roots):
            rows.append(
                {"id": number, "root": "interpreter", "expr": _UNNAMED, "object": -1, "type": ""}
            )
            continue
        root, node = roots[number], nodes[number]
        row = {"id": number, "root": root.kind, "expr": root.expr, "object": node}
        row["type"] = sizes.type_name(type(walk.objects[node]))
        row.update(describe(walk.objects[node]))
        text = strings(walk, walk.objects[node])
        if text is not None:
            row["strings"] = text
        row.update(root.facts)
        rows.append(row)
    return rows


def _type_rows(walk: Walk, most: int = 30) -> list[dict[str, Any]]:
    totals: dict[str, list[float]] = {}
    names: dict[int, str] = {}
    for obj, size in zip(walk.objects, walk.sizes):
        cls = type(obj)
        name = "native buffer" if obj is None else names.get(id(cls))
        if name is None:
            name = names[id(cls)] = sizes.type_name(cls)
        row = totals.setdefault(name, [0, 0])
        row[0] += 1
        row[1] += size
    largest = sorted(totals.items(), key=lambda item: -item[1][1])[:most]
    return [{"type": name, "count": row[0], "bytes": int(row[1])} for name, row in largest]
