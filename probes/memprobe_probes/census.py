"""How many items the named containers hold, cheaply enough for every cell.

Names and integers are all that is kept from one count to the next: no reference to an object, not
even to a class, so that nothing lives longer because it was counted. Lengths are read through the
built-in types' own slots; what a user's class says of its length is not asked.
"""

from __future__ import annotations

import sys
import time
from _collections import deque  # type: ignore[import-not-found]

from . import roots, sizes
from .caches import LRU_CACHE, entries, unwrapped
from .walk import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Length = Callable[[Any], int]

MOST_ENTRIES = 500
LONGEST_NS = 3_000_000  # for one count
MOST_VALUES = 200  # of a dict whose values are containers

_bound = deque.__dict__["maxlen"].__get__  # what has a bound does not grow

_LENGTHS: dict[type, Length] = {
    list: list.__len__,
    dict: dict.__len__,
    set: set.__len__,
    deque: lambda queue: 0 if _bound(queue) is not None else deque.__len__(queue),
    bytearray: bytearray.__len__,
}
_BY_ID = {id(cls): length for cls, length in _LENGTHS.items()}
_PLAIN = dict.fromkeys(
    sizes.ids(
        int, float, complex, bool, str, bytes, tuple, frozenset, type(None), range,
        types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    )
)  # fmt: skip
_INSTANCE, _CLASS = "instance", "class"


class Census:
    """Counts named containers and tells what changed since the count before.

    ``shell`` is the IPython shell of a notebook, or None in a script.
    """

    def __init__(self, shell: Any = None) -> None:
        self._shell = shell
        self._last: dict[str, int] = {}
        self._grew: dict[str, int] = {}  # how often each container was found longer
        self._modules: tuple[str, ...] = ()
        self._modules_seen = -1

    def changes(self) -> dict[str, int]:
        """Return expression → number of items of what changed; 0 for what is gone.

        Never raises: a container that changes under the count is left out of it.
        """
        found: dict[str, int] = {}
        try:
            complete = self._count(found)
        except Exception:
            complete = False
        last = self._last
        changed = {expr: count for expr, count in found.items() if last.get(expr, 0) != count}
        for expr, count in changed.items():
            if count > last.get(expr, 0):
                self._grew[expr] = self._grew.get(expr, 0) + 1
        if complete:
            changed.update({expr: 0 for expr, count in last.items() if count and expr not in found})
            self._last = found
        else:
            last.update(found)
        return changed

    def exprs(self) -> list[str]:
        """Return the expressions of the containers that hold something now."""
        found: dict[str, int] = {}
        try:
            self._count(found)
        except Exception:
            pass
        return [expr for expr, count in found.items() if count]

    def growing(self, times: int = 2) -> list[str]:
        """Return the containers that were found longer at least so often and hold something."""
        often = [expr for expr, count in self._grew.items() if count >= times]
        return [expr for expr in often if self._last.get(expr)]

    def _count(self, found: dict[str, int]) -> bool:
        """Fill ``found``; return False where the bounds cut it short."""
        own = self._own_namespace()
        spaces = [("", own), *self._user_modules(own)]
        stop = time.thread_time_ns() + LONGEST_NS
        count = _Count(found, {name for name, _ in spaces if name} | {own.get("__name__")})
        for name, names in spaces:
            prefix = f"{name}." if name else ""
            count.space = names.get("__name__")
            for step, (key, value) in enumerate(list(names.items())):
                if type(key) is str and not _skipped(key):
                    count.named(prefix, key, value)
                if not step & 31 and time.thread_time_ns() > stop:
                    return False
                if len(found) > MOST_ENTRIES:
                    return False
        return True

    def _own_namespace(self) -> dict[str, Any]:
        if self._shell is not None:
            names: dict[str, Any] = self._shell.user_ns
            return names
        main = sys.modules.get("__main__")
        return {} if main is None else vars(main)

    def _user_modules(self, own: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the user's modules; who they are is looked up only when modules came or went."""
        if len(sys.modules) != self._modules_seen:
            self._modules = tuple(name for name, _ in roots.user_modules({id(own)}))
            self._modules_seen = len(sys.modules)
        for name in self._modules:
            module = sys.modules.get(name)
            if type(module) is types.ModuleType:
                yield name, vars(module)


class _Count:
    """One count: what each class met is to it lives no longer than the count."""

    def __init__(self, found: dict[str, int], modules: set[Any]) -> None:
        self.found = found
        self.modules = modules  # names of the modules whose classes are the user's
        self.space: Any = None  # name of the module whose names are counted
        self.kinds: dict[int, Length | str | None] = {**_PLAIN, **_BY_ID}
        self._classes: list[type] = []  # live as long as their ids are keys

    def named(self, prefix: str, name: str, value: Any, depth: int = 0) -> None:
        """Count ``value``, and the containers one level inside it."""
        cls = type(value)
        kind = self.kinds[id(cls)] if id(cls) in self.kinds else self._learn(cls)
        if kind is None:
            return
        if kind is _INSTANCE:
            if depth < 2:
                self._attributes(f"{prefix}{name}.", value, depth)
        elif kind is _CLASS:
            if depth == 0:
                self._class(prefix, value)
        else:
            assert callable(kind)
            self.found[prefix + name] = kind(value)
            if kind is _LENGTHS[dict] and 0 < dict.__len__(value) <= MOST_VALUES:
                self._values(prefix + name, value)

    def _learn(self, cls: type) -> Length | str | None:
        self._classes.append(cls)
        kind = self.kinds[id(cls)] = self._kind(cls)
        return kind

    def _kind(self, cls: type) -> Length | str | None:
        ancestry = sizes.mro(cls)
        if type in ancestry:
            return _CLASS
        if cls is LRU_CACHE:
            return entries
        for base, length in _LENGTHS.items():
            if base in ancestry:
                return length
        rows = _rows_of(ancestry)
        if rows is not None:
            return rows
        return _INSTANCE if sizes.module_of(cls) in self.modules else None

    def _attributes(self, prefix: str, value: Any, depth: int) -> None:
        for name, held in list((sizes.instance_dict(value) or {}).items()):
            if type(name) is str:
                self.named(prefix, name, held, depth + 1)

    def _class(self, space: str, cls: type) -> None:
        if sizes.module_of(cls) != self.space:
            return
        prefix = f"{space}{type.__dict__['__name__'].__get__(cls)}."
        for name, held in list(sizes.class_namespace(cls).items()):
            if type(name) is str and not (name.startswith("__") and name.endswith("__")):
                self.named(prefix, name, unwrapped(held), 1)

    def _values(self, expr: str, value: dict[Any, Any]) -> None:
        """Count the items of a dict's values together: a key is nobody's business."""
        total, met = 0, False
        for held in list(dict.values(value)):
            length = _BY_ID.get(id(type(held)))
            if length is not None:
                total, met = total + length(held), True
        if met:
            self.found[f"{expr}[*]"] = total


def _rows_of(ancestry: tuple[type, ...]) -> Length | None:
    """Return how to read the first axis of arrays and frames, or None for other classes."""
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    if array in ancestry:
        shape = vars(array)["shape"].__get__

        def extent(obj: Any) -> int:
            return int((shape(obj) or (0,))[0])

        return extent
    if any(sizes.type_name(base) in _PANDAS for base in ancestry):
        return _rows
    return None


_PANDAS = frozenset({"pandas.DataFrame", "pandas.Series"})


def _rows(obj: Any) -> int:
    try:
        return len(object.__getattribute__(obj, "_mgr").axes[-1])
    except Exception:
        return 0


def _skipped(name: str) -> bool:
    """Whether a name is IPython's or Python's own."""
    if name[:1] != "_":
        return name in ("In", "Out")
    return roots.is_output_name(name) or roots.is_own_name(name)
