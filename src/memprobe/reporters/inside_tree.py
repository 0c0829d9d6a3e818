"""Which rows of what is inside of a holder a reader is shown: the few that matter.

Objects that only lead on are one step with what they lead to (``._mgr.blocks``), the memory of an
array is the array, and many of a kind are one row with the largest of them as an example. What is
left out is summed up.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from memprobe.findings import HeldObject, InnerRow, Inside

MOST_ROWS = 28  # of one holder
MOST_BELOW = 10  # of one object
MOST_DEEP = 7
LEAST_SHARE = 0.01  # of a holder that is worth a row
LEADS_ON = 0.99  # so much of an object in one other: it only leads there
MANY = 4  # so many of a kind are one row
ALIKE = 3  # of which the largest is at most so many times the smallest
BUFFER = "native buffer"
BRANCH, LAST, PIPE, BLANK = "├─ ", "╰─ ", "│  ", "   "


@dataclass
class Node:
    """One row as it is shown.

    ``first`` is what lies in the object above, ``row`` the object that it leads to, ``parts`` the
    one whose rows are shown below. Several of a kind have ``alike``.
    """

    edge: str
    first: InnerRow
    row: InnerRow
    parts: InnerRow
    columns: list[int]
    alike: list[Node] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)  # all that may be shown
    shown: list[Node] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What it keeps."""
        return self.first.bytes

    @property
    def objects(self) -> int:
        """How many objects it keeps."""
        return self.first.objects


@dataclass(frozen=True)
class Line:
    """A line of the tree. Without ``node`` it is the rest: bytes and number of objects."""

    depth: int
    before: str  # the signs of the tree
    node: Node | None
    rest: tuple[int, int] = (0, 0)


def lines(inside: Inside) -> Iterator[Line]:
    """Yield the lines of the tree, the largest of each object first."""
    whole = inside.bytes
    nodes = _nodes(inside.rows)
    rest = whole - inside.own_bytes, inside.objects - 1
    yield from _lines(nodes, _chosen(nodes, whole), inside.rows, rest, whole, "")


def _nodes(rows: list[InnerRow]) -> list[Node]:
    return _many_as_one([_node(row) for row in rows if not _is_buffer(row)], MANY, ALIKE)


def _node(row: InnerRow) -> Node:
    """Return a row with what it leads to as one step.

    A frame or an array is what a reader knows: it is a row of its own, and the container that it
    leads to is none. A view and what it shows are one.
    """
    node = Node(row.edge, row, row, row, row.columns)
    while (below := _leads_to(node.row)) is not None:
        if node.row.object.shape and below.edge != ".base":
            break
        node.edge += below.edge if below.edge[:1] in (".", "[", "·") else f" {below.edge}"
        node.columns = node.columns or below.columns
        node.row = node.parts = below
    node.below = _nodes(node.row.rows)
    only = node.below[0] if node.row.object.shape and _leads_to(node.row) else None
    if only is not None and only.below and not only.alike and not only.row.object.shape:
        node.parts, node.below = only.parts, only.below
        for one in node.below:
            one.edge = f"…{one.edge}"
    return node


def _leads_to(row: InnerRow) -> InnerRow | None:
    largest = row.rows[0] if row.rows else None
    if largest is None or _is_buffer(largest) or largest.count > 1 or largest.shared_inside:
        return None
    return largest if largest.bytes >= LEADS_ON * row.bytes else None


def _is_buffer(row: InnerRow) -> bool:
    """Whether it is memory of the object that it lies in."""
    return row.object.type == BUFFER and row.count == 1 and not row.shared_inside


def _many_as_one(nodes: list[Node], many: int, alike: float) -> list[Node]:
    """Return ``nodes``, largest first, with those of a kind as one where they are ``many``.

    The largest of them is at most ``alike`` times the smallest.
    """
    found = [node for node in nodes if node.first.shared_inside]
    kinds: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        if not node.first.shared_inside:
            kinds.setdefault((_general(node.edge), node.row.object.type), []).append(node)
    for (edge, kind), group in kinds.items():
        while group:
            size = sum(one.bytes * alike >= group[0].bytes for one in group)
            size = size if size >= many else 1
            found.append(_sum(edge, kind, group[:size]) if size > 1 else group[0])
            group = group[size:]
    return sorted(found, key=lambda node: -node.bytes)


def _sum(edge: str, kind: str, group: list[Node]) -> Node:
    row = InnerRow(
        edge=edge,
        object=HeldObject(type=kind),
        bytes=sum(one.bytes for one in group),
        share=0.0,
        own_bytes=0,
        objects=sum(one.objects for one in group),
        count=sum(one.row.count for one in group),
    )
    node = Node(edge, row, row, row, [], alike=group)
    if group[0].below:
        group[0].edge = f"such as {group[0].edge}"
        node.below = group[:1]
    return node


def _general(edge: str) -> str:
    """Return an edge with every number in it as ``*``."""
    return re.sub(r"\[\d+\]", "[*]", edge)


def _chosen(nodes: list[Node], whole: int) -> list[Node]:
    """Choose what is shown, largest first, and return what of ``nodes`` is."""
    order = count()
    top: list[Node] = []
    heap = [(-one.bytes, next(order), 0, one, top) for one in nodes]
    heapq.heapify(heap)
    left = MOST_ROWS
    while heap and left:
        _, _, depth, node, place = heapq.heappop(heap)
        if node.bytes < LEAST_SHARE * whole or len(place) >= MOST_BELOW:
            continue
        place.append(node)
        left -= 1
        for one in node.below if depth + 1 < MOST_DEEP else ():
            heapq.heappush(heap, (-one.bytes, next(order), depth + 1, one, node.shown))
    return top


def _lines(
    nodes: list[Node], chosen: list[Node], rows: list[InnerRow], rest: tuple[int, int], whole: int,
    before: str,
) -> Iterator[Line]:  # fmt: skip
    """Yield the lines of ``chosen`` and what lies in them, and what of ``rest`` nothing tells."""
    shown = _with_others(nodes, chosen, whole)
    told = [*filter(_is_buffer, rows), *(each.first for node in shown for each in _all(node))]
    rest = rest[0] - sum(one.bytes for one in told), rest[1] - sum(one.objects for one in told)
    depth = len(before) // len(PIPE)
    worth_a_line = rest[0] > 0 and rest[0] >= LEAST_SHARE * whole / 2
    for at, node in enumerate(shown):
        is_last = at == len(shown) - 1 and not worth_a_line
        yield Line(depth, before + (LAST if is_last else BRANCH), node)
        if node.shown:
            parts = node.parts
            left = parts.bytes - parts.own_bytes, parts.objects - 1
            deeper = before + (BLANK if is_last else PIPE)
            left = (0, 0) if node.alike else left
            yield from _lines(node.below, node.shown, parts.rows, left, whole, deeper)
    if worth_a_line:
        yield Line(depth, before + LAST, None, rest)


def _with_others(nodes: list[Node], chosen: list[Node], whole: int) -> list[Node]:
    """Return ``chosen``, and the others of a kind as one where together they are worth a row."""
    others = [one for one in nodes if not any(one is each for each in chosen)]
    sums = [one for one in _many_as_one(others, 2, float("inf")) if one.alike]
    sums = [one for one in sums if one.bytes >= LEAST_SHARE * whole]
    return sorted([*chosen, *sums], key=lambda node: -node.bytes)


def _all(node: Node) -> list[Node]:
    """Return the nodes that one stands for."""
    return [each for one in node.alike for each in _all(one)] if node.alike else [node]
