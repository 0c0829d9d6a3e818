"""Who holds what in the last snapshot, whether or not a rule has something to say about it."""

from __future__ import annotations

from memprobe.analysis.describe import created, last_use, ordered
from memprobe.analysis.evidence import Evidence, held_object
from memprobe.analysis.inside import inside
from memprobe.findings import HolderRow
from memprobe.recording.schema import Holder, Snapshot


def holder_rows(evidence: Evidence, most: int = 12) -> list[HolderRow]:
    """Return one row per held object, largest first; those looked into are always among them."""
    snapshot = evidence.snapshot
    if snapshot is None:
        return []
    by_object: dict[int, list[Holder]] = {}
    for holder in snapshot.holders:
        if holder.object >= 0:
            by_object.setdefault(holder.object, []).append(holder)
    rows = [holder_row(evidence, holders) for holders in by_object.values()]
    rows.sort(key=lambda row: (-row.exclusive_bytes, -row.shared_bytes))
    return rows[:most] + [row for row in rows[most:] if row.inside is not None]


def holder_row(evidence: Evidence, holders: list[Holder]) -> HolderRow:
    """Return the row of the object that ``holders``, of the evidence's snapshot, all hold."""
    snapshot = evidence.snapshot or Snapshot(t=0)
    holders = ordered(tuple(holders))
    members = {holder.id for holder in holders}
    exclusive = sum(g.bytes for g in snapshot.groups if members.issuperset(g.holders))
    touched = sum(g.bytes for g in snapshot.groups if members.intersection(g.holders))
    first = holders[0]
    return HolderRow(
        exprs=[holder.expr for holder in holders],
        roots=[holder.root for holder in holders],
        object=held_object(first, first.expr),
        exclusive_bytes=exclusive,
        shared_bytes=touched - exclusive,
        created=created(evidence, first),
        last_used=last_use(evidence, first),
        inside=inside(snapshot, holders),
    )
