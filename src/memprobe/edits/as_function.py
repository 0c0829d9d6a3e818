"""Throw-away names of one cell as the locals of a function, which lets go of all of them.

Only where that changes nothing else: a wrong edit is worse than none. The statements from the first
that has such a name to the last become the body of a function, which is called at once. They are
plain Python, define nothing themselves, display nothing, and bind no name that anything outside of
them could look up, save one: the result.
"""

from __future__ import annotations

import ast
import io
import re
import symtable
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memprobe.edits.cell_source import CellSource, Group
from memprobe.edits.uses import WORD

LEAST_NAMES = 2  # one name goes by a ``del``, which is smaller
INDENT = "    "
# What lists names, reads them by text or looks into the notebook's namespace or a frame.
_LOOKS = re.compile(
    r"\b(?:globals|locals|vars|dir|eval|exec|__main__|get_ipython|user_ns|_getframe|currentframe|"
    r"dump_session|dump_module|ast_node_interactivity|NameError)\b|%(?:who|whos|who_ls|store|reset|"
    r"reset_selective|psearch|notebook|run|macro|save|autoreload)\b"
)
_NOT_IN_A_FUNCTION = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Import, ast.ImportFrom,
    ast.Global, ast.Nonlocal, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom,
    ast.Return, ast.Delete,
)  # fmt: skip


@dataclass(frozen=True)
class Range:
    """The statement groups ``first`` to ``last`` of a cell, both included, as one piece."""

    cell: CellSource
    first: int
    last: int

    @property
    def groups(self) -> Sequence[Group]:
        """Return the groups themselves."""
        assert self.cell.groups is not None
        return self.cell.groups[self.first : self.last + 1]

    @property
    def lines(self) -> tuple[int, int]:
        """Return the first and the last raw line, 1-based."""
        first, last = self.groups[0].first, self.groups[-1].last
        assert first is not None
        assert last is not None
        return first, last

    def body(self) -> list[str]:
        """Return its raw lines."""
        first, last = self.lines
        return self.cell.lines[first - 1 : last]


def wrapped(
    number: int, names: Sequence[str], cells: Sequence[CellSource], known: set[str]
) -> str | None:
    """Return the text of cell ``number`` (from 0) with a function, or None where it is not sure.

    ``names``: what a ``del`` in that cell would let go of. ``known``: what other cells were seen
    to use when they ran, and what something may read at any time.
    """
    cell = cells[number]
    if len(names) < LEAST_NAMES or any(_LOOKS.search(one.raw) for one in cells):
        return None
    chosen = _range(cell, set(names))
    if chosen is None or not _may_move(chosen):
        return None
    bound = _locals(chosen)
    outside = known | _words_outside(chosen, number, cells)
    results = sorted((bound & outside) | (bound - set(names) - _read(chosen)))
    if not set(names) <= bound - outside or any(one.startswith("_") for one in bound):
        return None
    if len(results) > 1 or any(not _is_made(one, chosen.groups) for one in results):
        return None
    result = results[0] if results else None
    name = _free_name(result, number, cells)
    return None if name is None else _text(chosen, name, result)


def _range(cell: CellSource, names: set[str]) -> Range | None:
    """Return the groups from the first to the last that mention a name; all lines are known."""
    if not cell.groups or not _is_plain(cell):
        return None
    found = [at for at, group in enumerate(cell.groups) if names & _words(group.source)]
    if not found or (cell.shows and found[-1] == len(cell.groups) - 1):
        return None  # what it displays may be one of them, or a part
    return Range(cell, found[0], found[-1])


def _is_plain(cell: CellSource) -> bool:
    """Whether a cell is Python to its last line: elsewhere a ``#`` may begin no comment."""
    return cell.groups is not None and not cell.head and all(one.first for one in cell.groups)


def _may_move(chosen: Range) -> bool:
    """Whether its statements do the same inside of a function."""
    nodes = [node for group in chosen.groups for one in group.nodes for node in ast.walk(one)]
    if any(isinstance(one, _NOT_IN_A_FUNCTION) for one in nodes):
        return False
    texts = [one for one in nodes if isinstance(one, (ast.Constant, ast.JoinedStr))]
    if any(one.lineno != one.end_lineno for one in texts):
        return False  # its further lines would be indented
    # Of what is no call, nothing would be left to do but a display.
    alone = [one for group in chosen.groups for one in group.nodes if isinstance(one, ast.Expr)]
    if not all(isinstance(one.value, ast.Call) for one in alone):
        return False
    stored = {one.id for one in nodes if isinstance(one, ast.Name) and _is_stored(one)}
    said = {word for one in texts for word in _words_of_text(one)}
    return stored.isdisjoint(said)


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _words_of_text(node: ast.expr) -> list[str]:
    text = node.value if isinstance(node, ast.Constant) else None
    return WORD.findall(text) if isinstance(text, str) else []


def _read(chosen: Range) -> set[str]:
    """Return the names that its statements read: one that none reads was made to be kept."""
    nodes = (node for group in chosen.groups for one in group.nodes for node in ast.walk(one))
    return {one.id for one in nodes if isinstance(one, ast.Name) and not _is_stored(one)}


def _locals(chosen: Range) -> set[str]:
    """Return the names that would be the function's own, as Python itself sees them."""
    source = "\n".join(["def body():", *_indented(chosen.body())]) + "\n"
    try:
        (function,) = symtable.symtable(source, "cell", "exec").get_children()
    except (SyntaxError, ValueError):
        return set()
    assert isinstance(function, symtable.Function)
    return set(function.get_locals())


def _words_outside(chosen: Range, number: int, cells: Sequence[CellSource]) -> set[str]:
    """Return every word that the notebook has elsewhere, those of other cells' magics included."""
    found: set[str] = set()
    for at, cell in enumerate(cells):
        if at != number:
            found |= _words(cell.raw) if _is_plain(cell) else set(WORD.findall(cell.raw))
    first, last = chosen.lines
    return found | _words("\n".join([*chosen.cell.lines[: first - 1], *chosen.cell.lines[last:]]))


def _words(text: str) -> set[str]:
    """Return all words of a text but those of its comments; of what is no Python, all."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return set(WORD.findall(text))
    kept = (one.string for one in tokens if one.type != tokenize.COMMENT)
    return {word for one in kept for word in WORD.findall(one)}


def _is_made(name: str, groups: Sequence[Group]) -> bool:
    """Whether a name is bound by a plain assignment before anything else mentions it."""
    for group in groups:
        if name not in _words(group.source):
            continue
        node = group.nodes[0]
        if len(group.nodes) > 1 or not isinstance(node, ast.Assign):
            return False
        is_target = any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
        return is_target and name not in _words(ast.unparse(node.value))
    return False


def _free_name(result: str | None, number: int, cells: Sequence[CellSource]) -> str | None:
    taken = {word for cell in cells for word in WORD.findall(cell.raw)}
    stem = f"make_{result}" if result is not None else f"run_cell_{number + 1}"
    return stem if stem.isidentifier() and stem not in taken else None


def _text(chosen: Range, name: str, result: str | None) -> str:
    first, last = chosen.lines
    body = _indented(_returning(chosen, result))
    call = f"{name}()" if result is None else f"{result} = {name}()"
    lines = chosen.cell.lines
    around = [""] if last < len(lines) and lines[last].strip() else []
    return "\n".join(
        [*lines[: first - 1], f"def {name}():", *body, "", call, *around, *lines[last:]]
    )


def _returning(chosen: Range, result: str | None) -> list[str]:
    """Return the lines of a range with the result handed back at their end."""
    body = chosen.body()
    if result is None:
        return body
    group = chosen.groups[-1]
    assert group.first is not None
    begin = group.first - chosen.lines[0]
    mark = f"{result} = "
    node = group.nodes[0]
    simple = len(group.nodes) == 1 and isinstance(node, ast.Assign) and len(node.targets) == 1
    if simple and body[begin].startswith(mark):
        body[begin] = f"return {body[begin].removeprefix(mark)}"
        return body
    return [*body, f"return {result}"]


def _indented(lines: Sequence[str]) -> list[str]:
    return list(_shifted(lines))


def _shifted(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield INDENT + line if line.strip() else ""
