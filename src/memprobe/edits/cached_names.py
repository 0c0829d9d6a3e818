"""Names that a cell gives to what it caches in Spark: ``x = ….cache()`` and ``x.persist()``."""

from __future__ import annotations

import ast

from memprobe.edits.cell_source import CellSource

CACHING = frozenset({"cache", "persist"})


def cached_in(cell: CellSource) -> list[tuple[str, int]]:
    """Return (name, number of the group) for each time that the cell caches by a name."""
    return [
        (name, number)
        for number, group in enumerate(cell.groups or ())
        for node in group.nodes
        for name in _names(node)
    ]


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign) and _caches(node.value):
        return [one.id for one in node.targets if isinstance(one, ast.Name)]
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and _caches(call):
            assert isinstance(call.func, ast.Attribute)
            if isinstance(call.func.value, ast.Name):
                return [call.func.value.id]
    return []


def _caches(node: ast.expr) -> bool:
    """Whether an expression is a call of ``cache`` or ``persist``, which return the frame."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in CACHING
