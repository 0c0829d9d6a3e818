"""What several views of one memory show together."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    # From an address to another, and the bytes shown in between; the first is -1 where only the
    # number of bytes is known.
    Span = tuple[int, int, int]


LEAST = 1024  # bytes of memory below which nobody asks what its views show
WHOLE = 0.9  # allocators round up: so much of a buffer shown counts as all of it


def shown(
    owner: int, views: Mapping[int, list[int]], is_exposed: Callable[[int], bool],
    span: Callable[[int], Span],
) -> int:  # fmt: skip
    """Return the bytes that views of ``owner``, or views of them, show.

    ``views``: what was cut from each. One that is not exposed is reached through its own views
    alone, so it shows what they show.
    """
    spans: list[Span] = []
    pending = list(views[owner])
    while pending:
        view = pending.pop()
        if is_exposed(view):
            spans.append(span(view))
        else:
            pending += views.get(view, ())
    return covered(spans)


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
