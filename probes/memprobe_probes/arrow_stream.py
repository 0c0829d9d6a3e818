"""Addresses and sizes of buffers that a library lends out through the Arrow C stream interface.

Nothing is copied and nothing is imported: the structures are read through ``ctypes`` where the
process has it loaded, and given back at once. Layouts: the Arrow C data and C stream interfaces.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WIDTHS = {"c": 1, "C": 1, "s": 2, "S": 2, "e": 2, "i": 4, "I": 4, "f": 4, "l": 8, "L": 8, "g": 8,
           "tdD": 4, "tdm": 8, "tts": 4, "ttm": 4, "ttu": 8, "ttn": 8,
           "ts": 8, "tD": 8, "ti": 8}  # fmt: skip
_MOST_CHUNKS = 4096

Found = dict[int, int]  # address → bytes


class Unreadable(Exception):
    """The data has a layout that is not known here, or was not lent out."""


class Interface:
    """The C structures, as the ``ctypes`` of this process describes them."""

    def __init__(self, ctypes: Any) -> None:
        self.ctypes = ctypes
        pointer, integer, text = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
        self.schema = _structure(
            ctypes, format=text, name=text, metadata=pointer, flags=integer, n_children=integer,
            children=pointer, dictionary=pointer, release=pointer, private=pointer,
        )  # fmt: skip
        self.array = _structure(
            ctypes, length=integer, null_count=integer, offset=integer, n_buffers=integer,
            n_children=integer, buffers=pointer, children=pointer, dictionary=pointer,
            release=pointer, private=pointer,
        )  # fmt: skip
        self.stream = _structure(
            ctypes, get_schema=pointer, get_next=pointer, get_last_error=pointer, release=pointer,
            private=pointer,
        )  # fmt: skip
        # A prototype of its own: argument types set on ``pythonapi`` would be the user's as well.
        prototype = ctypes.PYFUNCTYPE(pointer, ctypes.py_object, text)
        self.pointer_of = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))
        self.get = ctypes.PYFUNCTYPE(ctypes.c_int, pointer, pointer)
        self.release = ctypes.PYFUNCTYPE(None, pointer)

    def buffers(self, capsule: Any, check: Callable[[], None]) -> Found:
        """Return the buffers of all chunks in an ``arrow_array_stream`` capsule."""
        address = self.pointer_of(capsule, b"arrow_array_stream")
        stream = self.stream.from_address(address)
        schema = self.schema()
        if self.get(stream.get_schema)(address, self._address(schema)):
            raise Unreadable
        found: Found = {}
        try:
            for _ in range(_MOST_CHUNKS):
                check()
                if not self._chunk(stream, address, schema, found):
                    return found
        finally:
            self._let_go(schema)
        raise Unreadable

    def _chunk(self, stream: Any, address: int, schema: Any, found: Found) -> bool:
        array = self.array()
        if self.get(stream.get_next)(address, self._address(array)):
            raise Unreadable
        if not array.release:
            return False
        try:
            self._read(schema, array, found, 0)
        finally:
            self._let_go(array)
        return True

    def _read(self, schema: Any, array: Any, found: Found, depth: int) -> None:
        if schema.dictionary or depth > 32:
            raise Unreadable
        layout = schema.format.decode("ascii")
        rows = array.length + array.offset
        addresses = self._numbers(array.buffers, array.n_buffers)
        for address, nbytes in zip(addresses, self._sizes(layout, rows, addresses)):
            if address and nbytes:
                found[address] = max(nbytes, found.get(address, 0))
        schemas = self._numbers(schema.children, schema.n_children)
        arrays = self._numbers(array.children, array.n_children)
        for below, data in zip(schemas, arrays):
            self._read(
                self.schema.from_address(below), self.array.from_address(data), found, depth + 1
            )

    def _sizes(self, layout: str, rows: int, addresses: list[int]) -> list[int]:
        """Return the bytes of each buffer of an array of ``rows`` rows, its offset included."""
        validity = (rows + 7) // 8
        if layout in ("n", "+s") or layout.startswith("+w:"):
            return [validity]
        if layout == "b":
            return [validity, validity]
        if layout in ("vu", "vz"):
            texts = self._numbers(addresses[-1], len(addresses) - 3)
            return [validity, 16 * rows, *texts, 8 * len(texts)]
        if layout in ("u", "z", "U", "Z", "+l", "+L"):
            width = 8 if layout.isupper() else 4
            offsets = [validity, width * (rows + 1)]
            if layout.startswith("+"):
                return offsets
            return [*offsets, self._last(addresses, rows, width)]
        return [validity, _width(layout) * rows]

    def _last(self, addresses: list[int], rows: int, width: int) -> int:
        """Return the last offset of an array of texts: the bytes of its data."""
        kind = self.ctypes.c_int64 if width == 8 else self.ctypes.c_int32
        return int(kind.from_address(addresses[1] + width * rows).value) if addresses[1] else 0

    def _numbers(self, address: int | None, count: int) -> list[int]:
        if not address or count <= 0:
            return []
        return list((self.ctypes.c_int64 * count).from_address(address))

    def _address(self, structure: Any) -> int:
        return int(self.ctypes.addressof(structure))

    def _let_go(self, structure: Any) -> None:
        if structure.release:
            self.release(structure.release)(self._address(structure))


def _width(layout: str) -> int:
    """Return the bytes of one value of a layout with values of equal size."""
    if layout.startswith("d:"):
        sizes = layout[2:].split(",")
        return int(sizes[2]) // 8 if len(sizes) > 2 else 16
    width = _WIDTHS.get(layout) or _WIDTHS.get(layout[:2])
    if width is None:
        raise Unreadable
    return width


def _structure(ctypes: Any, **fields: Any) -> Any:
    return type("Structure", (ctypes.Structure,), {"_fields_": list(fields.items())})


_interfaces: list[Interface] = []


def interface() -> Interface | None:
    """Return the structures, or None where the process has no ``ctypes`` loaded."""
    ctypes = sys.modules.get("ctypes")
    if ctypes is None or not hasattr(ctypes, "pythonapi"):
        return None
    if not _interfaces:
        _interfaces.append(Interface(ctypes))
    return _interfaces[0]
