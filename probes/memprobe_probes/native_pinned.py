"""Native memory that only smaller views keep, from the walker's rows: what nobody sees of it.

The same question as ``pinned`` answers for the walk inside the process.
"""

from __future__ import annotations

import sys

from .native_answer import NONE, signed
from .sampling import WHOLE
from .spans import covered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .native_answer import Answer
    from .spans import Span

LEAST = 64 * 1024  # bytes of a buffer below which the question is not asked


class _View:
    def __init__(self, row: list[int]) -> None:
        self.node, self.address, self.base, self.low, self.high, nbytes = row[:6]
        self.bytes = sys.maxsize if nbytes == NONE else nbytes
        self.references, self.base_references = map(signed, row[6:8])
        self.base_bytes, self.base_group = row[8:]


def pinned_by_group(
    answer: Answer, shares: dict[int, dict[tuple[object, ...], float]]
) -> dict[int, float]:
    """Return number of group → bytes of its memory that is kept, and shown by nobody.

    ``shares``: address of Arrow memory → which part of it each slice shows.
    """
    found: dict[int, float] = {}
    for group, nbytes in [*_behind_views(answer), *_behind_slices(answer, shares)]:
        if group != NONE:
            found[group] = found.get(group, 0.0) + nbytes
    return found


def _behind_views(answer: Answer) -> list[tuple[int, float]]:
    rows = [_View(row) for row in answer.views]
    views: dict[int, list[_View]] = {}
    for row in rows:
        views.setdefault(row.base, []).append(row)
    based = {row.node for row in rows}
    found = []
    for owner, group in views.items():
        if owner in based or group[0].base_references > len(group):
            continue
        memory = _memory_of(answer, owner, group[0])
        if not memory or memory[0][1] < LEAST:
            continue
        left = 1.0 - _shown(owner, views) / memory[0][1]
        if left > 1.0 - WHOLE:
            found += [(number, nbytes * left) for number, nbytes in memory]
    return found


def _memory_of(answer: Answer, owner: int, view: _View) -> list[tuple[int, int]]:
    if view.base_bytes != NONE:
        return [(view.base_group, view.base_bytes)]
    return [(group, nbytes) for _, _, nbytes, array, group in answer.buffers if array == owner]


def _shown(owner: int, views: dict[int, list[_View]]) -> int:
    """Return the bytes that views of ``owner``, or views of them, show."""
    spans: list[Span] = []
    pending = list(views[owner])
    while pending:
        view = pending.pop()
        below = views.get(view.node, [])
        if view.references > len(below):
            spans.append(_span(view))
        else:
            pending += below
    return covered(spans)


def _span(view: _View) -> Span:
    if view.low or view.high:
        return view.low, view.high, min(view.high - view.low, view.bytes)
    return -1, -1, view.bytes


def _behind_slices(
    answer: Answer, shares: dict[int, dict[tuple[object, ...], float]]
) -> list[tuple[int, float]]:
    found = []
    for _, address, nbytes, _, group in answer.buffers:
        share = sum(shares.get(address, {}).values()) if address in shares else 1.0
        if nbytes >= LEAST and share < WHOLE:
            found.append((group, nbytes * (1.0 - share)))
    return found
