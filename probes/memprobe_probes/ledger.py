"""What the roots were at a snapshot: numbers only, so that nothing is kept alive by them.

``release`` cuts a reference only where it still leads to the object that the snapshot saw, and
where nothing else has come to refer to that object since.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .roots import Root


class Ledger:
    """Identity and reference count of what each root led to, under the number of a snapshot."""

    def __init__(self) -> None:
        self.number = 0
        self._rows: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def note(self, found: Iterable[Root]) -> None:
        """Take down what ``found`` leads to, in place of what was known before."""
        self.number += 1
        self._rows = counted(found)

    def differs(self, now: dict[tuple[str, str], list[tuple[int, int]]], key: tuple[str, str],
                chosen: int) -> str | None:  # fmt: skip
        """Return why the root ``key`` is not as it was, or None where it is.

        ``now`` comes from ``counted``; ``chosen`` is the id that is about to be cut.
        """
        then = dict(self._rows.get(key, ()))
        if not then:
            return "the snapshot did not see it"
        if chosen not in then:
            return "it refers to another object now"
        references = dict(now.get(key, ())).get(chosen)
        if references is None:
            return "it refers to another object now"
        if references > then[chosen]:
            return "something else refers to the object now"
        return None


def counted(found: Iterable[Root]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return kind and expression of each root → (id, references that are no root's) of its object.

    References of the reading itself are in every count alike.
    """
    listed = list(found)
    by_roots: dict[int, int] = {}
    for root in listed:
        by_roots[id(root.obj)] = by_roots.get(id(root.obj), 0) + 1
    rows: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for root in listed:
        obj: Any = root.obj
        others = sys.getrefcount(obj) - by_roots[id(obj)]
        rows.setdefault((root.kind, root.expr), []).append((id(obj), others))
    obj = None
    return rows
