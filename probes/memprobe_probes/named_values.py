"""From names to what lies below them: a short search through containers and plain attributes.

For the few objects that stand for something outside of the heap: a process, a segment of shared
memory. No method of any object is called, and nothing is kept.
"""

from __future__ import annotations

import sys
from itertools import islice

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .roots import Root

DEEPEST = 8  # references
MOST_OBJECTS = 50_000
MOST_ITEMS = 500  # of one container
MOST_ROOTS = 2_000
# Data, code and what stands for the whole program: nothing of ours lies below it.
_LEAVES = sizes.ids(
    str, bytes, bytearray, int, float, complex, bool, type(None), type(sys), type(sizes.ids),
    type(len), type(sizes.ids.__code__), type(sys._getframe()), range, slice,
)  # fmt: skip
_DATA = frozenset({"pandas", "pyarrow", "polars", "scipy", "sklearn", "matplotlib", "IPython",
                   "ipykernel", "traitlets", "zmq", "py4j", "pyspark"})  # fmt: skip


class Step:
    """An object and the reference that led to it: ``.pool``, ``[0]``, ``[key]``."""

    __slots__ = ("above", "depth", "edge", "obj")

    def __init__(self, obj: Any, edge: str, above: Step | None) -> None:
        self.obj = obj
        self.edge = edge
        self.above = above
        self.depth: int = above.depth + 1 if above is not None else 0

    def chain(self) -> list[Step]:
        """Return the steps from the root's object to this one."""
        found = [self]
        while found[-1].above is not None:
            found.append(found[-1].above)
        return found[::-1]


_SLOT = type(vars(Step)["obj"])  # types.MemberDescriptorType, without the module


def below(
    found: Iterable[Root], budget: int = MOST_OBJECTS, *, texts: bool = False, arrays: Any = None
) -> Iterator[tuple[Root, Step]]:
    """Yield each object below the roots with the way to it, once per root, nearest first.

    ``texts``: strings too. ``arrays``: the adapter of numpy, where bases of views are wanted.
    """
    for number, root in enumerate(found):
        if number >= MOST_ROOTS or budget <= 0:
            return
        first = Step(root.obj, "", None)
        seen = {id(first.obj)}
        pending = [first]
        for step in pending:
            budget -= 1
            if budget <= 0:
                return
            yield root, step
            if step.depth < DEEPEST:
                for edge, obj in references(step.obj, arrays):
                    leaf = id(type(obj)) in _LEAVES and not (texts and type(obj) is str)
                    if not leaf and id(obj) not in seen:
                        seen.add(id(obj))
                        pending.append(Step(obj, edge, step))


def references(obj: Any, arrays: Any = None) -> list[tuple[str, Any]]:
    """Return (edge, object) of the elements of a plain container and of plain attributes."""
    cls = type(obj)
    if cls is str:
        return []
    if cls is memoryview:
        return _shown(obj)
    if arrays is not None and arrays.array in sizes.mro(cls):
        return [(".base", arrays.base(obj))]
    if cls is dict or cls is list or cls is tuple or cls is set or cls is frozenset:
        return _elements(obj)
    if type in sizes.mro(cls) or sizes.module_of(cls).partition(".")[0] in _DATA:
        return []
    found: list[tuple[str, Any]] = []
    for base in (dict, list, tuple):  # a class of the user's own that is a container
        if base in sizes.mro(cls):
            found = _elements(obj)
    names = sizes.instance_dict(obj)
    for name, value in list(names.items())[:MOST_ITEMS] if names is not None else ():
        if type(name) is str:
            found.append((f".{name}", value))
    return found + _slots(cls, obj)


def _shown(view: memoryview) -> list[tuple[str, Any]]:
    try:
        return [(".obj", view.obj)]
    except ValueError:  # released
        return []


def _elements(obj: Any) -> list[tuple[str, Any]]:
    ancestry = sizes.mro(type(obj))
    for base in (list, tuple):
        if base in ancestry:
            part = base.__getitem__(obj, slice(MOST_ITEMS))
            return [(f"[{number}]", value) for number, value in enumerate(part)]
    try:
        if dict in ancestry:
            return [("[key]", value) for value in list(islice(dict.values(obj), MOST_ITEMS))]
        return [("[element]", value) for value in list(islice(obj, MOST_ITEMS))]
    except RuntimeError:  # it changed meanwhile
        return []


def _slots(cls: type, obj: Any) -> list[tuple[str, Any]]:
    """Return what ``__slots__`` of the user's classes and of weakly built ones hold."""
    found = []
    for base in sizes.mro(cls):
        if "__slots__" not in sizes.class_namespace(base):
            continue
        for name, descriptor in list(sizes.class_namespace(base).items()):
            if type(descriptor) is _SLOT:
                try:
                    found.append((f".{name}", descriptor.__get__(obj)))
                except AttributeError:
                    continue
    return found
