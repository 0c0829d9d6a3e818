"""ndarrays, read through the descriptors of ``numpy.ndarray`` itself.

A subclass (memmap, recarray, one of the user's) may override every attribute: none of its code
runs. Data belongs to the array that owns it; a view leads to its base.
"""

from __future__ import annotations

import sys

from . import python_buffers, sizes
from .parts import LEAST_BUFFER, NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parts import Parts


class Arrays:
    """The adapter for instances of ``array``, the class ``numpy.ndarray``."""

    def __init__(self, array: type) -> None:
        found = vars(array)
        self.array = array
        self.base = found["base"].__get__
        self.nbytes = found["nbytes"].__get__
        self.interface = found["__array_interface__"].__get__
        self.shape = found["shape"].__get__
        self.strides = found["strides"].__get__
        self.itemsize = found["itemsize"].__get__
        self.dtype = found["dtype"].__get__
        self.size = found["size"].__get__
        self.flat = found["flat"].__get__
        self._flags = found["flags"].__get__

    def copy(self, obj: Any) -> Any:
        """Return a copy in the same order of elements, as little writable as the array."""
        made = vars(self.array)["copy"](obj, "K")
        made.setflags(write=bool(self._flags(obj).writeable))
        return made

    def __call__(self, obj: Any) -> Parts:
        """Return the base of a view, or the buffer of an array that owns its data."""
        base = self.base(obj)
        if base is None:
            nbytes = self.nbytes(obj)
            if nbytes < LEAST_BUFFER:
                return NOTHING
            return [], [(self.interface(obj)["data"][0], nbytes)]
        if is_known_base(type(base)) or self.array in sizes.mro(type(base)):
            return [base], []
        # A capsule, or an object of another library: what the array shows is known to be there.
        low, high = self.extent(obj)
        return [base], [(low, high - low)] if high - low >= LEAST_BUFFER else []

    def extent(self, obj: Any) -> tuple[int, int]:
        """Return the lowest address the array's elements lie at, and the end of the highest."""
        start = self.interface(obj)["data"][0]
        low = high = start
        for length, stride in zip(self.shape(obj), self.strides(obj)):
            if length == 0:
                return start, start
            span = (length - 1) * stride
            low, high = low + min(0, span), high + max(0, span)
        return low, high + self.itemsize(obj)

    def owns_objects(self, obj: Any) -> bool:
        """Whether the array holds references to Python objects that no other array owns."""
        if not self.dtype(obj).hasobject:
            return False
        base = self.base(obj)
        return base is None or self.array not in sizes.mro(type(base))

    def rows(self, obj: Any, positions: list[int] | None) -> list[list[Any]]:
        """Return the Python objects in the elements at ``positions``, or in all of them."""
        dtype, flat = self.dtype(obj), self.flat(obj)
        if dtype.kind == "O":
            if positions is None:
                return [[one] for one in flat]
            return [[flat[position]] for position in positions]
        if not dtype.names:
            return []
        fields = [at for at, name in enumerate(dtype.names) if dtype.fields[name][0].kind == "O"]
        chosen = range(self.size(obj)) if positions is None else positions
        found = []
        for position in chosen:
            record = flat[position].item()
            found.append([record[at] for at in fields])
        return found


def is_known_base(cls: type) -> bool:
    """Whether a base of this class leads on to the memory: no buffer of its own for the array."""
    return cls is memoryview or python_buffers.owns_memory(cls)


_seen: dict[int, Arrays] = {}


def arrays() -> Arrays | None:
    """Return the adapter for the numpy of this process, or None where it is not imported."""
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    if type(array) is not type:
        return None
    found = _seen.get(id(array))
    if found is None or found.array is not array:
        _seen.clear()
        found = _seen[id(array)] = Arrays(array)
    return found
