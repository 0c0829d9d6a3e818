"""From evidence to the parts of a finding: where made, when last used, the path, the object."""

from __future__ import annotations

from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK, Evidence, held_object
from memprobe.analysis.retention import Bundle
from memprobe.analysis.returned import reclaim
from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    Holding,
    LastUse,
    PathStep,
    Status,
    fingerprint,
)
from memprobe.recording.schema import Holder, Step

# Below one of these a path shows how a library stores its data: of no use to a reader.
_LIBRARIES = ("pandas.", "numpy.", "pyarrow.", "polars.", "scipy.", "torch.")
_PREFERENCE = (NAMESPACE, OUTPUT, TRACEBACK)


def created(evidence: Evidence, holder: Holder) -> Created | None:
    """Return where the holder came to hold its object."""
    run = evidence.created(holder)
    if run is None:
        if holder.file is None:
            return None
        return Created(file=holder.file, line=holder.line, source="allocation")
    return Created(
        cell=run.cell,
        cell_id=run.cell_id,
        line=run.bound.get(holder.expr) or None,
        source="hook" if run.observed else "history",
    )


def last_use(evidence: Evidence, holder: Holder) -> LastUse | None:
    """Return the last cell that used a name, or displayed an output."""
    if holder.root == NAMESPACE:
        life = evidence.liveness.life(holder.expr)
        if life.last is None:
            return None
        return LastUse(cell=life.last.cell, seconds_ago=life.seconds_since)
    return None


def ordered(holders: tuple[Holder, ...]) -> list[Holder]:
    """Return holders as a reader wants them: names first, then what IPython keeps."""

    def key(holder: Holder) -> tuple[int, bool, bool, int]:
        kind = _PREFERENCE.index(holder.root) if holder.root in _PREFERENCE else 9
        numbered = any(char.isdigit() for char in holder.expr)
        return kind, "(" in holder.expr, not numbered and kind == 1, -len(holder.expr)

    return sorted(holders, key=key)


def finding(
    evidence: Evidence, bundle: Bundle, *, code: str, name: str, status: Status, title: str,
    why: str, fix: str, first: Holder | None = None,
) -> Finding:  # fmt: skip
    """Put a finding about ``bundle`` together; ``first`` is the holder it is told from."""
    holders = ordered(bundle.holders)
    first = first or holders[0]
    path = path_of(bundle, first)
    made = evidence.created(first)
    subject = subject_of(bundle, first)
    return Finding(
        code=code,
        name=name,
        status=status,
        title=title,
        context=evidence.recording.header.context,
        object=subject,
        holders=_holdings(holders),
        exclusive_bytes=bundle.exclusive,
        shared_bytes=bundle.shared,
        reclaim=reclaim(bundle),
        created=created(evidence, first),
        last_used=last_use(evidence, first),
        path=path,
        why=why,
        fix=fix,
        fingerprint=fingerprint(code, first.root, subject.type, path, made.hash if made else ""),
    )


def _holdings(holders: list[Holder]) -> list[Holding]:
    """Return what to cut; some expressions stand for more than one reference."""
    names = dict.fromkeys((holder.root, holder.expr) for holder in holders)
    return [Holding(root=root, expr=expr) for root, expr in names]


def subject_of(bundle: Bundle, first: Holder) -> HeldObject:
    """Return the object the finding is about: the holder's own, or the one inside it."""
    steps = _readable(bundle.largest.path)
    if not steps:
        return held_object(first, first.expr)
    last = steps[-1]
    return HeldObject(type=last.type, name=last.edge.lstrip("."))


def path_of(bundle: Bundle, first: Holder) -> list[PathStep]:
    """Return the retention path, root first, with the reference to cut marked."""
    steps = _root_steps(first)
    steps[-1].cut = True
    if bundle.largest.holders and first.id in bundle.largest.holders:
        inner = _readable(bundle.largest.path)
        steps += [PathStep(type=step.type, edge=step.edge) for step in inner]
    return steps


def _root_steps(holder: Holder) -> list[PathStep]:
    if holder.expr.startswith("Out["):
        return [PathStep(type="dict", edge="Out"), PathStep(type=holder.type, edge=holder.expr[3:])]
    return [PathStep(type=holder.type, edge=holder.expr)]


def _readable(path: list[Step]) -> list[Step]:
    """Return the path down to the first object of a data library, without bookkeeping."""
    steps: list[Step] = []
    for step in path:
        if step.type == "buffer":
            break
        if step.edge == "__dict__":
            continue
        steps.append(step)
        if step.type.startswith(_LIBRARIES):
            break
    return [] if _only_library(steps) else steps


def _only_library(steps: list[Step]) -> bool:
    return len(steps) == 1 and steps[0].edge in ("._mgr", "base", ".base", "·")
