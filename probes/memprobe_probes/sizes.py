"""Types and sizes of objects without running a line of the user's code.

A class may define ``__sizeof__``, ``__class__`` or a metaclass of its own; everything here goes
through the slots of ``type`` and ``object`` instead. Sizes are bytes, GC header included.
"""

from __future__ import annotations

import gc
import sys
from _collections import OrderedDict  # type: ignore[import-not-found]
from types import MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_HAVE_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC
_MANAGED_DICT = 1 << 4  # Py_TPFLAGS_MANAGED_DICT, from 3.11 on
_MANAGED = _MANAGED_DICT | 1 << 3  # or Py_TPFLAGS_MANAGED_WEAKREF, from 3.12 on
_GC_HEADER = 16
_INSIDE_CDATA = 16  # bytes
_mro = type.__dict__["__mro__"].__get__
_vars = type.__dict__["__dict__"].__get__
_flags = type.__dict__["__flags__"].__get__
_name = type.__dict__["__name__"].__get__
_itemsize = type.__dict__["__itemsize__"].__get__
_OF_MANY = (dict, list, set, frozenset, tuple)
_SAFE = (MethodDescriptorType, WrapperDescriptorType)


class _ByIdentity(tuple[type, ...]):
    """Classes of which each is found by identity: their metaclass has an ``__eq__`` of its own."""

    __slots__ = ()

    def __contains__(self, wanted: object) -> bool:
        return any(one is wanted for one in self)


def mro(cls: type) -> tuple[type, ...]:
    """Return the method resolution order, whatever the metaclass says.

    ``in`` compares by identity: it must not call the user's code.
    """
    found: tuple[type, ...] = _mro(cls)
    kind = type(cls)
    if kind is type or is_compared_by_identity(kind):
        return found
    return _ByIdentity(found)


def is_compared_by_identity(cls: type) -> bool:
    """Whether an instance of the class equals itself alone: there is no other ``__eq__``."""
    return not any("__eq__" in _vars(one) for one in _mro(cls) if one is not object)


def is_one(cls: type, classes: Iterable[type]) -> bool:
    """Whether ``cls`` is among ``classes``, by identity."""
    return any(cls is one for one in classes)


def ids(*classes: type) -> frozenset[int]:
    """Return the ids of classes that are never freed: to be looked up without hashing a class."""
    return frozenset(map(id, classes))


def class_namespace(cls: type) -> Any:
    """Return the read-only view of what a class's body bound, whatever the metaclass says."""
    return _vars(cls)


def allocated(size: int) -> int:
    """Return the bytes that Python's allocator hands out for an object of ``size`` bytes."""
    return (size + 15) & ~15


def module_of(cls: type) -> str:
    """Return the module that defined ``cls``, or "" where that is no plain text."""
    for base in mro(cls)[:1]:
        module = _vars(base).get("__module__")
        if type(module) is str:
            return module
    text = type.__repr__(cls)[8:-2] if not _flags(cls) & (1 << 9) else ""
    return text.rpartition(".")[0] or "builtins"


def type_name(cls: type) -> str:
    """Return ``module.Name``, shortened to what users write for well-known packages."""
    module = module_of(cls)
    name = _name(cls)
    if module in ("builtins", "__main__", ""):
        return str(name)
    package = module.partition(".")[0]
    return f"{package}.{name}" if package in _SHORT else f"{module}.{name}"


_SHORT = frozenset({"pandas", "numpy", "pyarrow", "polars", "scipy", "sklearn", "matplotlib"})


def shallow_sizer(cls: type) -> Callable[[Any], int]:
    """Return a function that gives the shallow size of instances of ``cls``."""
    for base in mro(cls):
        if _name(base) == "_CData" and module_of(base) == "_ctypes":
            return _cdata_sizer(base)
        if _name(base) == "BytesIO" and module_of(base) == "_io" and sys.version_info >= (3, 12):
            return _plain_sizer(cls)  # its buffer is an object that the walk meets
        method = _vars(base).get("__sizeof__")
        if method is not None:
            own = is_one(type(method), _SAFE) and base is not object
            return sys.getsizeof if own else _plain_sizer(cls)
    return _plain_sizer(cls)


def _plain_sizer(cls: type) -> Callable[[Any], int]:
    header = _GC_HEADER if _flags(cls) & _HAVE_GC else 0
    if sys.version_info >= (3, 11) and _flags(cls) & _MANAGED:
        header += 16  # where its dict and its weak references are
    if sys.version_info < (3, 11) or not _flags(cls) & _MANAGED_DICT or _itemsize(cls):
        return lambda obj: object.__sizeof__(obj) + header

    def size(obj: Any) -> int:
        # Its attributes have slots of their own, in a block with a header.
        return object.__sizeof__(obj) + header + 8 * (len(gc.get_referents(obj)) + 1)

    return size


def _cdata_sizer(base: type) -> Callable[[Any], int]:
    """A ctypes object of more than two words has its memory elsewhere, or another one's."""
    is_owner, nbytes = _vars(base)["_b_needsfree_"].__get__, sys.modules["_ctypes"].sizeof

    def size(obj: Any) -> int:
        beside = nbytes(obj) if is_owner(obj) else 0
        own: int = object.__sizeof__(obj) + _GC_HEADER
        return own + (beside if beside > _INSIDE_CDATA else 0)

    return size


def instance_dict(obj: Any) -> dict[str, Any] | None:
    """Return the real ``__dict__`` of ``obj``, or None where it has none or hides it."""
    for base in mro(type(obj)):
        descriptor = _vars(base).get("__dict__")
        if descriptor is None:
            continue
        if not hasattr(type(descriptor), "__get__") or type(descriptor).__name__ != (
            "getset_descriptor"
        ):
            return None
        if not _flags(type(obj)) & _MANAGED_DICT and not _may_have_dict(obj):
            return None
        found = descriptor.__get__(obj)
        return found if type(found) is dict else None
    return None


def _may_have_dict(obj: Any) -> bool:
    """Whether there is a dict already: to ask for it would make one, and the user's object grow."""
    if any(one in mro(type(obj)) for one in _OF_MANY):
        return type(obj) is not OrderedDict  # listing its elements may take long
    return any(type(one) is dict for one in gc.get_referents(obj))


def slot_named(obj: Any, value: Any) -> str | None:
    """Return the name of the ``__slots__`` entry of ``obj`` that refers to ``value``."""
    for base in mro(type(obj)):
        for name, descriptor in _vars(base).items():
            if type(descriptor) is not MemberDescriptorType:
                continue
            try:
                if descriptor.__get__(obj) is value:
                    return str(name)
            except AttributeError:
                continue
    return None
