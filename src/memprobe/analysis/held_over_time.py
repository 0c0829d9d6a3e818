"""Who held how much at each snapshot, so that the parts add up to all that was live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from memprobe.analysis.describe import ordered
from memprobe.histories import Stack
from memprobe.recording.schema import Holder, Snapshot

MOST_NAMES = 7
SHARED = "shared by several"
SMALLER = "smaller holders"


def held(snapshots: Sequence[Snapshot], origin: int) -> Stack:
    """Return the largest holders' bytes at each of ``snapshots``; ``origin`` is monotonic ns.

    What several objects' holders keep together is in a part of its own, and so is all that the
    smaller holders keep: the parts add up to the live bytes.
    """
    read = [_by_name(one) for one in snapshots]
    most: Counter[str] = Counter()
    for parts in read:
        for name, amount in parts.items():
            most[name] = max(most[name], amount)
    shared = most.pop(SHARED, 0)
    names = [name for name, _ in most.most_common(MOST_NAMES)]
    rows: list[list[float | None]] = [
        [float(parts.get(name, 0)) for parts in read] for name in names
    ]
    if len(most) > MOST_NAMES:
        rest = set(most) - set(names)
        names.append(SMALLER)
        rows.append([float(sum(parts.get(name, 0) for name in rest)) for parts in read])
    if shared:
        names.append(SHARED)
        rows.append([float(parts.get(SHARED, 0)) for parts in read])
    return Stack(times=[(one.t - origin) / 1e9 for one in snapshots], names=names, values=rows)


def _by_name(snapshot: Snapshot) -> Counter[str]:
    """Return what each held object's holders keep alone, by the best of their names."""
    by_id = {one.id: one for one in snapshot.holders}
    of_object: dict[int, list[Holder]] = {}
    for holder in snapshot.holders:
        of_object.setdefault(_object(holder), []).append(holder)
    name_of = {held: ordered(tuple(holders))[0].expr for held, holders in of_object.items()}
    parts: Counter[str] = Counter()
    for group in snapshot.groups:
        objects = {_object(by_id[one]) for one in group.holders if one in by_id}
        parts[name_of[objects.pop()] if len(objects) == 1 else SHARED] += group.bytes
    return parts


def _object(holder: Holder) -> int:
    """Return the number of the held object; a holder of none in particular is one by itself."""
    return holder.object if holder.object >= 0 else -1 - holder.id
