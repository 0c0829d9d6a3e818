"""Adapters: where the data of arrays lies that Python's own sizes do not show.

One module answers for each family of types (``numpy_arrays``, ``arrow_buffers``, …); this one
knows which. What an answer consists of: ``parts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import arrow_buffers, native_objects, numpy_arrays, polars_frames, sizes, torch_tensors
from .parts import NOTHING, Adapter, Parts
from .python_buffers import MANAGED_BUFFER

# Types whose data this version cannot see: said in the report instead of counted as zero.
_BLIND = {
    "tensorflow": ("EagerTensor", "ResourceVariable"),
    "jaxlib": ("ArrayImpl",),
    "cupy": ("ndarray",),
    "cudf": ("DataFrame", "Series"),
    "xgboost": ("Booster", "DMatrix", "QuantileDMatrix"),
    "lightgbm": ("Booster", "Dataset"),
    "catboost": ("Pool", "CatBoost"),
    "duckdb": ("DuckDBPyConnection", "DuckDBPyRelation"),
}


def adapter_for(
    cls: type, check: Callable[[], Any] = dict, note: Callable[[str], Any] = str
) -> Adapter | None:
    """Return the adapter for instances of ``cls``, or None for ordinary objects.

    ``check`` is called now and then by adapters that may take long; it raises to stop them.
    ``note`` is told the name of what an adapter met and cannot measure.
    """
    if is_array(cls):
        return numpy_arrays.arrays()
    if is_arrow(cls):
        return arrow_buffers.adapter(cls, check)
    if cls is memoryview or cls is MANAGED_BUFFER:
        return _none_of_its_own
    return (
        polars_frames.adapter(cls, check)
        or torch_tensors.adapter(cls, note)
        or native_objects.adapter(cls)
    )


def blind_spot(cls: type) -> str | None:
    """Return the name of a type that holds native data no adapter can see."""
    if polars_frames.is_plan(cls):
        return "polars.LazyFrame"
    package = sizes.module_of(cls).partition(".")[0]
    if sizes.type_name(cls).rpartition(".")[2] in _BLIND.get(package, ()):
        return sizes.type_name(cls)
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
