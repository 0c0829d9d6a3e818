"""Adapters: where the data of arrays lies that Python's own sizes do not show.

One module answers for each family of types (``numpy_arrays``, ``arrow_buffers``, …); this one
knows which. What an answer consists of: ``parts``.
"""

from __future__ import annotations

import sys

from . import numpy_arrays, sizes
from .parts import NOTHING
from .python_buffers import is_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .parts import Adapter, Parts

# Libraries whose objects are single blocks of native memory.
_WITH_BLOCKS = frozenset({"pandas", "sklearn", "matplotlib", "PIL"})

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
        from . import arrow_buffers

        return arrow_buffers.adapter(cls, check)
    if is_view(cls):
        return _none_of_its_own
    return _of_a_library(cls, check, note)


def _of_a_library(
    cls: type, check: Callable[[], Any], note: Callable[[str], Any]
) -> Adapter | None:
    """Ask the modules of the libraries that are loaded; the others need not be loaded either."""
    found: Adapter | None = None
    if "polars" in sys.modules:
        from . import polars_frames

        found = polars_frames.adapter(cls, check)
    if found is None and "torch" in sys.modules:
        from . import torch_tensors

        found = torch_tensors.adapter(cls, note)
    if found is None and not _WITH_BLOCKS.isdisjoint(sys.modules):
        from . import native_objects

        found = native_objects.adapter(cls)
    return found


def blind_spot(cls: type) -> str | None:
    """Return the name of a type that holds native data no adapter can see."""
    if "polars" in sys.modules:
        from . import polars_frames

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
