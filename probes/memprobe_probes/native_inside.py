"""What is inside of a holder, told: how to reach each object from what keeps it, and its shape.

The walker tells by addresses which object keeps which. They are looked up again in the living
process, all that one object keeps in one pass over it, and believed only where class and address
still agree. The dict of an object's attributes is no object of its own here: it counts as part of
the object, and what lies in it is told as an attribute.
"""

from __future__ import annotations

import gc
import itertools
import time
from _collections import deque  # type: ignore[import-not-found]

from . import numpy_arrays, sizes
from .describe import describe
from .native_answer import NONE
from .paths import edge_name, key_of
from .walk import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .native_answer import Inner

    NameOf = Callable[[int, Any], str]  # of an object, by its place among the others

NAMING_NS = 150_000_000  # of CPU time for the names of all holders; the rest is told by types
SLICE = 50_000  # elements between two looks at the clock
MOST_COLUMNS = 100  # of one block of a frame that are told by number
# Dicts and frames through which an object refers to its attributes or locals.
_WITHIN = ("__dict__", "f_locals", "gi_frame")
_NUMBERED = (list, tuple, deque)
_PLAIN = (*_NUMBERED, dict, set, frozenset)
# Attributes that pandas' C classes tell without running any code of others.
_TOLD_BY_C = {"pandas.BlockManager": ("blocks", "axes"), "pandas.Block": ("values",),
              "pandas.SingleBlockManager": ("blocks", "axes"),
              "pandas.NDArrayBacked": ("_ndarray",)}  # fmt: skip


class Inside:
    """The rows of one holder. ``root``: its object, None where it is not there any more.

    ``until``: ns of this thread's CPU time at which names are given up.
    """

    def __init__(
        self, rows: list[Inner], root: Any, class_at: Callable[[int], type | None], until: int
    ) -> None:
        self._rows = rows
        self._class_at = class_at
        self._until = until
        self._live: dict[int, Any] = {0: root}
        self._steps: dict[int, list[dict[str, str]]] = {0: []}
        self._names = {0: ""}  # of the last edge that leads to a row

    def told(self) -> list[dict[str, Any]]:
        """Return the rows as a snapshot record has them, parents first."""
        self._name_all()
        numbers: dict[int, int] = {}  # number here → number among what is told
        told: list[dict[str, Any]] = []
        for at, row in enumerate(self._rows):
            if self._is_within(at):
                above = told[numbers[row.parent]]
                above["own"] += row.own
                numbers[at] = numbers[row.parent]
                continue
            numbers[at] = len(told)
            parent = None if row.parent == NONE else numbers[row.parent]
            told.append(self._told(at, row, parent))
        self._live.clear()
        return told

    def _told(self, at: int, row: Inner, parent: int | None) -> dict[str, Any]:
        obj = self._live.get(at)
        found: dict[str, Any] = {
            "parent": parent, "path": self._steps.get(at, []), "type": self._type(row.cls),
            "count": row.count, "own": row.own, "bytes": row.kept, "objects": row.objects,
        }  # fmt: skip
        if obj is not None:
            found["type"] = sizes.type_name(type(obj))
            found.update(describe(obj))
            columns = _columns(obj)
            if columns:
                found["columns"] = columns
        return found

    def _is_within(self, at: int) -> bool:
        """Whether a row is only the dict or frame in which the row above has what it has."""
        row = self._rows[at]
        return row.parent != NONE and len(row.chain) == 2 and self._names.get(at) in _WITHIN

    def _name_all(self) -> None:
        below: dict[int, list[int]] = {}
        for at, row in enumerate(self._rows):
            if row.chain:
                below.setdefault(row.parent, []).append(at)
        for parent, numbers in below.items():
            direct = {self._rows[at].chain[1][1] for at in numbers if len(self._rows[at].chain) > 1}
            known = self._children(self._live.get(parent), direct)
            for at in numbers:
                self._name(at, parent, known)

    def _name(self, at: int, parent: int, known: dict[int, tuple[Any, str]]) -> None:
        """Note the steps to a row, and its object where every step was found again."""
        obj, kind = self._live.get(parent), self._type_above(parent)
        within = self._names.get(parent, "") if self._is_within(parent) else ""
        steps: list[dict[str, str]] = []
        name = ""
        for place, (_, address, cls) in enumerate(self._rows[at].chain[1:]):
            found = known if place == 0 else self._children(obj, {address})
            obj, kind, name = self._step(obj, kind, found.get(address), address, cls, within)
            if within and steps:
                steps.pop()  # the dict or frame between
            steps.append({"edge": name, "type": self._type(cls)})
            within = name if name in _WITHIN else ""
        self._steps[at], self._names[at] = steps, name
        if obj is not None:
            self._live[at] = obj

    def _step(
        self, above: Any, kind: type | None, found: tuple[Any, str] | None, address: int, cls: int,
        within: str,
    ) -> tuple[Any, type | None, str]:  # fmt: skip
        """Return the object one step below, its class, and the name of the step."""
        known = self._class_at(cls) if cls else None
        if not cls:
            return None, None, "data"
        if found is None or type(found[0]) is not known:
            return None, known, _by_type(kind, within)
        child, name = found
        if within == "__dict__":
            name = f".{key_of(above, child)}"
        elif within == "f_locals":
            name = key_of(above, child)
        return child, known, name

    def _type_above(self, at: int) -> type | None:
        cls = self._rows[at].cls
        return self._class_at(cls) if cls else None

    def _type(self, address: int) -> str:
        if not address:
            return "native buffer"
        cls = self._class_at(address)
        return "object" if cls is None else sizes.type_name(cls)

    def _children(self, obj: Any, wanted: set[int]) -> dict[int, tuple[Any, str]]:
        """Return address → object and name of the step, of those that ``obj`` refers to now."""
        found: dict[int, tuple[Any, str]] = {}
        if obj is None or not wanted:
            return found
        try:
            for candidates, name_of in _candidates(obj):
                self._look_through(candidates, name_of, wanted, found)
        except RuntimeError:  # the program changed it meanwhile
            pass
        return found

    def _look_through(
        self, candidates: Iterator[Any], name_of: NameOf, wanted: set[int],
        found: dict[int, tuple[Any, str]],
    ) -> None:  # fmt: skip
        """Add those of ``candidates`` that are ``wanted``; millions of others pass in C code."""
        for begin in itertools.count(0, SLICE):
            if len(found) == len(wanted) or time.thread_time_ns() > self._until:
                return
            part = list(itertools.islice(candidates, SLICE))
            hits = map(wanted.__contains__, map(id, part))
            for at in itertools.compress(itertools.count(), hits):
                child = part[at]
                if id(child) not in found:
                    found[id(child)] = child, name_of(begin + at, child)
            if len(part) < SLICE:
                return


def _candidates(obj: Any) -> Iterator[tuple[Iterator[Any], NameOf]]:
    """Yield what an object refers to, and what tells the name of the step to one of them."""
    ancestry = sizes.mro(type(obj))
    for kind in _NUMBERED:
        if kind in ancestry:
            yield kind.__iter__(obj), _numbered
    if dict in ancestry:
        yield iter(dict.values(obj)), lambda at, one: "[key]"
        yield iter(dict.keys(obj)), lambda at, one: "[key]"
    for kind in (set, frozenset):
        if kind in ancestry:
            yield kind.__iter__(obj), lambda at, one: "[*]"
    if not sizes.is_one(type(obj), _PLAIN):
        yield from _attributes(obj)
    arrays = numpy_arrays.arrays()
    if arrays is not None and arrays.array in ancestry:
        yield iter((arrays.base(obj),)), lambda at, one: ".base"
        if arrays.owns_objects(obj) and arrays.dtype(obj).kind == "O":
            yield iter(arrays.flat(obj)), _numbered


def _numbered(at: int, _: Any) -> str:
    return f"[{at}]"


def _attributes(obj: Any) -> Iterator[tuple[Iterator[Any], NameOf]]:
    referents = gc.get_referents(obj)
    yield iter(referents), lambda at, one: _edge(obj, one)
    # To ask for an attribute's name may have made a dict of what lay in the object itself.
    if any(type(one) is dict for one in referents):
        names = sizes.instance_dict(obj) or {}
        yield iter(dict.values(names)), lambda at, one: f".{key_of(names, one)}"


def _edge(above: Any, below: Any) -> str:
    for base in sizes.mro(type(above)):
        for name in _TOLD_BY_C.get(sizes.type_name(base), ()):
            descriptor = sizes.class_namespace(base).get(name)
            told = type(descriptor) is types.GetSetDescriptorType
            if told and descriptor.__get__(above) is below:
                return f".{name}"
    name = edge_name(above, below)
    return "__dict__" if name == ".__dict__" else name  # types.SimpleNamespace, functools.partial


def _by_type(above: type | None, within: str) -> str:
    """Return the name of a step where its object was not found again."""
    if above is types.FrameType:
        return "local"
    if above is list or above is tuple:
        return "[*]"
    return "[key]" if above is dict and not within else "·"


def _columns(obj: Any) -> list[int]:
    """Return which columns of a frame a block of pandas holds, by number."""
    for base in sizes.mro(type(obj)):
        if sizes.type_name(base) == "pandas.Block":
            descriptor = sizes.class_namespace(base).get("_mgr_locs")
            if type(descriptor) is types.GetSetDescriptorType:
                return _first(descriptor.__get__(obj))
    return []


def _first(places: Any) -> list[int]:
    try:
        return [int(place) for place in itertools.islice(places, MOST_COLUMNS)]
    except Exception:  # another version of pandas
        return []
