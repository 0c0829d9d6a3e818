"""Adapters: where the data of arrays lies that Python's own sizes do not show.

Each adapter answers for one family of types with ``(children, buffers)``: Python objects that the
garbage collector cannot see (an ndarray's base, the chunks of an Arrow column) and native buffers
as ``(address, bytes)``. Only C code of the libraries themselves is called, never a method that a
user could have defined. No library is imported: they are looked up in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from . import sizes

Parts = tuple[list[Any], list[tuple[int, int]]]
Adapter = Callable[[Any], Parts]

# Types whose data this version cannot see: said in the report instead of counted as zero.
_BLIND = {"polars", "torch", "tensorflow", "jax", "cupy", "cudf"}


def adapter_for(cls: type) -> Adapter | None:
    """Return the adapter for instances of ``cls``, or None for ordinary objects."""
    numpy = sys.modules.get("numpy")
    array = getattr(numpy, "ndarray", None)
    if type(array) is type and array in sizes.mro(cls):
        return _Numpy(array)
    if sizes.module_of(cls) == "pyarrow.lib":
        return _arrow_adapter(cls)
    return None


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


class _Numpy:
    """Reads ndarrays through the descriptors of ``numpy.ndarray`` itself."""

    def __init__(self, array: type) -> None:
        found = vars(array)
        self.base = found["base"].__get__
        self.nbytes = found["nbytes"].__get__
        self.interface = found["__array_interface__"].__get__

    def __call__(self, obj: Any) -> Parts:
        base = self.base(obj)
        if base is not None:
            return [base], []
        nbytes = self.nbytes(obj)
        if nbytes < 64:
            return [], []
        return [], [(self.interface(obj)["data"][0], nbytes)]


def is_object_array(obj: Any) -> bool:
    """Whether ``obj`` is an ndarray of Python objects that owns its elements."""
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    if type(array) is not type or array not in sizes.mro(type(obj)):
        return False
    found = vars(array)
    dtype = found["dtype"].__get__(obj)
    return found["base"].__get__(obj) is None and dtype.kind == "O"


def object_array_length(obj: Any) -> int:
    """Return the number of elements of an object ndarray."""
    array = sys.modules["numpy"].ndarray
    return int(vars(array)["size"].__get__(obj))


def object_array_elements(obj: Any, positions: list[int] | None) -> list[Any]:
    """Return the elements of an object ndarray, all of them or those at ``positions``."""
    array = sys.modules["numpy"].ndarray
    flat = vars(array)["flat"].__get__(obj)
    if positions is None:
        return list(flat)
    return [flat[position] for position in positions]


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


def _arrow_adapter(cls: type) -> Adapter | None:
    name = sizes.type_name(cls).rpartition(".")[2]
    if name == "Buffer" or name.endswith("Buffer"):
        return _arrow_buffer
    if name == "ChunkedArray":
        return _arrow_chunks
    if name in ("Table", "RecordBatch"):
        return _arrow_columns
    if name.endswith("Array"):
        return _arrow_array
    return None


def _arrow_buffer(obj: Any) -> Parts:
    return [], [(obj.address, obj.size)] if obj.size else []


def _arrow_chunks(obj: Any) -> Parts:
    return _joined(obj.chunks)


def _arrow_columns(obj: Any) -> Parts:
    buffers: list[tuple[int, int]] = []
    for column in obj.columns:
        chunks = getattr(column, "chunks", None)
        buffers += _joined([column] if chunks is None else chunks)[1]
    return [], buffers


def _joined(arrays: list[Any]) -> Parts:
    buffers: list[tuple[int, int]] = []
    for array in arrays:
        buffers += _arrow_array(array)[1]
    return [], buffers


def _arrow_array(obj: Any) -> Parts:
    buffers = [(b.address, b.size) for b in obj.buffers() if b is not None and b.size]
    dictionary = getattr(obj, "dictionary", None)
    if dictionary is not None:
        buffers += _arrow_array(dictionary)[1]
    return [], buffers
