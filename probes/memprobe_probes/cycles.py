"""What waits in reference cycles that nothing reaches any more, found without collecting any of it.

The collector's own algorithm, from outside: of every object that it tracks, the references less
those from other tracked objects. What has one left, or is reached from something that has, is
alive; the rest waits for a collection. Normal garbage between two collections is nobody's
business: it is looked for only where no collection is due, and only while that fits into the
pause that is allowed.
"""

from __future__ import annotations

import gc
import sys
import time
from _collections import _count_elements  # type: ignore[import-not-found]
from _operator import not_
from itertools import compress

from . import sizes
from .sampling import OWN_REFERENCES
from .walk import TooLong
from .waste import Waste

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

NS_PER_OBJECT = 700  # of one tracked object, with its references
TRACKED = 0.4  # tracked objects per allocated block
FAR = 1_000_000  # allocations without a collection that nobody's defaults allow
FAR_FULL = 1_000_000_000  # the same of a collection of everything
BATCH = 20_000
MOST_TYPES = 10
MOST_OBJECTS = 3_000_000  # looked at; a table of them takes some 150 bytes each
MANY_FROZEN = 10_000  # Python itself freezes some hundred


def complete(tables: dict[str, Any], budget_ns: int, stop_ids: set[int]) -> None:
    """Add ``cycles`` to the tables of a snapshot, or the reason why they are not measured.

    Where the walker has found them already, only how the collector is set is added.
    """
    found, reason = tables.get("cycles"), None
    if found is None:
        found, reason = waiting(budget_ns, stop_ids)
    if found is not None:
        tables["cycles"] = {**found, **collector()}
    if reason is None and found is None and gc.get_freeze_count() > MANY_FROZEN:
        reason = "gc.freeze() moved objects out of sight of everything but the native walker"
    if reason is not None:
        tables["unmeasured"] = [*tables["unmeasured"], {"what": "reference cycles", "why": reason}]


def collector() -> dict[str, Any]:
    """Return how the collector is set, and whether no collection is due for long (``idle``)."""
    return {
        "enabled": gc.isenabled(),
        "idle": is_idle(),
        "thresholds": list(gc.get_threshold()),
        "frozen": gc.get_freeze_count(),
    }


def may_stay() -> bool:
    """Whether there can be garbage that no collection will free."""
    return is_idle() or gc.get_freeze_count() > MANY_FROZEN


def is_idle() -> bool:
    """Whether no collection is due for long: switched off, or out of reach of its thresholds."""
    young, middle, old = gc.get_threshold()
    far = young >= FAR or young * max(1, middle) * max(1, old) >= FAR_FULL
    return far or young == 0 or not gc.isenabled()


def waiting(budget_ns: int, stop_ids: set[int]) -> tuple[dict[str, Any] | None, str | None]:
    """Return bytes, objects and types of the garbage, or None with the reason in words.

    Without a reason there was nothing to look for: the collector does its work. ``budget_ns`` is
    CPU time of this thread. Nothing is collected and no reference stays behind.
    """
    if not is_idle():
        return None, None
    deadline = time.thread_time_ns() + budget_ns
    generation, expected = _affordable(budget_ns)
    if expected > budget_ns:
        return None, f"it would pause for about {expected / 1e6:.0f} ms"
    try:
        waste = Waste(stop_ids, deadline)
        waste.add_all(unreachable(generation, waste.in_time))
    except TooLong as reason:
        return None, str(reason)
    return waste.rows(MOST_TYPES), None


def _affordable(budget_ns: int) -> tuple[int | None, int]:
    """Return the generations to look at (None: all) and what that is expected to take in ns.

    With the collector off, all that was made since is in the youngest: garbage of before it was
    switched off is missed there, and nothing alive is taken for garbage.
    """
    everything = int(sys.getallocatedblocks() * TRACKED * NS_PER_OBJECT)
    if everything <= budget_ns:
        return None, everything
    return 0, gc.get_count()[0] * NS_PER_OBJECT


def unreachable(generation: int | None, in_time: Callable[[], None]) -> list[Any]:
    """Return the tracked objects of a generation that only tracked objects like them refer to.

    The caller's list is the only reference that is added. ``in_time`` raises ``TooLong``.
    """
    objects = gc.get_objects(generation)
    try:
        if len(objects) > MOST_OBJECTS:
            raise TooLong(f"more than {MOST_OBJECTS:,} objects that the collector tracks")
        _leave_out_modules(objects)
        return _without_living(objects, in_time)
    finally:
        # Frames of this very call can be among them: a cycle that would keep them all.
        objects.clear()


def _leave_out_modules(objects: list[Any]) -> None:
    """Take modules out: what they refer to counts as held from outside, which it is.

    Their C code may show the collector objects that are free already (``_asyncio`` of 3.12 its
    spare iterators). A reference to such a one, and be it for a moment, frees it a second time.
    """
    kinds = {kind for kind in set(map(type, objects)) if type(sys) in sizes.mro(kind)}
    objects[:] = compress(objects, map(not_, map(kinds.__contains__, map(type, objects))))


def _without_living(objects: list[Any], in_time: Callable[[], None]) -> list[Any]:
    counts = list(map(sys.getrefcount, objects))
    position = dict(zip(map(id, objects), range(len(objects))))
    inner: dict[int | None, int] = {}
    for targets in _targets(objects, position, in_time):
        _count_elements(inner, targets)
    alive = bytearray(len(objects))
    pending = _held_from_outside(counts, inner)
    while pending:
        for at in pending:
            alive[at] = 1
        above = list(map(objects.__getitem__, pending))
        below: set[int | None] = set()
        for targets in _targets(above, position, in_time):
            below.update(targets)
        above.clear()
        below.discard(None)
        pending = list(compress(below, map(not_, map(alive.__getitem__, below))))  # type: ignore[arg-type]
    return list(compress(objects, map(not_, alive)))


def _held_from_outside(counts: list[int], inner: dict[int | None, int]) -> list[int]:
    """Return the positions of objects with more references than tracked objects have to them."""
    return [at for at, count in enumerate(counts) if count - OWN_REFERENCES > inner.get(at, 0)]


def _targets(
    objects: list[Any], position: dict[int, int], in_time: Callable[[], None]
) -> Iterator[Iterator[int | None]]:
    """Yield the positions of what ``objects`` refer to, batch by batch; None for others."""
    for start in range(0, len(objects), BATCH):
        in_time()
        met = gc.get_referents(*objects[start : start + BATCH])
        yield map(position.get, map(id, met))
        met.clear()
