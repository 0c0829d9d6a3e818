"""What is inside of a holder, in words and as a tree for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memprobe.findings import HeldObject, HolderRow, InnerRow, Inside
from memprobe.reporters.amounts import counted, percent, size
from memprobe.reporters.inside_tree import Line, Node, lines
from memprobe.reporters.phrases import described
from memprobe.reporters.printable import printable
from memprobe.reporters.trace import shortened

LARGE_OWN = 0.1  # share of an object's bytes that are its own and get told
WIDE = 100
LEFT_SHARE = 0.46  # of the width for the tree; longer names lose their middle
TITLES = ("", "object", "keeps", "share", "objects")
OBJECT = 1  # the column that is cut where there is no room
GAP = 2
MOST_SHORT = 8  # columns that a name has in any case
MOST_NAMES = 3
MOST_COLUMNS = 6


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


def text_of(line: Line) -> str:
    """Return an edge, how many objects of a type there are, or how many more."""
    node = line.node
    if node is None:
        return f"… {counted(line.rest[1], 'more object')}" if line.rest[1] else "… the rest"
    if node.row.count > 1:
        return printable(f"{node.edge} × {node.row.count:,}".strip())
    return printable(node.edge)


def words(node: Node, *, brief: bool = False) -> str:
    """Return an object's type and extent, which columns it holds, and what is remarkable."""
    held = node.row.object
    kind = printable(held.type)
    kind = kind.rpartition(".")[2] if brief else kind
    extent = _columns(node.columns) or _extent(node.row)
    found = [kind, *_dtype(held, brief), extent]
    if node.first.shared_inside:
        found.append("(shared inside)")
    if _own_is_large(node):
        found.append(f"(own {size(node.row.own_bytes)})")
    return " ".join(filter(None, found))


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
    edge = shortened(text_of(line), max(MOST_SHORT, room - cell_len(line.before)))
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
