"""Tell references of waiting garbage from references of somebody alive.

An object with more references than the walk has met is held by something unnamed. Often that is
no holder at all but a reference cycle that the collector has not visited yet: IPython builds one
around every frame of a traceback it prints. So the walk is extended upwards: what refers to such
an object joins the graph without a root. If that explains every reference, nobody alive is
behind it; if not, the missing reference stays unnamed and its bytes are promised to nobody.
"""

from __future__ import annotations

import gc
import sys
import types

from . import sizes
from .sampling import OWN_REFERENCES
from .walk import TooLong, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORTH = 1 << 20  # bytes at stake below which the question is not asked
MOST_SUSPECTS = 64
MOST_ROUNDS = 8
NS_PER_BLOCK = 8  # of one pass of the collector over the whole heap, per allocated block
_TRIVIAL = sizes.ids(types.FunctionType, types.MethodType)


def adopt_garbage(walk: Walk, stakes: list[bool]) -> bool:
    """Extend ``walk`` upwards from nodes with unmet references; return whether it has grown.

    ``stakes`` says per node whether its bytes would otherwise be promised. Each round is one
    pass over the heap, and only made while that fits into what is left of the deadline.
    """
    before = len(walk.objects)
    for _ in range(MOST_ROUNDS):
        suspects = _suspects(walk, stakes)
        if not suspects or not walk.affords(sys.getallocatedblocks() * NS_PER_BLOCK):
            break
        known = len(walk.objects)
        _adopt_referrers(walk, suspects)
        if len(walk.objects) == known:
            break
        stakes = stakes + [True] * (len(walk.objects) - len(stakes))
    return len(walk.objects) > before


def unmet(walk: Walk) -> list[int]:
    """Return the nodes with more references than the walk has met."""
    counts = map(sys.getrefcount, walk.objects)
    return [
        node
        for node, count in enumerate(counts)
        if count - OWN_REFERENCES > walk.incoming[node]
        and walk.objects[node] is not None
        and not walk.kind(type(walk.objects[node])).partly_met
    ]


def _suspects(walk: Walk, stakes: list[bool]) -> list[int]:
    found = []
    for node in unmet(walk):
        obj = walk.objects[node]
        if not stakes[node] or id(type(obj)) in _TRIVIAL or walk.kind(type(obj)).leaf:
            continue
        if _reaches_much(walk, node):
            found.append(node)
            if len(found) >= MOST_SUSPECTS:
                break
    return found


def _reaches_much(walk: Walk, node: int, most: int = 5000) -> bool:
    seen = {node}
    pending = [node]
    total = 0.0
    while pending and len(seen) < most:
        at = pending.pop()
        total += walk.sizes[at]
        if total >= WORTH:
            return True
        fresh = [below for below in walk.edges[at] if below not in seen]
        seen.update(fresh)
        pending += fresh
    return False


def _adopt_referrers(walk: Walk, suspects: list[int]) -> None:
    asked = [walk.objects[node] for node in suspects]
    referrers = gc.get_referrers(*asked)
    ours = {id(walk.objects), id(asked), id(referrers)}
    running = _running_frames()
    asked.clear()
    for referrer in referrers:
        if id(referrer) in ours or id(referrer) in running or _is_own_frame(referrer):
            continue
        walk.add(referrer, -1)
    referrer = None
    referrers.clear()
    try:
        walk.expand_all()
    except TooLong:
        # What was not expanded explains nothing: its references stay unnamed.
        walk.give_up()


def _running_frames() -> set[int]:
    running: set[int] = set()
    step: Any = None
    frame: Any = None
    try:
        for frame in sys._current_frames().values():
            step = frame
            while step is not None:
                running.add(id(step))
                step = step.f_back
    finally:
        # One of them was this very frame: a cycle that would keep the whole walk alive.
        frame = step = None
    return running


def _is_own_frame(obj: Any) -> bool:
    return type(obj) is types.FrameType and "memprobe_probes" in obj.f_code.co_filename
