"""How long each holder kept what in either context, and how long after anybody used it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from memprobe.analysis.contrast_side import NO_SNAPSHOT, Side, Step, whole_run
from memprobe.analysis.describe import ordered
from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK, held_object
from memprobe.contrasts import HolderRow, Life
from memprobe.findings import Created, HeldObject
from memprobe.recording.schema import Holder, Snapshot

MOST = 40
LEAST = 1 << 20  # bytes below which a holder is not worth a row
EXCEPTION, UNNAMED = -1, -2
GLOBAL = "module"  # root kind of a script's own names


@dataclass
class _Track:
    """One holder through the steps of one context: its bytes after each step it was there."""

    object: HeldObject
    exprs: list[str]
    holder: Holder
    bytes: dict[int, int] = field(default_factory=dict)


def holder_rows(notebook: Side, script: Side | None) -> list[HolderRow]:
    """Return what was held in either context over its first round, the most byte-seconds first.

    Holders are joined by the name a user would cut; what IPython keeps exists on one side only.
    """
    unread = script is None or not any(step.snapshot for step in _steps(script))
    ours = _tracks(notebook)
    theirs = _tracks(script) if script is not None else {}
    rows = []
    for name in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(name), theirs.get(name)
        known = one or other
        assert known is not None
        rows.append(
            HolderRow(
                name=name,
                object=known.object,
                notebook=_life(one, notebook) if one else None,
                script=_life(other, script) if other and script else None,
                why=NO_SNAPSHOT if unread else None,
            )
        )
    rows.sort(key=_weight)
    return rows[:MOST]


def _steps(side: Side) -> list[Step]:
    """Return the steps of one run of the work; one for all of it where there are none."""
    taken = [one for one in side.recording.snapshots if one.skipped is None]
    if side.first.steps or not taken:
        return side.first.steps
    return [whole_run(side.recording, taken[-1])]


def _weight(row: HolderRow) -> tuple[float, int]:
    lives = [life for life in (row.notebook, row.script) if life is not None]
    return -max(life.byte_seconds or 0.0 for life in lives), -max(life.bytes for life in lives)


def _tracks(side: Side) -> dict[str, _Track]:
    tracks: dict[str, _Track] = {}
    for position, step in enumerate(_steps(side)):
        if step.snapshot is None:
            continue
        for name, track, held in _held(step.snapshot):
            known = tracks.setdefault(name, track)
            known.bytes[position] = held
            if held >= max(known.bytes.values()):
                known.object, known.exprs, known.holder = track.object, track.exprs, track.holder
    return {name: one for name, one in tracks.items() if max(one.bytes.values()) >= LEAST}


def _held(snapshot: Snapshot) -> Iterator[tuple[str, _Track, int]]:
    """Yield (name, track, bytes that come back when all references of the object go)."""
    objects = {holder.id: _object(holder) for holder in snapshot.holders}
    held: dict[int, int] = {}
    for group in snapshot.groups:
        of_group = {objects[one] for one in group.holders}
        if len(of_group) == 1:
            one = of_group.pop()
            held[one] = held.get(one, 0) + group.bytes
    by_object: dict[int, list[Holder]] = {}
    for holder in snapshot.holders:
        by_object.setdefault(objects[holder.id], []).append(holder)
    for number, holders in by_object.items():
        if number == UNNAMED:
            continue
        first, *rest = ordered(tuple(holders))
        exprs = [first.expr, *(one.expr for one in rest)]
        yield first.expr, _Track(held_object(first, first.expr), exprs, first), held.get(number, 0)


def _object(holder: Holder) -> int:
    """Return what tells objects apart; an exception and its traceback keep the same frames."""
    if holder.object < 0:
        return UNNAMED
    return EXCEPTION if holder.root == TRACEBACK else holder.object


def _life(track: _Track, side: Side) -> Life:
    steps = _steps(side)
    present = sorted(track.bytes)
    last = _last_use(track, steps)
    idle, byte_seconds = _after(track, steps, last)
    return Life(
        bytes=max(track.bytes.values()),
        exprs=track.exprs,
        created=_created(track, steps, side),
        last_used=steps[last].name if last is not None else None,
        until=_until(side, steps, present[-1]),
        at_end=present[-1] == len(steps) - 1,
        idle=idle,
        byte_seconds=byte_seconds,
    )


def _last_use(track: _Track, steps: list[Step]) -> int | None:
    """Return the last step that used the holder while it was there."""
    holder = track.holder
    if holder.root == OUTPUT:
        return _position_of(holder.cell, steps)
    if holder.root == TRACEBACK:
        failed = _position_of(holder.cell, steps)
        return failed if failed is not None else _failed(steps)
    name = holder.expr.partition(".")[0]
    until = max(track.bytes)
    used = [at for at, step in enumerate(steps) if at <= until and step.touches(name)]
    return used[-1] if used else None


def _position_of(count: int | None, steps: list[Step]) -> int | None:
    return next((at for at, step in enumerate(steps) if step.count == count and count), None)


def _failed(steps: list[Step]) -> int | None:
    failed = [at for at, step in enumerate(steps) if step.error]
    return failed[-1] if failed else None


def _after(track: _Track, steps: list[Step], last: int | None) -> tuple[float | None, float | None]:
    """Return for how many seconds later steps ran, and the byte-seconds held meanwhile."""
    if last is None or any(step.wall is None for step in steps):
        return None, None
    held = [at for at in track.bytes if last <= at < len(steps) - 1]
    walls = {at: steps[at + 1].wall or 0.0 for at in held}
    return sum(walls.values()), sum(track.bytes[at] * walls[at] for at in held)


def _created(track: _Track, steps: list[Step], side: Side) -> Created | None:
    holder = track.holder
    if holder.root in (OUTPUT, TRACEBACK):
        at = _last_use(track, steps)
        return Created(cell=steps[at].cell) if at is not None else None
    if holder.root not in (NAMESPACE, GLOBAL):
        return None
    until = max(track.bytes)
    made = [step for at, step in enumerate(steps) if at <= until and holder.expr in step.bound]
    if not made:
        return None
    line = made[-1].bound[holder.expr] or None
    if side.recording.header.context == "script":
        return Created(cell=None, line=line, file=side.recording.header.program)
    return Created(cell=made[-1].cell, line=line)


def _until(side: Side, steps: list[Step], last: int) -> str:
    if last < len(steps) - 1:
        return steps[last + 1].name
    script = side.recording.header.context == "script"
    return "process exit" if script else "kernel's end"
