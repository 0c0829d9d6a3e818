"""What a container inside a holder keeps of it: the bytes of ``store.frames`` within ``store``."""

from __future__ import annotations

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .roots import Root
    from .walk import Walk

MOST_ASKED = 12
MOST_NODES = 200_000  # walked again for one of them


def parts(
    walk: Walk, roots: Sequence[Root], nodes: Sequence[int], masks: Sequence[int],
    asked: Iterable[str],
) -> dict[int, dict[str, int]]:  # fmt: skip
    """Return root number → expression → bytes that only this container keeps of the holder.

    ``asked`` are expressions of attributes; those that are roots themselves are not answered.
    """
    found: dict[int, dict[str, int]] = {}
    own = {root.expr for root in roots}
    for expr in [one for one in asked if "." in one and one not in own][:MOST_ASKED]:
        for number, root in enumerate(roots):
            if nodes[number] < 0 or not expr.startswith(root.expr + "."):
                continue
            names = expr[len(root.expr) + 1 :].split(".")
            node = _resolve(walk, walk.objects[nodes[number]], names)
            if node is not None:
                kept = _kept_by(walk, masks, nodes[number], node, 1 << number)
                found.setdefault(number, {})[expr] = kept
    return found


def _resolve(walk: Walk, obj: Any, names: list[str]) -> int | None:
    for name in names:
        obj = (sizes.instance_dict(obj) or {}).get(name)
    return walk.index.get(id(obj))


def _kept_by(walk: Walk, masks: Sequence[int], top: int, part: int, mask: int) -> int:
    """Return what is reached from ``part`` alone, of all that only one holder keeps."""
    below = _reached(walk, masks, part, mask, without=-1)
    beside = _reached(walk, masks, top, mask, without=part)
    return int(sum(walk.sizes[node] for node in below - beside))


def _reached(walk: Walk, masks: Sequence[int], top: int, mask: int, without: int) -> set[int]:
    seen = {top}
    pending = [top]
    while pending and len(seen) < MOST_NODES:
        for below in walk.edges[pending.pop()]:
            if below not in seen and below != without and masks[below] == mask:
                seen.add(below)
                pending.append(below)
    return seen
