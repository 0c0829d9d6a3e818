"""Which statements of a notebook could read a name: on the safe side, functions included.

A name counts as used where a statement mentions it, or mentions something that may read it later:
a function, a class, a lambda or a generator expression that has it inside.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memprobe.edits.cell_source import CellSource
from memprobe_probes.names import of_cell

_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.GeneratorExp)
_COLLECTING = frozenset(
    {"toPandas", "toArrow", "collect", "count", "first", "head", "take", "tail", "isEmpty"}
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
WORD = re.compile(r"[^\W\d]\w*")
_SHARES_NAMES = re.compile(r"^\s*%run\s+(?:.*\s-i\b|-i\b|.*\.ipynb\b|\.{0,2}/)", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Place:
    """A statement group: cell and group, both counted from 0. ``group`` -1: the cell as a whole."""

    cell: int
    group: int


class Uses:
    """Answers for all cells of one notebook, in the order in which they run."""

    def __init__(self, cells: Sequence[CellSource], seen: Sequence[set[str]] = ()) -> None:
        """``seen``: per cell, the names that it was seen to use or bind when it ran."""
        self.cells = cells
        self._seen = seen
        self._inside: dict[str, set[str]] = {}
        self._lasting: set[str] = set()  # whose results carry what they carry themselves
        for cell in cells:
            for group in cell.groups or ():
                self._learn(group.nodes)
        self._touched = [self._of_cell(number) for number in range(len(cells))]

    def last(self, names: Iterable[str]) -> Place | None:
        """Return the last group that could read or bind one of ``names``."""
        wanted = set(names)
        for cell in range(len(self.cells) - 1, -1, -1):
            groups = self._touched[cell]
            found = [at for at, touched in enumerate(groups) if touched & wanted]
            if found:
                return Place(cell, found[-1])
            if cell < len(self._seen) and self._seen[cell] & wanted:
                return Place(cell, len(groups) - 1)
            if self.cells[cell].groups is None and self._in_text(cell, wanted):
                return Place(cell, -1)
        return None

    def touches(self, place: Place, name: str) -> bool:
        """Whether a group could read or bind a name."""
        return name in self._touched[place.cell][place.group]

    def made_from(self, name: str) -> set[str]:
        """Return the names that may hold something that reads ``name`` later, itself included.

        What a call has collected into Python reads nothing any more.
        """
        found = {name}
        for cell in self.cells:
            for group in cell.groups or ():
                for node in group.nodes:
                    names = of_cell(ast.unparse(node))
                    if names.used & found and not _collects(node):
                        found |= set(names.bound)
        return found

    def _of_cell(self, number: int) -> list[set[str]]:
        cell = self.cells[number]
        if _SHARES_NAMES.search(cell.raw):
            everything = {name for one in self.cells for name in WORD.findall(one.raw)}
            return [everything for _ in cell.groups or ()]
        return [self._of_group(group.source) for group in cell.groups or ()]

    def _of_group(self, source: str) -> set[str]:
        found = of_cell(source)
        touched = set(found.used) | set(found.bound) | found.deleted
        pending = list(found.used)
        while pending:
            for name in self._inside.get(pending.pop(), set()) - touched:
                touched.add(name)
                pending.append(name)
        return touched

    def _learn(self, nodes: Iterable[ast.stmt]) -> None:
        """Note what is inside of functions and the like, under each name that may carry them.

        An instance carries what its class does, and a name given to a function what that does. A
        function's result carries nothing, unless the function makes what runs later.
        """
        for node in nodes:
            bodies = [one for one in ast.walk(node) if isinstance(one, _LATER)]
            inside = {name for body in bodies for name in _mentioned(body)}
            for carrier in _handed_on(node, self._lasting) & self._inside.keys():
                inside |= self._inside[carrier]
            if not inside:
                continue
            bound = of_cell(ast.unparse(node)).bound
            for carrier in bound:
                self._inside.setdefault(carrier, set()).update(inside)
            if not isinstance(node, _FUNCTIONS) or _makes_what_runs_later(node):
                self._lasting.update(bound)

    def _in_text(self, cell: int, wanted: set[str]) -> bool:
        return not wanted.isdisjoint(WORD.findall(self.cells[cell].raw))


def _handed_on(node: ast.stmt, lasting: set[str]) -> set[str]:
    """Return the names that a statement mentions without calling them, and the lasting ones."""
    called = {
        id(one.func) for one in ast.walk(node)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
        and one.func.id not in lasting
    }  # fmt: skip
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and id(one) not in called}


def _makes_what_runs_later(function: ast.stmt) -> bool:
    inner = [one for one in ast.walk(function) if one is not function]
    return any(isinstance(one, (*_LATER, ast.Yield, ast.YieldFrom)) for one in inner)


def _collects(node: ast.stmt) -> bool:
    """Whether a statement binds only what a call has brought into Python."""
    value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
    if isinstance(value, ast.Subscript):
        value = value.value  # df.first()[0]
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    return value.func.attr in _COLLECTING


def _mentioned(body: ast.AST) -> set[str]:
    found = {one.id for one in ast.walk(body) if isinstance(one, ast.Name)}
    texts = [one.value for one in ast.walk(body) if isinstance(one, ast.Constant)]
    return found | {word for text in texts if isinstance(text, str) for word in WORD.findall(text)}
