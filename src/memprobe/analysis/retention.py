"""Which holders could be let go, and what comes back if they are: sets of holders, in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memprobe.recording.schema import Group, Holder, Snapshot

# What is so many times smaller than the heaviest group of a holder does not tie it to another.
NEGLIGIBLE = 20

Cuttable = Callable[[Holder, Group], bool]


@dataclass(frozen=True)
class Bundle:
    """Holders that keep bytes together: cut all of them and ``exclusive`` bytes come back.

    ``groups`` are what they keep alone, largest first; ``shared`` is what somebody else keeps
    as well; ``low`` to ``high`` is the range of ``exclusive``.
    """

    holders: tuple[Holder, ...]
    groups: tuple[Group, ...]
    exclusive: int
    low: int
    high: int
    shared: int

    @property
    def largest(self) -> Group:
        """The group with most of the bytes."""
        return self.groups[0]

    def roots(self) -> set[str]:
        """Return the root kinds of the holders."""
        return {holder.root for holder in self.holders}


def bundles(snapshot: Snapshot, cuttable: Cuttable, least: int) -> list[Bundle]:
    """Return the bundles of at least ``least`` bytes that would come back, largest first.

    A group counts when every one of its holders is ``cuttable``. Holders are bundled where a
    group of ``least`` bytes needs all of them, or where one of them keeps so much together with
    each of the others; a few shared bytes do not tie two holders together.
    """
    by_id = {holder.id: holder for holder in snapshot.holders}
    free = [
        group
        for group in snapshot.groups
        if all(cuttable(by_id[one], group) for one in group.holders)
    ]
    sets = _joined(frozenset(group.holders) for group in free if group.bytes >= least)
    left = _smaller_ones(free, sets)
    sets += [*left, *_around_one(free, left)]
    found = [_bundle(members, free, snapshot, by_id) for members in sets]
    large = [bundle for bundle in found if bundle is not None and bundle.exclusive >= least]
    return _apart(sorted(large, key=lambda bundle: -bundle.exclusive))


def bundle_around(snapshot: Snapshot, wanted: set[int], also_cuttable: Cuttable) -> Bundle | None:
    """Return what comes back if the holders with the ids ``wanted`` are cut, or None.

    Where a group needs further holders that are ``also_cuttable``, they become part of it.
    """
    by_id = {holder.id: holder for holder in snapshot.holders}
    free = [
        group
        for group in snapshot.groups
        if not wanted.isdisjoint(group.holders)
        and all(one in wanted or also_cuttable(by_id[one], group) for one in group.holders)
    ]
    members = wanted.union(*(group.holders for group in free))
    return _bundle(frozenset(members), free, snapshot, by_id)


def _joined(sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """Return the unions of sets that overlap."""
    joined: list[frozenset[int]] = []
    for one in sets:
        apart = [other for other in joined if not other & one]
        for other in joined:
            if other & one:
                one |= other
        joined = [*apart, one]
    return joined


def _smaller_ones(free: list[Group], taken: list[frozenset[int]]) -> list[frozenset[int]]:
    """Return holder sets whose groups are each small but may sum up to something."""
    left = {frozenset(group.holders) for group in free}
    return [one for one in left if not any(one & other for other in taken)]


def _around_one(free: list[Group], left: list[frozenset[int]]) -> list[frozenset[int]]:
    """Return unions of small sets that one holder is in: a list of tasks, and every task."""
    weights: dict[frozenset[int], int] = {}
    for group in free:
        members = frozenset(group.holders)
        weights[members] = weights.get(members, 0) + group.bytes
    around: dict[int, list[frozenset[int]]] = {}
    for one in left:
        for holder in one:
            around.setdefault(holder, []).append(one)
    unions: list[frozenset[int]] = []
    for sets in around.values():
        heaviest = max(weights[one] for one in sets)
        tied = [one for one in sets if weights[one] * NEGLIGIBLE >= heaviest]
        if len(tied) > 1:
            unions.append(frozenset().union(*tied))
    return unions


def _apart(found: list[Bundle]) -> list[Bundle]:
    """Return the bundles that share no holder with a larger one: no byte is promised twice."""
    kept: list[Bundle] = []
    taken: set[int] = set()
    for bundle in found:
        members = {holder.id for holder in bundle.holders}
        if taken.isdisjoint(members):
            kept.append(bundle)
            taken |= members
    return kept


def _bundle(
    members: frozenset[int], free: list[Group], snapshot: Snapshot, by_id: dict[int, Holder]
) -> Bundle | None:
    groups = [group for group in free if members.issuperset(group.holders)]
    if not groups:
        return None
    groups.sort(key=lambda group: -group.bytes)
    shared = sum(
        group.bytes
        for group in snapshot.groups
        if members.intersection(group.holders) and not members.issuperset(group.holders)
    )
    return Bundle(
        holders=tuple(by_id[one] for one in sorted(members)),
        groups=tuple(groups),
        exclusive=sum(group.bytes for group in groups),
        low=sum(group.bytes if group.low is None else group.low for group in groups),
        high=sum(group.bytes if group.high is None else group.high for group in groups),
        shared=shared,
    )
