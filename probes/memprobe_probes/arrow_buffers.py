"""Buffers of Arrow tables, columns, arrays and scalars, each resolved to the memory it is cut from.

A slice keeps the whole buffers of what it was sliced from, and a column that was read from a file
or a stream often keeps the buffer of the whole message: both are counted as what they keep.
"""

from __future__ import annotations

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .parts import Adapter, Parts

    Check = Callable[[], None]
    # Of an array: what tells it from another slice, the memory it keeps, the bytes it shows of it.
    Share = tuple[tuple[Any, ...], dict[int, int], int]

_MODULE = "pyarrow.lib"
_NESTED = ("Struct", "List", "Map", "Union", "RunEndEncoded", "Extension", "Dictionary")


def adapter(cls: type, check: Check) -> Adapter | None:
    """Return the adapter for instances of ``cls``, or None where it holds no buffers.

    ``check`` is called now and then while a long table is read; it raises to stop.
    """
    arrays = _reader(cls, check)
    if arrays is None:
        return None

    def parts(obj: Any) -> Parts:
        found: dict[int, int] = {}
        for one in arrays(obj):
            found.update(_memory(one))
        return [], list(found.items())

    return parts


def shares(obj: Any, check: Check) -> Iterator[Share]:
    """Yield what each array in a table, column or array shows of the memory that it keeps."""
    arrays = _reader(type(obj), check)
    for one in arrays(obj) if arrays is not None else ():
        yield _share(one)


def _library_class(cls: type) -> type | None:
    return next((base for base in sizes.mro(cls) if sizes.module_of(base) == _MODULE), None)


def _reader(cls: type, check: Check) -> Callable[[Any], Iterator[Any]] | None:
    """Return a function that yields the arrays and buffers inside an instance of ``cls``."""
    known = _library_class(cls)
    name = sizes.type_name(known).rpartition(".")[2] if known is not None else ""
    if name.endswith("Buffer") or (name.endswith("Array") and name != "ChunkedArray"):
        return lambda obj: iter((obj,))
    if name == "ChunkedArray":
        return lambda obj: _chunks(obj, check)
    if name in ("Table", "RecordBatch"):
        return lambda obj: _columns(obj, check)
    if name.endswith("ListScalar") or name in ("MapScalar", "DictionaryScalar", "BinaryScalar",
                                               "StringScalar", "LargeStringScalar",
                                               "LargeBinaryScalar"):  # fmt: skip
        return _inside_scalar
    return None


def _read(obj: Any, name: str) -> Any:
    """Return an attribute as the library defined it, whatever a subclass says."""
    for base in sizes.mro(type(obj)):
        if sizes.module_of(base) == _MODULE and name in vars(base):
            return vars(base)[name].__get__(obj, type(obj))
    raise AttributeError(name)


def _columns(obj: Any, check: Check) -> Iterator[Any]:
    for at in range(_read(obj, "num_columns")):
        if not at & 31:
            check()
        column = _read(obj, "column")(at)
        if type(column).__name__ == "ChunkedArray":
            yield from _chunks(column, check)
        else:
            yield column


def _chunks(obj: Any, check: Check) -> Iterator[Any]:
    for at in range(_read(obj, "num_chunks")):
        if at & 31 == 31:
            check()
        yield _read(obj, "chunk")(at)


def _inside_scalar(obj: Any) -> Iterator[Any]:
    if not _read(obj, "is_valid"):
        return
    for name in ("values", "dictionary", "as_buffer"):
        try:
            found = _read(obj, name)
        except AttributeError:
            continue
        found = found() if name == "as_buffer" else found
        if found is not None:
            yield found


def _memory(obj: Any) -> dict[int, int]:
    """Return address → bytes of the memory behind an array or buffer."""
    found: dict[int, int] = {}
    for buffer in _buffers(obj):
        buffer = _root(buffer)
        if buffer.size and buffer.is_cpu:
            found[buffer.address] = buffer.size
    return found


def _root(buffer: Any) -> Any:
    """Return the buffer that this one was sliced from."""
    for _ in range(64):
        parent = buffer.parent
        if parent is None or not parent.size:
            break
        buffer = parent
    return buffer


def _buffers(obj: Any) -> list[Any]:
    if type(obj).__name__.endswith("Buffer"):
        return [obj]
    found = [one for one in _read(obj, "buffers")() if one is not None]
    for dictionary in _dictionaries(obj, 0):
        found += [one for one in _read(dictionary, "buffers")() if one is not None]
    return found


def _dictionaries(obj: Any, depth: int) -> Iterator[Any]:
    """Yield the dictionaries of encoded arrays, also of those nested in others."""
    known = _library_class(type(obj))
    name = sizes.type_name(known).rpartition(".")[2] if known is not None else ""
    if depth > 16 or (not name.startswith(_NESTED) and "List" not in name):
        return
    if name == "DictionaryArray":
        inner = _read(obj, "dictionary")
        yield inner
        yield from _dictionaries(inner, depth + 1)
        return
    for child in _children(obj, name):
        yield from _dictionaries(child, depth + 1)


def _children(obj: Any, name: str) -> Iterator[Any]:
    if name.startswith(("Struct", "Union")):
        for at in range(_read(obj, "type").num_fields):
            yield _read(obj, "field")(at)
    for attribute in ("keys", "items") if name == "MapArray" else ("values", "storage"):
        try:
            yield _read(obj, attribute)
        except AttributeError:
            continue


def _share(obj: Any) -> Share:
    memory = _memory(obj)
    buffers = _buffers(obj)
    if buffers and buffers[0] is obj:
        return (obj.address, obj.size), memory, obj.size
    try:
        shown = int(_read(obj, "nbytes"))
    except Exception:  # a layout whose slices the library cannot measure: all of it counts
        shown = sum(memory.values())
    place = tuple(one.address for one in buffers)
    return (place, _read(obj, "offset"), len(obj)), memory, shown
