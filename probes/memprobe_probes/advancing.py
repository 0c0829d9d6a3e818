"""What goes on from run to run of one cell, so that its runs are not equal rounds.

A cell that takes the next chunk of a reader, or counts a page number on, does something new each
time although its source is the same: a list it fills is the work, not a leak.
"""

from __future__ import annotations

import ast

from . import sizes, syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SHOWS_ONLY = frozenset({"print", "display"})


def advanced(source: str, used: Iterable[str], namespace: Mapping[str, Any]) -> list[str]:
    """Return the iterators and open files a cell uses, and the names it counts on by itself."""
    found = {name for name in used if _goes_on(namespace.get(name))}
    return sorted(found | carried(source))


def _goes_on(value: Any) -> bool:
    """Whether reading ``value`` moves it on: what has ``__next__`` is used up by being read."""
    return any("__next__" in sizes.class_namespace(base) for base in sizes.mro(type(value)))


def carried(source: str) -> set[str]:
    """Return the names that a cell computes from their own last value and then works with.

    ``page += 1; load(page)`` does, ``runs += 1; print(runs)`` does not.
    """
    try:
        tree = syntax.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    set_before: set[str] = set()
    steps: dict[str, int] = {}  # name → loads in the statements that carry it on
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            steps[node.target.id] = steps.get(node.target.id, 0) + _loads(node, node.target.id)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and _loads(node.value, target.id):
                    steps[target.id] = steps.get(target.id, 0) + _loads(node.value, target.id)
                elif isinstance(target, ast.Name) and target.id not in steps:
                    set_before.add(target.id)
    return {name for name in steps if name not in set_before and _read(tree, name) > steps[name]}


def _read(tree: ast.AST, name: str) -> int:
    """Count where ``name`` is read, apart from what only shows it."""
    shown = sum(
        _loads(node, name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _SHOWS_ONLY
    )
    return _loads(tree, name) - shown


def _loads(tree: ast.AST, name: str) -> int:
    return sum(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in ast.walk(tree)
    )
