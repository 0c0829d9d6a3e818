"""What is inside of a holder: from the rows of a snapshot to a tree of what keeps what."""

from __future__ import annotations

from collections.abc import Iterable

from memprobe.analysis.describe import ordered
from memprobe.findings import HeldObject, InnerRow, Inside
from memprobe.recording.schema import Group, Holder, Inner, Snapshot, Step


def inside(snapshot: Snapshot, holders: Iterable[Holder], *, last: bool = True) -> Inside | None:
    """Return what is inside of the object that ``holders`` are all names of, None if not told.

    ``last``: whether this is the last snapshot of its recording.
    """
    names = list(holders)
    asked = next((one for one in names if one.inside), None)
    if asked is None:
        return None
    top = asked.inside[0]
    own, others = _groups(snapshot, asked)
    members = {one.id for one in names}
    return Inside(
        bytes=top.bytes,
        own_bytes=top.own,
        objects=top.objects,
        kept_with=_exprs(snapshot, own, members),
        shared_bytes=sum(group.bytes for group in others),
        shared_with=_exprs(snapshot, others, members),
        cell=snapshot.cell,
        last=last,
        rows=_tree(asked.inside),
    )


def _groups(snapshot: Snapshot, holder: Holder) -> tuple[list[Group], list[Group]]:
    """Return the group that is the holder's inside, and the others that it reaches.

    Whoever reaches the holder's object reaches all below it: the group of the object itself has
    the fewest holders. It is in no table where it is small.
    """
    touched = [group for group in snapshot.groups if holder.id in group.holders]
    touched.sort(key=lambda group: (len(group.holders), -group.bytes))
    if touched and touched[0].bytes == holder.inside[0].bytes:
        return touched[:1], touched[1:]
    return [], touched


def _exprs(snapshot: Snapshot, groups: list[Group], without: set[int]) -> list[str]:
    """Return who holds ``groups`` besides, most bytes first, the names of one object together."""
    weights: dict[int, int] = {}
    for group in groups:
        for one in set(group.holders) - without:
            weights[one] = weights.get(one, 0) + group.bytes
    by_object: dict[int, list[Holder]] = {}
    for holder in snapshot.holders:
        if holder.id in weights:
            key = holder.object if holder.object >= 0 else -1 - holder.id
            by_object.setdefault(key, []).append(holder)
    objects = [ordered(tuple(names)) for names in by_object.values()]
    objects.sort(key=lambda names: -max(weights[one.id] for one in names))
    return list(dict.fromkeys(one.expr for names in objects for one in names))


def _tree(rows: list[Inner]) -> list[InnerRow]:
    """Return what lies directly in the first row, each with what lies in it, largest first."""
    made: list[InnerRow] = []
    for row in rows:
        made.append(_row(row, rows[0].bytes))
        if row.parent is not None and 0 <= row.parent < len(made) - 1:
            made[row.parent].rows.append(made[-1])
    for one in made:
        one.rows.sort(key=lambda below: -below.bytes)
    return made[0].rows


def _row(row: Inner, whole: int) -> InnerRow:
    held = HeldObject(type=row.type, shape=row.shape, dtypes=row.dtypes, length=row.length)
    return InnerRow(
        edge=_edge(row.path),
        object=held,
        bytes=row.bytes,
        share=row.bytes / whole if whole else 0.0,
        own_bytes=row.own,
        objects=row.objects,
        count=row.count,
        shared_inside=len(row.path) > 1,
        columns=row.columns,
    )


def _edge(path: list[Step]) -> str:
    """Return the steps as one would type them: ``.left[0]``."""
    text = ""
    for step in path:
        typed = step.edge.startswith((".", "[")) or not text
        text += step.edge if typed else f" {step.edge}"
    return text
