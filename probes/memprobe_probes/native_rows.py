"""From the walker's answer to the tables of a snapshot record."""

from __future__ import annotations

import gc
import time

from . import sizes
from .describe import describe
from .native_inside import NAMING_NS, Inside
from .native_paths import path_of
from .native_pinned import pinned_by_group
from .texts import strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .native_answer import Answer, Group
    from .native_kinds import Classes
    from .native_request import Request
    from .roots import Root
    from .walk import Walk

LEAST_GROUP = 64 * 1024  # bytes below which a group is not worth a row
MOST_TYPES = 30
MOST_CYCLE_TYPES = 10
_UNNAMED = "a reference that memprobe cannot name"


class Rows:
    """The tables of one answer.

    ``live``: the roots' objects as far as they are still the same, by number of root.
    """

    def __init__(
        self, answer: Answer, request: Request, walk: Walk, roots: list[Root], live: list[Any]
    ) -> None:
        self.answer = answer
        self.request = request
        self.walk = walk
        self.roots = roots
        self.live = live
        self.by_node = {row[0]: at for at, row in reversed(list(enumerate(answer.roots)))}

    def tables(self) -> dict[str, Any]:
        """Return holders, groups, types, cycles and what was not measured."""
        pinned = pinned_by_group(self.answer, self.request.shares)
        groups = [self._group(group, pinned.get(at)) for at, group in enumerate(self.answer.groups)]
        used = sorted({holder for group in groups for holder in group["holders"]})
        self._tell_inside()
        return {
            "holders": [self._holder(number) for number in used],
            "groups": groups,
            "types": _type_rows(self.answer.types, self.request.classes, MOST_TYPES),
            "cycles": self._cycles(),
            "unmeasured": self._unmeasured(),
            "objects": self.answer.objects,
        }

    def _group(self, group: Group, pinned: float | None) -> dict[str, Any]:
        start = self.by_node.get(group.chain[0][0], -1)
        root = self.live[start] if start >= 0 else None
        path, via, _ = path_of(group.chain, root, self.request.classes.named)
        nodes = self.answer.roots
        first = group.chain[0][0]
        holders = sorted(group.holders, key=lambda one: one == len(nodes) or nodes[one][0] != first)
        return {
            "holders": holders, "bytes": group.bytes, "low": None, "high": None,
            "objects": group.objects, "top": self._name(group.chain[-1][2]), "path": path,
            "via": via, "pinned": None if pinned is None else int(pinned),
            "returned": group.returned, "returned_untrimmed": group.untrimmed,
        }  # fmt: skip

    def _tell_inside(self) -> None:
        """Note with the roots that were asked for what is inside of them."""
        until = time.thread_time_ns() + NAMING_NS
        for number, rows in self.answer.inside:
            root = self.live[number] if number < len(self.live) else None
            if rows:
                told = Inside(rows, root, self.request.classes.named, until).told()
                self.roots[number].facts["inside"] = told

    def _name(self, address: int) -> str:
        if not address:
            return "native buffer"
        cls = self.request.classes.named(address)
        return "object" if cls is None else sizes.type_name(cls)

    def _holder(self, number: int) -> dict[str, Any]:
        if number == len(self.roots):
            return {
                "id": number, "root": "interpreter", "expr": _UNNAMED, "object": -1, "type": "",
            }  # fmt: skip
        root, (node, _, cls), obj = self.roots[number], self.answer.roots[number], self.live[number]
        row = {"id": number, "root": root.kind, "expr": root.expr, "object": node}
        row["type"] = self._name(cls)
        if obj is not None:
            row["type"] = sizes.type_name(type(obj))
            row.update(describe(obj))
            text = strings(self.walk, obj)
            if text is not None:
                row["strings"] = text
        row.update(root.facts)
        return row

    def _cycles(self) -> dict[str, Any] | None:
        if self.answer.cycles is None:
            return None
        nbytes, objects, frozen_bytes = self.answer.cycles
        return {
            "bytes": nbytes, "objects": objects, "enabled": gc.isenabled(),
            "types": _type_rows(self.answer.cycle_types, self.request.classes, MOST_CYCLE_TYPES),
            "frozen": gc.get_freeze_count(), "frozen_bytes": frozen_bytes,
        }  # fmt: skip

    def _unmeasured(self) -> list[dict[str, str]]:
        blind = [
            {"what": name, "why": "its native data has no adapter in this version"}
            for name in sorted(self.walk.blind)
        ]
        missed = {self._name(address): count for address, count in self.answer.missed}
        return blind + [
            {"what": f"{count:,} × {name}", "why": "its data lies too deep to be asked for first"}
            for name, count in sorted(missed.items())
        ]


def _type_rows(rows: list[list[int]], classes: Classes, most: int) -> list[dict[str, Any]]:
    totals: dict[str, list[int]] = {}
    for address, count, nbytes in rows:
        cls = classes.named(address) if address else None
        name = "native buffer" if not address else "object" if cls is None else sizes.type_name(cls)
        row = totals.setdefault(name, [0, 0])
        row[0] += count
        row[1] += nbytes
    largest = sorted(totals.items(), key=lambda item: -item[1][1])[:most]
    return [{"type": name, "count": row[0], "bytes": row[1]} for name, row in largest]


def still_there(answer: Answer, before: list[Root], now: list[Root]) -> list[Any]:
    """Return the objects of the roots, None for one that refers to something else now.

    ``now`` is emptied: its references would count.
    """
    found = {(root.kind, root.expr): root.take() for root in now}
    live = []
    for root, (_, address, _) in zip(before, answer.roots):
        obj = found.get((root.kind, root.expr))
        live.append(obj if id(obj) == address else None)
    return live
