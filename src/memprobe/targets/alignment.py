"""Which lines of a user's script do the work of which cell: by their statements, in order.

Equal statements are matched first, without regard to layout and comments. What lies between two
matches is matched again by the names it binds: a statement that was changed a little still makes
the same thing.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass

from memprobe.statements import first_line
from memprobe.targets.derived_script import Cell, Script, Start
from memprobe_probes.names import of_cell


@dataclass(frozen=True)
class Statement:
    """A top-level statement: where it begins, the cell it is of, and what it is compared by."""

    line: int
    cell: int
    text: str
    binds: frozenset[str]


def align(content: bytes, cells: list[Cell], name: str) -> Script:
    """Return where the cells' steps begin in the script ``content``, and what has no partner."""
    own = _statements(ast.parse(content), 0)
    theirs = [one for cell in cells for one in _of_cell(cell)]
    partner = _matched(own, theirs)
    script = Script("")
    _add_starts(script, own, partner, cells)
    _add_notes(script, own, partner, cells, name)
    return script


def _statements(tree: ast.Module, cell: int) -> list[Statement]:
    return [
        Statement(first_line(node), cell, ast.dump(node), _binds(node))
        for node in tree.body
        if not _is_text(node)
    ]


def _of_cell(cell: Cell) -> list[Statement]:
    try:
        return _statements(ast.parse(cell.source), cell.number)
    except (SyntaxError, ValueError):
        return []


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _binds(node: ast.stmt) -> frozenset[str]:
    return frozenset(of_cell(ast.unparse(node)).bound)


def _matched(own: list[Statement], theirs: list[Statement]) -> dict[int, int]:
    """Return position in ``own`` → cell, in order: no match crosses another."""
    exact = difflib.SequenceMatcher(
        None, [one.text for one in own], [one.text for one in theirs], autojunk=False
    )
    found: dict[int, int] = {}
    here = there = 0
    for block in exact.get_matching_blocks():
        found.update(_by_names(own, theirs, (here, block.a), (there, block.b)))
        for step in range(block.size):
            found[block.a + step] = theirs[block.b + step].cell
        here, there = block.a + block.size, block.b + block.size
    return found


def _by_names(
    own: list[Statement], theirs: list[Statement], here: tuple[int, int], there: tuple[int, int]
) -> dict[int, int]:
    mine = own[here[0] : here[1]]
    other = theirs[there[0] : there[1]]
    matcher = difflib.SequenceMatcher(
        None,
        [one.binds or frozenset([one.text]) for one in mine],
        [one.binds or frozenset([one.text]) for one in other],
        autojunk=False,
    )
    return {
        here[0] + block.a + step: other[block.b + step].cell
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    }


def _add_starts(
    script: Script, own: list[Statement], partner: dict[int, int], cells: list[Cell]
) -> None:
    by_number = {cell.number: cell for cell in cells}
    last = 0
    for position, statement in enumerate(own):
        number = partner.get(position, 0)
        if number > last:
            cell = by_number[number]
            script.starts.append(Start(statement.line, cell.name, cell.hash))
            last = number


def _add_notes(
    script: Script, own: list[Statement], partner: dict[int, int], cells: list[Cell], name: str
) -> None:
    lines = [one.line for position, one in enumerate(own) if position not in partner]
    if not script.starts:
        script.notes.append((f"the steps of {name}", "none of its statements is one of the cells'"))
        return
    if lines:
        shown = ", ".join(map(str, lines[:8])) + (" …" if len(lines) > 8 else "")
        script.notes.append(
            (f"which cell {name} does in line {shown}", "no cell has that statement")
        )
    matched = set(partner.values())
    for cell in cells:
        if cell.number not in matched and _of_cell(cell):
            script.notes.append((f"{cell.name} in {name}", "no statement of it is in the script"))
