"""What several views of one memory show together."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    # From an address to another, and the bytes shown in between; the first is -1 where only the
    # number of bytes is known.
    Span = tuple[int, int, int]


def covered(spans: Iterable[Span]) -> int:
    """Return how many bytes the spans show together; equal and overlapping ones count once."""
    total, low, high, nbytes = 0, 0, 0, 0
    for start, end, size in sorted(set(spans)):
        if start < 0:
            total += size
        elif start < high:
            high, nbytes = max(high, end), nbytes + size
        else:
            total += min(nbytes, high - low)
            low, high, nbytes = start, end, size
    return total + min(nbytes, high - low)
