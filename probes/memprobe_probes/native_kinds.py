"""What the native walker is told of each class: the decisions of ``walk.Kind`` as numbers.

Decided once per class and process; a class is remembered by a weak reference only. Whether a
class of the user's has been replaced by a later version is asked again for every snapshot.
"""

from __future__ import annotations

import sys
from _weakref import ref

from . import numpy_arrays, sizes, tasks
from .old_classes import outlived
from .python_buffers import VIEWS, is_map, is_view
from .walk import Kind, types
from .words import Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# The same numbers as in native/kinds.h.
STOP, LEAF, FIXED, OPAQUE, ARRAY, WALKED, PARTLY_MET, TASK, WAKEUP, METHOD = (
    1 << bit for bit in range(10)
)
CONTEXT, VIEW, KNOWN_BASE, CLASS, TRIVIAL, STOP_BELOW = (1 << bit for bit in range(10, 16))
BYTES = 1 << 18

PLAIN, INT, STR, LIST, DICT, SET, BYTEARRAY, DEQUE, ORDERED, ARRAYS, BYTESIO, STRINGIO, SHELL = (
    range(13)
)
FIRM = 13  # its own C code knows how much follows it; here only the fixed part counts
CDATA, ELEMENT = 14, 15

# Classes cut together with their subclasses; those of libraries are cut by themselves.
_CUT_BELOW = (
    types.ModuleType, type, types.CodeType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip
_FIRST = (
    object, int, float, complex, bool, str, bytes, bytearray, type(None), list, tuple, dict, set,
    frozenset, BaseException, *VIEWS, types.FunctionType, types.MethodType,
    types.BuiltinFunctionType, types.FrameType, types.TracebackType, types.CellType,
    types.GeneratorType, types.CoroutineType, *_CUT_BELOW,
)  # fmt: skip
_SIZERS = {
    id(int): INT, id(str): STR, id(list): LIST, id(dict): DICT, id(set): SET, id(frozenset): SET,
    id(bytearray): BYTEARRAY,
}  # fmt: skip
_SIZERS_BY_NAME = {
    "collections.deque": DEQUE, "collections.OrderedDict": ORDERED, "array.array": ARRAYS,
    "_io.BytesIO": BYTESIO, "_io.StringIO": STRINGIO, "_ctypes._CData": CDATA,
    "xml.etree.ElementTree.Element": ELEMENT,
}  # fmt: skip


class Classes:
    """The decisions made so far, packed as the walker takes them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[type], int]] = {}
        self._users: set[int] = set()  # ids of classes that a later version may replace
        self.mistaken: set[int] = set()  # sizers that did not stand the check

    def learn(self, classes: Iterable[type]) -> int:
        """Decide about the classes that are not known yet; return their number."""
        new = 0
        for cls in classes:
            known = self._known.get(id(cls))
            if known is None or known[0]() is not cls:
                self._known[id(cls)] = (ref(cls), self._decide(cls))
                new += 1
        return new

    def packed(self) -> Words:
        """Return pairs of 64-bit words: a class's address, and what was decided."""
        words = Words()
        gone = []
        for key, (remembered, decided) in self._known.items():
            cls = remembered()
            if cls is None:
                gone.append(key)
                continue
            if key in self._users and outlived(cls):
                decided |= WALKED
            words.append(key)
            words.append(decided)
        cls = None
        for key in gone:
            del self._known[key]
            self._users.discard(key)
        return words

    def named(self, address: int) -> type | None:
        """Return the class at an address, where it is one that was decided about and lives."""
        known = self._known.get(address)
        return None if known is None else known[0]()

    def opaque(self) -> list[type]:
        """Return the classes whose objects adapters are asked about."""
        found = [remembered() for remembered, decided in self._known.values() if decided & OPAQUE]
        return [cls for cls in found if cls is not None]

    def _decide(self, cls: type) -> int:
        if _of_users(cls):
            self._users.add(id(cls))
        kind = Kind(cls, _nothing, _ignored)
        flags = (
            STOP * kind.stop | LEAF * (kind.leaf and cls is not range) | CLASS * kind.is_class
            | TASK * kind.is_task | PARTLY_MET * kind.partly_met | ARRAY * kind.is_array
        )  # fmt: skip
        sizer, fixed = self._sizer(cls), 0
        if kind.fixture is not None:
            flags, fixed = flags | FIXED, kind.fixture
        name = sizes.type_name(cls)
        if kind.adapter is not None and not is_view(cls):
            sizer = SHELL
            if not kind.is_array:
                flags |= OPAQUE
        if is_map(cls):
            flags |= OPAQUE
        flags |= _role(cls, name, kind)
        return flags | sizer << 24 | fixed << 32

    def _sizer(self, cls: type) -> int:
        for base in sizes.mro(cls):
            found = _SIZERS.get(id(base)) or _SIZERS_BY_NAME.get(_full_name(base), PLAIN)
            if found or "__sizeof__" in sizes.class_namespace(base):
                by_length = sizes.is_one(base, (object, bytes, type))
                return PLAIN if by_length else FIRM if found in self.mistaken else found or FIRM
        return FIRM


def first() -> list[type]:
    """Return the classes that others are most often derived from."""
    found: list[Any] = list(_FIRST)
    for module, name in (("collections", "deque"), ("collections", "OrderedDict"),
                         ("array", "array"), ("io", "BytesIO"), ("io", "StringIO")):  # fmt: skip
        cls = getattr(sys.modules.get(module), name, None)
        if type in sizes.mro(type(cls)):
            found.append(cls)
    arrays = numpy_arrays.arrays()
    return found if arrays is None else [*found, arrays.array]


def _of_users(cls: type) -> bool:
    """Whether a later version of the class may replace it: in a cell, or by a reload."""
    from .roots import is_user_file

    module = sys.modules.get(sizes.module_of(cls))
    if type(module) is not types.ModuleType:
        return False
    file = vars(module).get("__file__")
    return module is sys.modules.get("__main__") or (type(file) is str and is_user_file(file))


def _role(cls: type, name: str, kind: Kind) -> int:
    ancestry = sizes.mro(cls)
    known = numpy_arrays.is_known_base(cls)
    flags = VIEW * is_view(cls) | KNOWN_BASE * known | BYTES * (cls is bytes)
    flags |= TRIVIAL * sizes.is_one(cls, (types.FunctionType, types.MethodType))
    if any(stop in ancestry for stop in _CUT_BELOW) or tasks.is_loop(cls):
        flags |= STOP_BELOW
    if kind.may_wake:
        flags |= METHOD if cls is types.BuiltinFunctionType else WAKEUP
    if name.rpartition(".")[2] == "Context":
        flags |= CONTEXT
    return flags


def _full_name(cls: type) -> str:
    return f"{sizes.module_of(cls)}.{type.__dict__['__name__'].__get__(cls)}"


def _nothing() -> None:
    return None


def _ignored(_: str) -> None:
    return None
