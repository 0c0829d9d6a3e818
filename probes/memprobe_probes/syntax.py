"""Syntax trees of the user's sources, made so that nobody hears of it.

Python warns of an unknown escape such as ``"\\d"`` whenever it parses a source. It has done so when
it ran the source, and must not do so again because somebody else looks. The nodes are those of
``ast``; the module itself, for which a script would have to wait at its end, is not imported.
"""

from __future__ import annotations

import _ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# What may follow a backslash without a warning: an escape, or the end of a line.
_KNOWN = "\\'\"abfnrtv01234567xNuU\r\n"
_KNOWN_BYTES = frozenset(bytes([one]) for one in _KNOWN.encode())


def parse(source: str | bytes) -> _ast.Module:
    """Return the tree of a source, without a word on stderr.

    Texts in it may have a backslash more than the source. Raises SyntaxError or ValueError for
    what is no source, RecursionError or MemoryError for what is nested too deeply.
    """
    tree = compile(quiet(source), "<unknown>", "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, _ast.Module)
    return tree


def parsed(source: str | bytes) -> _ast.Module | None:
    """Return the tree of a source, or None where it has none that could be read."""
    try:
        return parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def quiet(source: str | bytes) -> str | bytes:
    """Return the source with its unknown escapes written out: a doubled backslash."""
    if isinstance(source, bytes):
        return b"".join(_pieces(source, b"\\", _KNOWN_BYTES))
    return "".join(_pieces(source, "\\", frozenset(_KNOWN)))


def _pieces(source: Any, backslash: Any, known: frozenset[Any]) -> Iterator[Any]:
    first, *parts = source.split(backslash)
    yield first
    position = 0
    while position < len(parts):
        part = parts[position]
        if not part and position + 1 < len(parts):  # a backslash that the one before it escapes
            yield backslash + backslash + parts[position + 1]
            position += 2
            continue
        yield (backslash if part[:1] in known else backslash + backslash) + part
        position += 1


def children(node: _ast.AST) -> Iterator[_ast.AST]:
    """Yield the nodes directly below ``node``, as ``ast.iter_child_nodes`` does."""
    for name in node._fields:
        below = getattr(node, name, None)
        for one in below if isinstance(below, list) else (below,):
            if isinstance(one, _ast.AST):
                yield one


def walk(node: _ast.AST) -> Iterator[_ast.AST]:
    """Yield ``node`` and every node below it, those above first, as ``ast.walk`` does."""
    found = [node]
    for one in found:
        found.extend(children(one))
        yield one
