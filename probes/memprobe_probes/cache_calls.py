"""Where a script asks Spark to keep something: the lines that call ``cache()`` and the like.

Read from the syntax trees of the sources at a script's end, as ``usage`` is: Spark itself does not
remember which line of Python it was. Names and lines are all that is kept.
"""

from __future__ import annotations

import _ast as ast
import os

from . import syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

KINDS = {"cache": "cache", "persist": "cache", "localCheckpoint": "checkpoint"}
MOST_CALLS = 200
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class CacheCalls:
    """Collects the calls over any number of files."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []
        self._made: dict[str, set[str]] = {}  # function → names that its results are given
        self._returned: dict[str, set[str]] = {}  # function → names that it returns

    def learn(self, path: str, tree: ast.Module) -> None:
        """Add the calls of a file whose syntax tree this is."""
        try:
            calls = list(_calls(tree, None))
            _learn_functions(tree, self._made, self._returned)
        except (ValueError, RecursionError, MemoryError):
            return
        file = os.path.basename(path)
        self._found += [
            {"file": file, "line": line, "kind": kind, "names": names, "function": function}
            for line, kind, names, function in calls
        ]

    def told(self) -> list[dict[str, Any]]:
        """Return the calls, once: file, line, kind, names of what is kept.

        A name is the last part of an expression: ``events`` of ``self.events``. What a function
        returns has the names that its callers give it, too.
        """
        found = self._found[:MOST_CALLS]
        for one in found:
            function = one.pop("function")
            returned = self._returned.get(function, set())
            if function in self._made and ("" in one["names"] or one["names"] & returned):
                one["names"] |= self._made[function]
            one["names"] = sorted(one["names"] - {""})
        return found


def _calls(node: ast.AST, function: str | None) -> Iterator[tuple[int, str, set[str], str | None]]:
    """Yield line, kind, names and function of the calls below ``node``."""
    for below in syntax.children(node):
        inside = below.name if isinstance(below, _FUNCTIONS) else function
        if isinstance(below, ast.stmt):
            for call in _own_calls(below):
                names = _names_of(call, below)
                yield call.func.end_lineno, KINDS[call.func.attr], names, inside
        yield from _calls(below, inside)


def _own_calls(statement: ast.stmt) -> list[Any]:
    """Return the calls of a statement that are in none of the statements below it."""
    found: list[Any] = []
    waiting: list[ast.AST] = list(syntax.children(statement))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            continue
        if _keeps(node):
            found.append(node)
        waiting.extend(syntax.children(node))
    return found


def _keeps(node: ast.AST) -> bool:
    """Whether it is ``df.cache()`` or the like; ``functools.cache(load)`` is given something."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    method = node.func.attr
    return method in KINDS and not (method == "cache" and (node.args or node.keywords))


def _names_of(call: Any, statement: ast.stmt) -> set[str]:
    """Return what the cached frame is called; ``""`` stands for the function's own result."""
    names: set[str | None] = set()
    if KINDS[call.func.attr] == "cache":  # else another frame is returned
        names.add(_last_name(call.func.value))
    value = getattr(statement, "value", None)
    if value is call and isinstance(statement, ast.Return):
        return {name for name in names if name is not None} | {""}
    if value is call and isinstance(statement, ast.Assign):
        names |= {_last_name(target) for target in statement.targets}
    elif value is call and isinstance(statement, ast.AnnAssign):
        names.add(_last_name(statement.target))
    for node in syntax.walk(statement):
        if isinstance(node, ast.NamedExpr) and node.value is call:
            names.add(node.target.id)
    return {name for name in names if name is not None}


def _last_name(node: ast.AST) -> str | None:
    """Return the name that an expression ends in; of an item, that of its container."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _learn_functions(
    tree: ast.AST, made: dict[str, set[str]], returned: dict[str, set[str]]
) -> None:
    """Note what functions return by name, and which names their results are given."""
    for node in syntax.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            called = _last_name(node.value.func)
            targets = {_last_name(target) for target in node.targets} - {None}
            if called is not None:
                made.setdefault(called, set()).update(targets)  # type: ignore[arg-type]
        elif isinstance(node, _FUNCTIONS):
            for below in syntax.walk(node):
                if isinstance(below, ast.Return) and isinstance(below.value, ast.Name):
                    returned.setdefault(node.name, set()).add(below.value.id)
