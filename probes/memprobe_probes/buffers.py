"""Adapters: where the data of arrays lies that Python's own sizes do not show.

One module answers for each family of types (``numpy_arrays``, ``arrow_buffers``, …); this one
knows which. What an answer consists of: ``parts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import arrow_buffers, numpy_arrays, sizes
from .parts import NOTHING, Adapter, Parts
from .python_buffers import MANAGED_BUFFER

# Types whose data this version cannot see: said in the report instead of counted as zero.
_BLIND = {"polars", "torch", "tensorflow", "jax", "cupy", "cudf"}


def adapter_for(cls: type, check: Callable[[], None] = lambda: None) -> Adapter | None:
    """Return the adapter for instances of ``cls``, or None for ordinary objects.

    ``check`` is called now and then by adapters that may take long; it raises to stop them.
    """
    if is_array(cls):
        return numpy_arrays.arrays()
    if is_arrow(cls):
        return arrow_buffers.adapter(cls, check)
    if cls is memoryview or cls is MANAGED_BUFFER:
        return _none_of_its_own
    return None


def is_array(cls: type) -> bool:
    """Whether instances of ``cls`` are ndarrays."""
    known = numpy_arrays.arrays()
    return known is not None and known.array in sizes.mro(cls)


def is_arrow(cls: type) -> bool:
    """Whether instances of ``cls`` are tables, columns, arrays or buffers of Arrow."""
    return any(sizes.module_of(base) == "pyarrow.lib" for base in sizes.mro(cls))


def _none_of_its_own(obj: Any) -> Parts:
    return NOTHING


def blind_spot(cls: type) -> str | None:
    """Return the name of a type that holds native data no adapter can see."""
    package = sizes.module_of(cls).partition(".")[0]
    if package in _BLIND and sizes.type_name(cls).rpartition(".")[2] in (
        "DataFrame",
        "Series",
        "Tensor",
        "Array",
    ):
        return sizes.type_name(cls)
    return None


def is_object_array(obj: Any) -> bool:
    """Whether ``obj`` is an ndarray of Python objects that owns its elements."""
    known = numpy_arrays.arrays()
    return known is not None and known.array in sizes.mro(type(obj)) and known.owns_objects(obj)


def object_array_length(obj: Any) -> int:
    """Return the number of elements of an object ndarray."""
    known = numpy_arrays.arrays()
    return int(known.size(obj)) if known is not None else 0


def object_array_elements(obj: Any, positions: list[int] | None) -> list[list[Any]]:
    """Return the objects of each element of an object ndarray, or of those at ``positions``."""
    known = numpy_arrays.arrays()
    return known.rows(obj, positions) if known is not None else []


def describe(obj: Any) -> dict[str, Any]:
    """Return shape, dtypes and length of an object, as far as they are known types' own facts."""
    cls = type(obj)
    try:
        names = {sizes.type_name(base) for base in sizes.mro(cls)}
        if any(name.startswith("pandas.") for name in names):
            return _describe_pandas(obj, names)
        if adapter_for(cls) is not None:
            return _describe_array(obj)
        if cls in (list, tuple, dict, set, frozenset, str, bytes, bytearray):
            return {"length": len(obj)}
    except Exception:
        return {}
    return {}


def _describe_pandas(obj: Any, names: set[str]) -> dict[str, Any]:
    if "pandas.DataFrame" in names:
        manager = object.__getattribute__(obj, "_mgr")
        dtypes: dict[str, int] = {}
        for block in manager.blocks:
            dtype = str(block.values.dtype)
            dtypes[dtype] = dtypes.get(dtype, 0) + len(block.mgr_locs)
        return {"shape": [len(axis) for axis in reversed(manager.axes)], "dtypes": dtypes}
    if "pandas.Series" in names:
        manager = object.__getattribute__(obj, "_mgr")
        return {
            "shape": [len(manager.axes[0])],
            "dtypes": {str(block.values.dtype): 1 for block in manager.blocks},
        }
    return {}


def _describe_array(obj: Any) -> dict[str, Any]:
    shape = getattr(obj, "shape", None)
    if shape is None:
        return {"length": len(obj), "dtypes": {str(obj.type): 1}}
    dtype = getattr(obj, "dtype", None)
    return {"shape": [int(n) for n in shape], "dtypes": {str(dtype): 1} if dtype else {}}
