"""Shape, dtypes and length of an object: facts that known types tell without the user's code."""

from __future__ import annotations

from . import numpy_arrays, sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BUILT_IN = sizes.ids(list, tuple, dict, set, frozenset, str, bytes, bytearray)
_LIBRARIES = ("numpy", "pandas", "pyarrow", "polars", "torch")
_OTHER = "extension"  # the dtype is a class of the user's, whose text nobody may ask for


def describe(obj: Any) -> dict[str, Any]:
    """Return ``shape``, ``dtypes`` (name → number of columns) and ``length``, where known."""
    cls = type(obj)
    try:
        if id(cls) in _BUILT_IN:
            return {"length": len(obj)}
        for base in sizes.mro(cls):
            tell = _TELLING.get(sizes.type_name(base))
            if tell is not None:
                return tell(obj)
        if sizes.module_of(cls) == "pyarrow.lib":
            return _arrow(obj)
    except Exception:
        return {}
    return {}


def _text(dtype: Any) -> str:
    """Return a dtype's name, if the dtype is a known library's own."""
    cls = dtype if type in sizes.mro(type(dtype)) else type(dtype)
    return str(dtype) if _is_library(cls) else _OTHER


def _is_library(cls: type) -> bool:
    return sizes.module_of(cls).partition(".")[0] in _LIBRARIES


def _dtype_of(values: Any) -> str:
    return _text(values.dtype) if _is_library(type(values)) else _OTHER


def _frame(obj: Any) -> dict[str, Any]:
    manager = object.__getattribute__(obj, "_mgr")
    dtypes: dict[str, int] = {}
    for block in manager.blocks:
        dtype = _dtype_of(block.values)
        dtypes[dtype] = dtypes.get(dtype, 0) + len(block.mgr_locs)
    return {"shape": [len(axis) for axis in reversed(manager.axes)], "dtypes": dtypes}


def _series(obj: Any) -> dict[str, Any]:
    manager = object.__getattribute__(obj, "_mgr")
    return {
        "shape": [len(manager.axes[0])],
        "dtypes": {_dtype_of(block.values): 1 for block in manager.blocks},
    }


def _array(obj: Any) -> dict[str, Any]:
    known = numpy_arrays.arrays()
    if known is None:
        return {}
    return {"shape": list(known.shape(obj)), "dtypes": {_text(known.dtype(obj)): 1}}


def _arrow(obj: Any) -> dict[str, Any]:
    shape = getattr(obj, "shape", None)
    if shape is None:
        return {"length": len(obj), "dtypes": {_text(obj.type): 1}}
    return {"shape": [int(n) for n in shape]}


def _polars_frame(obj: Any) -> dict[str, Any]:
    native = object.__getattribute__(obj, "_df")
    dtypes: dict[str, int] = {}
    for dtype in native.dtypes():
        dtypes[_text(dtype)] = dtypes.get(_text(dtype), 0) + 1
    return {"shape": list(native.shape()), "dtypes": dtypes}


def _polars_series(obj: Any) -> dict[str, Any]:
    native = object.__getattribute__(obj, "_s")
    return {"shape": [native.len()], "dtypes": {_text(native.dtype()): 1}}


def _sparse(obj: Any) -> dict[str, Any]:
    names = sizes.instance_dict(obj) or {}
    found: dict[str, Any] = {"shape": [int(n) for n in names["_shape"]]}
    if "data" in names:
        found.update(dtypes=_array(names["data"])["dtypes"])
    return found


def _tensor(obj: Any) -> dict[str, Any]:
    if sizes.module_of(type(obj)).partition(".")[0] != "torch":
        return {}
    return {"shape": [int(n) for n in obj.shape], "dtypes": {_text(obj.dtype): 1}}


_TELLING = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "numpy.ndarray": _array,
    "polars.DataFrame": _polars_frame,
    "polars.Series": _polars_series,
    "scipy._base": _sparse,
    "scipy._spbase": _sparse,
    "torch.Tensor": _tensor,
}
