"""Columns of polars frames and series, by the addresses of their buffers.

Frames that were cloned, or made with some new columns, share the others: by address they count
once. Where the buffers cannot be had without a copy (categories, Python objects, versions before
the Arrow stream), a column counts with polars' own estimate.
"""

from __future__ import annotations

import sys

from . import arrow_stream, sizes
from .parts import keyed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .parts import Adapter

# Types whose export is the memory itself; others are converted for it, which would copy.
_PLAIN = frozenset(
    {"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32",
     "Float64", "Boolean", "String", "Utf8", "Binary", "Date", "Datetime", "Duration", "Time"}
)  # fmt: skip
_NATIVE = ("polars._plr", "polars.polars")


def adapter(cls: type, check: Callable[[], None]) -> Adapter | None:
    """Return the adapter for polars' own native frame and series classes, else None."""
    if _is_native(cls, "PySeries"):
        return lambda obj: ([], _column(obj, obj, 0, check))
    if _is_native(cls, "PyDataFrame"):
        return lambda obj: ([], _columns(obj, check))
    return None


def is_plan(cls: type) -> bool:
    """Whether ``cls`` is the plan of a lazy frame, which may keep frames nobody can see."""
    return _is_native(cls, "PyLazyFrame")


def _is_native(cls: type, name: str) -> bool:
    if sizes.type_name(cls).rpartition(".")[2] != name:
        return False
    return any(getattr(sys.modules.get(module), name, None) is cls for module in _NATIVE)


def _columns(obj: Any, check: Callable[[], None]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at, column in enumerate(obj.get_columns()):
        check()
        found += _column(column, obj, at, check)
    return found


def _column(column: Any, owner: Any, at: int, check: Callable[[], None]) -> list[tuple[int, int]]:
    """Return the buffers of a native series, the column ``at`` of ``owner``."""
    known = arrow_stream.interface()
    lend = getattr(column, "__arrow_c_stream__", None)
    if known is not None and lend is not None and _is_plain(column.dtype(), 0):
        try:
            return list(known.buffers(lend(), check).items())
        except arrow_stream.Unreadable:
            pass
    return keyed(owner, int(column.estimated_size()), at)


def _is_plain(dtype: Any, depth: int) -> bool:
    name = sizes.type_name(dtype if _is_class(dtype) else type(dtype)).rpartition(".")[2]
    if name in _PLAIN:
        return True
    if depth > 16 or _is_class(dtype):
        return False
    if name in ("List", "Array"):
        return _is_plain(dtype.inner, depth + 1)
    return name == "Struct" and all(_is_plain(field.dtype, depth + 1) for field in dtype.fields)


def _is_class(dtype: Any) -> bool:
    return type in sizes.mro(type(dtype))
