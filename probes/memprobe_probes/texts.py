"""Texts that a frame or an array keeps as Python objects, and what a typed column would take.

A random sample of each column says whether it consists of texts, what they take now and how long
they would be as UTF-8. Only exact ``str`` and missing values make a column of texts.
"""

from __future__ import annotations

from . import numpy_arrays, sizes
from .sampling import SAMPLE, sample_sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .walk import Walk

LEAST_POINTERS = 1 << 20  # bytes of pointers below which nobody would gain by a typed column
NS_PER_COLUMN = 4_000_000  # at most, for one sample
_POINTER = 8
_TYPED = 8 + 1 / 8  # bytes of an Arrow large_string beside the text: offset and validity
_LONG = 1000  # characters from which on the UTF-8 length is scaled up from the first ones
_ARRAYS_OF_TEXTS = "pandas.core.arrays.string_"


def strings(walk: Walk, obj: Any) -> dict[str, int] | None:
    """Return number, present bytes and typed bytes of the columns of texts in ``obj``.

    None where it is neither frame nor array, or keeps less than a MiB of pointers, or where the
    time that is left does not suffice.
    """
    arrays = numpy_arrays.arrays()
    if arrays is None:
        return None
    columns = list(_columns(obj, arrays))
    pointers = sum(arrays.nbytes(column) for column in columns)
    if pointers < LEAST_POINTERS or not walk.affords(len(columns) * NS_PER_COLUMN):
        return None
    estimates = [_estimate(walk, column, arrays) for column in columns]
    texts = [one for one in estimates if one is not None]
    if not texts:
        return None
    now, typed = (int(sum(part)) for part in zip(*texts))
    return {"columns": len(texts), "bytes": now, "typed": typed}


def _columns(obj: Any, arrays: numpy_arrays.Arrays) -> Iterator[Any]:
    """Yield the one-dimensional arrays of objects in a frame, a series or an array."""
    names = {sizes.type_name(base) for base in sizes.mro(type(obj))}
    if "pandas.DataFrame" in names or "pandas.Series" in names:
        for block in object.__getattribute__(obj, "_mgr").blocks:
            yield from _rows_of(_values(block.values), arrays)
    elif type(obj) is arrays.array:
        yield from _rows_of(obj, arrays)


def _values(values: Any) -> Any:
    """Return the array of objects inside a pandas array of strings; others as they are."""
    if sizes.module_of(type(values)) == _ARRAYS_OF_TEXTS:
        return getattr(values, "_ndarray", values)
    return values


def _rows_of(values: Any, arrays: numpy_arrays.Arrays) -> list[Any]:
    if type(values) is not arrays.array or arrays.dtype(values).kind != "O":
        return []
    rows: Any = values
    dimensions = len(arrays.shape(rows))
    return [rows] if dimensions == 1 else list(rows) if dimensions == 2 else []


def _estimate(walk: Walk, column: Any, arrays: numpy_arrays.Arrays) -> tuple[float, float] | None:
    """Return present and typed bytes of one column, or None where it is not one of texts."""
    length = arrays.size(column)
    if not length:
        return None
    drawn = [[column[at]] for at in walk.random_positions(length, SAMPLE)]
    found = [one for (one,) in drawn if type(one) is str]
    if not found or not all(_is_text(one) for (one,) in drawn):
        return None
    typed = sum(map(utf8_length, found)) / len(drawn) + _TYPED
    found.clear()
    kept, _, _ = sample_sizes(walk, drawn)
    return length * (_POINTER + sum(kept) / len(kept)), length * typed


def _is_text(one: Any) -> bool:
    kind = type(one)
    missing = one is None or (kind is float and one != one)
    return kind is str or missing or sizes.type_name(kind).endswith(".NAType")


def utf8_length(text: str) -> float:
    """Return about how many bytes a text takes as UTF-8; exact up to 1,000 characters."""
    if text.isascii():
        return len(text)
    head = text[:_LONG].encode("utf-8", "surrogatepass")
    return len(text) * len(head) / min(len(text), _LONG)
