"""What an adapter answers: the objects and buffers behind an object that Python cannot see into.

``children`` are Python objects that the garbage collector does not lead to (an ndarray's base);
``buffers`` are native memory as ``(address, bytes)``. Only C code of the libraries themselves is
called, never a method that a user could have defined, and no library is imported: they are looked
up in ``sys.modules``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Parts = tuple[list[Any], list[tuple[int, int]]]
    Adapter = Callable[[Any], Parts]

NOTHING: Parts = ([], [])
LEAST_BUFFER = 64  # bytes below which native memory is not worth a node


def keyed(obj: Any, nbytes: int, part: int = 0) -> list[tuple[int, int]]:
    """Return a buffer of unknown address: one that no other object's can be mistaken for."""
    if nbytes <= 0:
        return []
    return [((1 << 64) + (id(obj) << 48) + (part << 40), nbytes)]
