"""Numbers as the walker takes them: 64-bit words, one behind the other.

Not ``array``: a program may have an ``array.py`` of its own, which an import in its process would
find first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Base = list[int]
else:
    Base = list


class Words(Base):
    """Numbers from 0 to 2**64 - 1."""

    def tobytes(self) -> bytes:
        """Return them in the machine's own byte order."""
        return packed(self)


def packed(numbers: Iterable[int]) -> bytes:
    """Return ``numbers`` as bytes, eight for each, in the machine's own byte order."""
    listed = list(numbers)
    room = memoryview(bytearray(8 * len(listed))).cast("Q")
    for at, number in enumerate(listed):
        room[at] = number
    return room.tobytes()
