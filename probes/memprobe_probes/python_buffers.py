"""Memory that the standard library's own types keep outside of what ``sys.getsizeof`` says.

``bytes``, ``bytearray``, ``array.array`` and ``io.BytesIO`` tell it themselves. A memoryview
leads on to what it shows. A mapped file is counted as nothing: the system takes its pages back
without asking. An anonymous ``mmap`` is the process's own memory.

Memory has one owner. Views show a part of it and keep all of it, each by way of the one below.
"""

from __future__ import annotations

import gc
import sys
from _io import BytesIO

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _managed_buffer() -> type:
    """Return the type of what stands between a memoryview and the object it shows."""
    view = memoryview(b"-")
    return type(gc.get_referents(view)[0])


MANAGED_BUFFER = _managed_buffer()
_FILE_BUFFER = type(BytesIO().getbuffer().obj)  # what stands between a memoryview and a BytesIO
# From 3.12 on the buffer of a BytesIO is an object of its own; before, it is the file's.
_FILE_IS_A_VIEW = sys.version_info >= (3, 12)
VIEWS: tuple[type, ...] = (memoryview, MANAGED_BUFFER, _FILE_BUFFER)
if _FILE_IS_A_VIEW:
    VIEWS = (*VIEWS, BytesIO)

_OWNERS = frozenset({"bytes", "bytearray", "array.array", "mmap.mmap", "_ctypes._CData"})


def is_view(cls: type) -> bool:
    """Whether instances show memory of another object: the last one that they refer to."""
    return sizes.is_one(cls, VIEWS)


def owns_memory(cls: type) -> bool:
    """Whether instances hold memory, counted in their own size, that others may show."""
    if not _FILE_IS_A_VIEW and BytesIO in sizes.mro(cls):
        return True
    return any(sizes.type_name(base) in _OWNERS for base in sizes.mro(cls))


def is_map(cls: type) -> bool:
    """Whether instances are maps of memory or of files."""
    return any(sizes.type_name(base) == "mmap.mmap" for base in sizes.mro(cls))


def map_size(obj: Any) -> int:
    """Return the bytes of an anonymous ``mmap.mmap``; a mapped file's are the system's."""
    known = vars(sys.modules["mmap"].mmap)
    try:
        known["size"](obj)  # of the file; an anonymous map has none
    except OSError:
        return sys.getsizeof(obj) + int(known["__len__"](obj))
    except ValueError:  # closed
        pass
    return sys.getsizeof(obj)


def shown_bytes(view: memoryview) -> int:
    """Return how many bytes a memoryview shows; 0 once it is released."""
    try:
        return view.nbytes
    except ValueError:
        return 0
