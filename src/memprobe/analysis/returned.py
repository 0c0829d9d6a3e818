"""What goes back to the system when a bundle is cut, from the simulation of its groups."""

from __future__ import annotations

from memprobe.analysis.retention import Bundle
from memprobe.findings import Reclaim
from memprobe.recording.schema import Group

# By so much the parts of a bundle may fall short of the whole and still stand for it.
CLOSE = 0.02


def reclaim(bundle: Bundle) -> Reclaim:
    """Return what comes back when all holders of ``bundle`` are cut.

    One set of holders was simulated as a whole: that is the answer. Where a bundle joins several
    sets, each was simulated alone: together they give back at least the sum, and more where they
    share an arena; a sum that falls short is only the lower end of an estimate.
    """
    outer = _outermost(bundle.groups)
    freed = _estimate(bundle)
    if any(group.returned is None for group in outer):
        return freed
    back = _total(bundle.groups, outer, untrimmed=False)
    at_once = min(back, _total(bundle.groups, outer, untrimmed=True))
    if len(outer) > 1 and back < bundle.exclusive * (1 - CLOSE):
        freed.low = min(freed.low, back)
        return freed
    high = max(back, bundle.exclusive) if len(outer) > 1 else back
    return Reclaim(bytes=back, low=back, high=high, at_once=at_once, basis="simulated")


def _estimate(bundle: Bundle) -> Reclaim:
    return Reclaim(bytes=bundle.exclusive, low=bundle.low, high=bundle.high)


def _outermost(groups: tuple[Group, ...]) -> list[Group]:
    """Return the groups whose holders are not all holders of another one as well."""
    sets = [frozenset(group.holders) for group in groups]
    return [group for group, own in zip(groups, sets) if not any(own < other for other in sets)]


def _total(groups: tuple[Group, ...], outer: list[Group], *, untrimmed: bool) -> int:
    """Return the sum over ``outer``; what two of them contain is taken off once too often at most.

    The simulation of a set frees every group inside it as well.
    """
    total = 0
    inside: set[int] = set()
    for group in outer:
        own = frozenset(group.holders)
        parts = [number for number, one in enumerate(groups) if own > frozenset(one.holders)]
        twice = sum(groups[number].bytes for number in parts if number in inside)
        inside.update(parts)
        amount = (group.returned_untrimmed if untrimmed else group.returned) or 0
        total += max(0, amount - twice)
    return total
