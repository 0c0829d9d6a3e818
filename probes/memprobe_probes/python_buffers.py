"""Memory that the standard library's own types keep outside of what ``sys.getsizeof`` says.

``bytes``, ``bytearray``, ``array.array`` and ``io.BytesIO`` tell it themselves. A memoryview
leads on to what it shows. A mapped file is counted as nothing: the system takes its pages back
without asking. An anonymous ``mmap`` is the process's own memory.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _managed_buffer() -> type:
    """Return the type of what stands between a memoryview and the object it shows."""
    view = memoryview(b"-")
    return type(gc.get_referents(view)[0])


MANAGED_BUFFER = _managed_buffer()


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
