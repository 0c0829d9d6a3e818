"""Native memory that only smaller views keep, from the walker's rows: what nobody sees of it.

The same question as ``pinned`` answers for the walk inside the process.
"""

from __future__ import annotations

import sys

from .native_answer import NONE, signed
from .spans import LEAST, WHOLE, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .native_answer import Answer
    from .spans import Span

LEAST_ARROW = 64 * 1024  # bytes of Arrow memory below which its slices are not compared


class _View:
    def __init__(self, row: list[int]) -> None:
        self.node, _, self.base, self.low, self.high, nbytes = row[:6]
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
    rows = {row[0]: _View(row) for row in answer.views}
    views: dict[int, list[int]] = {}
    for node, row in rows.items():
        views.setdefault(row.base, []).append(node)
    memory = _memory_of_arrays(answer)
    found = []
    for owner, group in views.items():
        first = rows[group[0]]
        if owner in rows or first.base_references > len(group):
            continue
        known = first.base_bytes != NONE
        pieces = [(first.base_group, first.base_bytes)] if known else memory.get(owner, [])
        if not pieces or pieces[0][1] < LEAST:
            continue
        left = 1.0 - _shown(owner, views, rows) / pieces[0][1]
        if left > 1.0 - WHOLE:
            found += [(number, nbytes * left) for number, nbytes in pieces]
    return found


def _memory_of_arrays(answer: Answer) -> dict[int, list[tuple[int, int]]]:
    """Return node of an array → the memory it owns, as groups and bytes."""
    found: dict[int, list[tuple[int, int]]] = {}
    for _, _, nbytes, array, group, _ in answer.buffers:
        if array != NONE:
            found.setdefault(array, []).append((group, nbytes))
    return found


def _shown(owner: int, views: dict[int, list[int]], rows: dict[int, _View]) -> int:
    def is_exposed(node: int) -> bool:
        return bool(rows[node].references > len(views.get(node, ())))

    return shown(owner, views, is_exposed, lambda node: _span(rows[node]))


def _span(view: _View) -> Span:
    if view.low or view.high:
        return view.low, view.high, min(view.high - view.low, view.bytes)
    return -1, -1, view.bytes


def _behind_slices(
    answer: Answer, shares: dict[int, dict[tuple[object, ...], float]]
) -> list[tuple[int, float]]:
    found = []
    for _, address, nbytes, _, group, seen in answer.buffers:
        share = sum(shares.get(address, {}).values()) if address in shares else 1.0
        if nbytes >= LEAST_ARROW and share < WHOLE and not seen:
            found.append((group, nbytes * (1.0 - share)))
    return found
