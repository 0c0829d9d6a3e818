"""The expressions by which a user reaches frames, RDDs and broadcasts of PySpark.

Names are followed into lists, tuples, dicts and stored attributes, a few steps deep. Nothing of
the program's is called, and only texts and numbers are kept.
"""

from __future__ import annotations

import types
from collections import deque

from . import sizes
from .spark_session import java_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .roots import Root

MOST_OBJECTS = 50_000
MOST_ELEMENTS = 1000  # of one container
DEEPEST = 4
_ATOMS = sizes.ids(
    int, float, complex, str, bytes, bool, type(None), type, types.ModuleType, types.FunctionType,
    types.BuiltinFunctionType, types.MethodType, types.CodeType, bytearray, range,
)  # fmt: skip
_SEQUENCES = sizes.ids(list, tuple, set, frozenset, deque)
_JAVA_FIELDS = ("_jdf", "_jrdd", "_jrdd_val", "_jbroadcast", "_jsparkSession")


class Name:
    """One expression, the kind of its root, and the cell of an output."""

    __slots__ = ("cell", "expr", "kind")

    def __init__(self, expr: str, kind: str, cell: int | None) -> None:
        self.expr = expr
        self.kind = kind
        self.cell = cell


class Names:
    """``by_java``: id in the JVM → expressions of what stands for that object there.

    ``computed``: the same for RDDs that have no object there yet, by what they are computed from.
    ``broadcasts``: id in the JVM → the file of the value, and whether Python has it in memory.
    """

    def __init__(self) -> None:
        self.by_java: dict[str, list[Name]] = {}
        self.computed: dict[str, list[Name]] = {}
        self.broadcasts: dict[str, tuple[str | None, bool]] = {}
        self.whole = True


def names_of(roots: Iterable[Root], keys: bool = False) -> Names:
    """Return what the roots lead to. ``keys``: write the keys of dicts as they are."""
    found = Names()
    seen: set[int] = set()
    left = MOST_OBJECTS
    level: list[tuple[Any, Name]] = [
        (root.obj, Name(root.expr, root.kind, root.facts.get("cell"))) for root in roots
    ]
    for depth in range(DEEPEST):
        below: list[tuple[Any, Name]] = []
        for obj, name in level:
            if left <= 0:
                found.whole = False
                return found
            left -= 1
            if id(type(obj)) in _ATOMS:
                continue
            if _note(found, obj, name) or id(obj) in seen:
                continue
            seen.add(id(obj))
            if depth < DEEPEST - 1:
                below += _inside(obj, name, keys)
        level = below
    return found


def _note(found: Names, obj: Any, name: Name) -> bool:
    """Note an object of PySpark under its name; return whether it was one."""
    package = sizes.module_of(type(obj))
    if not package.startswith("pyspark."):
        return False
    fields = sizes.instance_dict(obj) or {}
    met = [java_id(fields.get(field)) for field in _JAVA_FIELDS]
    for java in met:
        if java is not None:
            found.by_java.setdefault(java, []).append(name)
    broadcast = java_id(fields.get("_jbroadcast"))
    if broadcast is not None:
        path = fields.get("_path")
        found.broadcasts[broadcast] = (path if type(path) is str else None, "_value" in fields)
    if "_jrdd_val" in fields and fields["_jrdd_val"] is None:
        java = java_id(fields.get("_prev_jrdd"))
        if java is not None:
            found.computed.setdefault(java, []).append(name)
            return True
    return any(java is not None for java in met)


def _inside(obj: Any, name: Name, keys: bool) -> Iterator[tuple[Any, Name]]:
    kind = id(type(obj))
    if kind in _SEQUENCES:
        for at, one in enumerate(_some(obj)):
            index = "*" if type(obj) in (set, frozenset) else at
            yield one, Name(f"{name.expr}[{index}]", name.kind, name.cell)
        return
    if dict in sizes.mro(type(obj)):
        for key, one in _items(obj):
            shown = repr(key) if keys and type(key) is str else "key"
            yield one, Name(f"{name.expr}[{shown}]", name.kind, name.cell)
    if type(obj) is types.FrameType:
        return
    for attribute, one in list((sizes.instance_dict(obj) or {}).items())[:MOST_ELEMENTS]:
        if type(attribute) is str:
            yield one, Name(f"{name.expr}.{attribute}", name.kind, name.cell)


def _some(obj: Any) -> list[Any]:
    try:
        return [one for _, one in zip(range(MOST_ELEMENTS), obj)]
    except RuntimeError:  # it changed while it was read
        return []


def _items(obj: Any) -> list[tuple[Any, Any]]:
    try:
        return [pair for _, pair in zip(range(MOST_ELEMENTS), dict.items(obj))]
    except RuntimeError:
        return []
