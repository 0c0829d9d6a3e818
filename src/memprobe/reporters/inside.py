"""What is inside of a holder, for a reader: the few rows that matter, in words.

Objects that only lead on are shown as one step with what they lead to (``._mgr.blocks``), the
memory of an array as the array. What is left out is summed up, so that every byte is told.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memprobe.findings import HeldObject, HolderRow, InnerRow, Inside
from memprobe.reporters.amounts import counted, percent, size
from memprobe.reporters.phrases import described
from memprobe.reporters.printable import printable
from memprobe.reporters.trace import shortened

MOST_ROWS = 28  # of one holder
MOST_BELOW = 10  # of one object
MOST_DEEP = 6
LEAST_SHARE = 0.01  # of a holder that is worth a row
LEADS_ON = 0.99  # so much of an object in one other: it only leads there
LARGE_OWN = 0.1  # share of an object's bytes that are its own and get told
BUFFER = "native buffer"
BRANCH, LAST, PIPE, BLANK = "├─ ", "╰─ ", "│  ", "   "
WIDE = 100
LEFT_SHARE = 0.46  # of the width for the tree; longer names lose their middle
TITLES = ("", "object", "keeps", "share", "objects")
OBJECT = 1  # the column that is cut where there is no room
GAP = 2
MOST_SHORT = 8  # columns that a name has in any case
MOST_NAMES = 3
MOST_COLUMNS = 6


@dataclass
class Node:
    """One row as it is shown: an object, and what of it is shown below.

    ``row`` is the object that the first one, of ``bytes``, leads to.
    """

    edge: str
    row: InnerRow
    bytes: int
    objects: int
    columns: list[int]
    shared_inside: bool
    below: list[Node] = field(default_factory=list)  # all that may be shown
    alike: list[Node] = field(default_factory=list)  # that this one is the sum of
    shown: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """A line of the tree: what is left out has no ``row``."""

    depth: int
    before: str  # the signs of the tree
    node: Node | None
    rest: tuple[int, int] = (0, 0)  # bytes, objects

    @property
    def text(self) -> str:
        """The edge, or how many objects of what type, or how many more there are."""
        if self.node is None:
            return f"… {counted(self.rest[1], 'more object')}" if self.rest[1] else "… the rest"
        if self.node.row.count > 1:
            return printable(f"{self.node.edge} × {self.node.row.count:,}".strip())
        return printable(self.node.edge)


def parts(rows: list[HolderRow], width: int) -> Iterator[RenderableType]:
    """Yield a tree for each of ``rows`` that was looked into, for ``width`` columns."""
    for row in rows:
        if row.inside is None:
            continue
        yield ""
        yield heading(row)
        if row.inside.rows:
            yield _table(row.inside, width)
        for sentence in sentences(row):
            yield Padding(Text(sentence, "dim"), (0, 0, 0, 2))


def heading(row: HolderRow) -> Text:
    """Return ``Inside store  Store, 62.0 MiB in 10 objects``."""
    assert row.inside is not None
    held = " ".join(filter(None, [printable(row.object.type), described(row.object)]))
    amount = f"{size(row.inside.bytes)} in {counted(row.inside.objects, 'object')}"
    name = printable(row.exprs[0])
    return Text.assemble((f"Inside {name}", "bold"), f"   {held} · {amount}")


def sentences(row: HolderRow) -> Iterator[str]:
    """Yield who else keeps it, and what it keeps only together with others."""
    told = row.inside
    assert told is not None
    if len(row.exprs) > 1:
        yield f"one object under the names {names(row.exprs)}"
    if told.kept_with:
        yield f"kept by {names(told.kept_with)} as well: it comes back when all of them let go"
    if told.shared_bytes:
        kept = f"kept by {names(told.shared_with)} as well: not inside"
        yield f"{size(told.shared_bytes)} more that it reaches are {kept}"
    if not told.last:
        after = f" after cell {told.cell}" if told.cell is not None else ""
        yield f"from an earlier snapshot{after}: later ones did not look inside"


def names(exprs: list[str]) -> str:
    """Return ``df``, ``df and Out[3]`` or ``df, Out[3], _3 and 4 more``."""
    shown = [printable(expr) for expr in exprs]
    if len(shown) > MOST_NAMES + 1:
        return ", ".join(shown[:MOST_NAMES]) + f" and {len(shown) - MOST_NAMES} more"
    return ", ".join(shown[:-1]) + f" and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def lines(inside: Inside) -> Iterator[Line]:
    """Yield the lines of the tree, the largest of each object first."""
    nodes = [_node(row) for row in inside.rows if not _is_buffer(row)]
    shown = _with_alike(nodes, _chosen(nodes, inside.bytes), inside.bytes)
    rest = inside.bytes - inside.own_bytes, inside.objects - 1
    yield from _lines(shown, _left(rest, inside.rows, shown), inside.bytes, 0, "")


def words(node: Node, *, brief: bool = False) -> str:
    """Return an object's type and extent, which columns it holds, and what is remarkable."""
    held = node.row.object
    kind = printable(held.type)
    kind = kind.rpartition(".")[2] if brief else kind
    extent = _columns(node.columns) or _extent(node.row)
    found = [kind, *_dtype(held, brief), extent]
    if node.shared_inside:
        found.append("(shared inside)")
    if _own_is_large(node):
        found.append(f"(own {size(node.row.own_bytes)})")
    return " ".join(filter(None, found))


def _node(row: InnerRow) -> Node:
    """Return a row with what it leads to as one step."""
    node = Node(row.edge, row, row.bytes, row.objects, row.columns, row.shared_inside)
    while (next_row := _leads_to(node.row)) is not None:
        node.edge += next_row.edge if next_row.edge[:1] in ".[·" else f" {next_row.edge}"
        node.columns = node.columns or next_row.columns
        node.row = next_row
    for one in node.row.rows:
        if not _is_buffer(one):
            node.below.append(_node(one))
    return node


def _leads_to(row: InnerRow) -> InnerRow | None:
    largest = row.rows[0] if row.rows else None
    if largest is None or _is_buffer(largest) or largest.count > 1 or largest.shared_inside:
        return None
    return largest if largest.bytes >= LEADS_ON * row.bytes else None


def _is_buffer(row: InnerRow) -> bool:
    """Whether it is memory of the object that it lies in."""
    return row.object.type == BUFFER and row.count == 1 and not row.shared_inside


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


def _with_alike(nodes: list[Node], shown: list[Node], whole: int) -> list[Node]:
    """Return ``shown`` with those of ``nodes`` that are too many to be shown summed up by kind."""
    kinds: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        if not any(node is one for one in shown) and not node.shared_inside:
            kinds.setdefault((_general(node.edge), node.row.object.type), []).append(node)
    for (edge, kind), alike in kinds.items():
        nbytes = sum(one.bytes for one in alike)
        if len(alike) > 1 and nbytes >= LEAST_SHARE * whole:
            shown.append(_sum(edge, kind, nbytes, alike))
    return sorted(shown, key=lambda node: -node.bytes)


def _sum(edge: str, kind: str, nbytes: int, alike: list[Node]) -> Node:
    objects = sum(one.objects for one in alike)
    number = sum(one.row.count for one in alike)
    row = InnerRow(
        edge=edge, object=HeldObject(type=kind), bytes=nbytes, share=0.0, own_bytes=0,
        objects=objects, count=number,
    )  # fmt: skip
    return Node(edge, row, nbytes, objects, [], False, alike=alike)


def _general(edge: str) -> str:
    """Return an edge with every number in it as ``*``."""
    return re.sub(r"\[\d+\]", "[*]", edge)


def _lines(
    nodes: list[Node], rest: tuple[int, int], whole: int, depth: int, before: str
) -> Iterator[Line]:
    worth_a_line = rest[0] >= LEAST_SHARE * whole / 2 and rest[0] > 0
    for at, node in enumerate(nodes):
        is_last = at == len(nodes) - 1 and not worth_a_line
        yield Line(depth, before + (LAST if is_last else BRANCH), node)
        row = node.row
        if node.shown:
            shown = _with_alike(node.below, node.shown, whole)
            left = _left((row.bytes - row.own_bytes, row.objects - 1), row.rows, shown)
            deeper = before + (BLANK if is_last else PIPE)
            yield from _lines(shown, left, whole, depth + 1, deeper)
    if worth_a_line:
        yield Line(depth, before + LAST, None, rest)


def _left(all_of_it: tuple[int, int], rows: list[InnerRow], shown: list[Node]) -> tuple[int, int]:
    """Return bytes and objects that neither ``shown`` nor the object's own memory tells."""
    nodes = [one for node in shown for one in (node.alike or [node])]
    told = [one for one in rows if _is_buffer(one) or any(_begins(node, one) for node in nodes)]
    nbytes = all_of_it[0] - sum(one.bytes for one in told)
    return nbytes, all_of_it[1] - sum(one.objects for one in told)


def _begins(node: Node, row: InnerRow) -> bool:
    """Whether ``node`` is shown for ``row``, or for what that only leads to."""
    while True:
        if node.row is row:
            return True
        below = _leads_to(row)
        if below is None:
            return False
        row = below


def _extent(row: InnerRow) -> str:
    """Return the extent of an array or container; of a text its bytes say it."""
    if row.object.type in ("bytes", "bytearray", "str"):
        return ""
    return described(row.object)


def _dtype(held: HeldObject, brief: bool) -> list[str]:
    """Return what an array consists of, where there is room for it."""
    return [] if brief or len(held.dtypes) != 1 else [printable(next(iter(held.dtypes)))]


def _columns(numbers: list[int]) -> str:
    if not numbers:
        return ""
    shown = ", ".join(map(str, numbers[:MOST_COLUMNS]))
    more = ", …" if len(numbers) > MOST_COLUMNS else ""
    return f"column{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _own_is_large(node: Node) -> bool:
    row = node.row
    return row.objects > row.count and row.own_bytes >= LARGE_OWN * row.bytes and bool(row.rows)


def _table(inside: Inside, width: int) -> Table:
    room = int(width * LEFT_SHARE)
    rows = [_cells(line, inside.bytes, room, wide=width >= WIDE) for line in lines(inside)]
    taken = sum(
        max(cell_len(title), *(row[at].cell_len for row in rows)) + GAP
        for at, title in enumerate(TITLES)
        if at != OBJECT
    )
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim not bold")
    for at, title in enumerate(TITLES):
        table.add_column(
            title, no_wrap=True, overflow="ellipsis", justify="left" if at <= OBJECT else "right",
            max_width=max(MOST_SHORT, width - taken) if at == OBJECT else None,
        )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    return table


def _cells(line: Line, whole: int, room: int, *, wide: bool) -> list[Text]:
    tree = Text(line.before, "dim")
    edge = shortened(line.text, max(MOST_SHORT, room - cell_len(line.before)))
    node = line.node
    if node is None:
        tree.append(edge, "dim")
        share = _share(line.rest[0], whole)
        return [tree, Text(), Text(size(line.rest[0]), "dim"), Text(share, "dim"), Text()]
    tree.append(edge)
    held = Text(words(node, brief=not wide))
    objects = Text(f"{node.objects:,}", "dim")
    return [tree, held, Text(size(node.bytes), "bold"), Text(_share(node.bytes, whole)), objects]


def _share(nbytes: int, whole: int) -> str:
    return percent(nbytes / whole) if whole else "–"
