"""Where the statements of Python source stand: their first lines, and which of them share one."""

from __future__ import annotations

import ast
from collections.abc import Sequence


def first_line(node: ast.stmt) -> int:
    """Return the line that a statement begins in, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def by_line(body: Sequence[ast.stmt]) -> list[list[ast.stmt]]:
    """Return the statements in their order, those that share a line together."""
    groups: list[list[ast.stmt]] = []
    for node in body:
        if groups and first_line(node) <= (groups[-1][-1].end_lineno or 0):
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups
