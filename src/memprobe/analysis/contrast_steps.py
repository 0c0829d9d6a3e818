"""The tables of a contrast: both contexts step by step, in total, and round by round."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise

from memprobe.analysis.contrast_side import Round, Side, Step, live_bytes
from memprobe.analysis.noise import measure, spread
from memprobe.analysis.round_growth import LEAST
from memprobe.contrasts import Measure, RoundRow, StepRow, Unit

NO_PARTNER = "the script has no lines that are this cell's"
ONLY_SCRIPT = "no cell has these lines"
NO_STEPS = "the script did not run in steps"
NOT_IN_STEPS = "the script did not run in steps: its start-up and end are in it"
# Why a quantity is missing where nothing else says so.
UNREAD = {
    "wall": "the recording does not tell when it began",
    "cpu": "the recording tells no CPU time of it",
    "peak": "the kernel's high-water mark could not be read",
    "live": "no snapshot was taken",
    "rss": "resident memory could not be read",
    "base": "nothing was recorded before the first step",
    "held": "no snapshot was taken",
    "start-up": "not recorded",
}
ONE_ROUND = "the recording has one round"

UNITS: dict[str, Unit] = {
    "wall": "seconds", "cpu": "seconds", "peak": "bytes", "live": "bytes", "rss": "bytes",
}  # fmt: skip


def step_rows(notebook: Side, scripts: Sequence[Side]) -> list[StepRow]:
    """Return one row per step, cells in order with the script's steps beside them."""
    ours = notebook.first.steps
    theirs = scripts[0].first.steps if scripts else []
    pairs = _aligned(ours, theirs)
    rows = [
        _row(notebook, scripts, at, theirs[pairs[at]].name if at in pairs else None)
        for at in range(len(ours))
    ]
    rest = [step for at, step in enumerate(theirs) if at not in pairs.values()]
    return [_only_script(step, scripts) for step in rest] + rows


def _aligned(ours: Sequence[Step], theirs: Sequence[Step]) -> dict[int, int]:
    """Return position here → position there, by the hash of the cell's source, in order."""
    matcher = difflib.SequenceMatcher(
        None, [step.hash for step in ours], [step.hash for step in theirs], autojunk=False
    )
    return {
        block.a + step: block.b + step
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
        if ours[block.a + step].hash
    }


def _row(notebook: Side, scripts: Sequence[Side], at: int, partner: str | None) -> StepRow:
    step = notebook.first.steps[at]
    later = [one.steps[at] for one in notebook.rounds[1:] if len(one.steps) > at]
    beside = _of_name(scripts, partner)
    why = None if beside else NO_PARTNER if _in_steps(scripts) else NO_STEPS
    row = _measured(StepRow(name=step.name, error=step.error), step, later, beside, why)
    row.cell, row.beside = step.cell, partner
    lines = [line for one in beside[:1] for line in one.bound.values() if line]
    row.line = min(lines, default=None)
    return row


def _in_steps(scripts: Sequence[Side]) -> bool:
    return any(side.first.steps for side in scripts)


def _only_script(step: Step, scripts: Sequence[Side]) -> StepRow:
    beside = _of_name(scripts, step.name)
    row = StepRow(name=step.name, error=step.error, beside=step.name)
    return _measured(row, None, [], beside, ONLY_SCRIPT)


def _of_name(scripts: Sequence[Side], name: str | None) -> list[Step]:
    return [step for side in scripts for step in side.first.steps if step.name == name]


def _measured(
    row: StepRow, step: Step | None, later: Sequence[Step], script: Sequence[Step], why: str | None
) -> StepRow:
    """Fill in what was measured of the step in both contexts."""
    unread = step.why if step is not None else None
    for name, unit in UNITS.items():
        first = getattr(step, name) if step is not None else None
        rest = [getattr(one, name) for one in later]
        beside = [getattr(one, name) for one in script]
        reason = why or (unread if name == "live" else None) or UNREAD[name]
        setattr(row, name, measure(name, unit, first, rest, beside, reason))
    return row


def totals(notebook: Side, scripts: Sequence[Side]) -> dict[str, Measure]:
    """Return the whole work in both contexts: name of a quantity → measure."""
    first, later = notebook.first, notebook.rounds[1:]
    whole = any(not side.first.steps for side in scripts)
    why = NOT_IN_STEPS if whole else None
    found = [
        measure("start-up", "seconds", notebook.start_up, [], [s.start_up for s in scripts],
                "not recorded" if notebook.start_up is None else why),
        measure("base", "bytes", notebook.base, [], [side.base for side in scripts], why),
        measure("wall", "seconds", first.wall(), [one.wall() for one in later],
                [_wall(side) for side in scripts], why),
        measure("cpu", "seconds", first.cpu(), [one.cpu() for one in later],
                [_cpu(side) for side in scripts], why),
        measure("peak", "bytes", first.peak(), [one.peak() for one in later],
                [_peak(side) for side in scripts]),
        measure("live", "bytes", _live(first), [_live(one) for one in later],
                [live_at_end(side) for side in scripts]),
        measure("rss", "bytes", _rss(first), [_rss(one) for one in later],
                [_rss(side.first) for side in scripts], why),
        measure("held", "bytes", _live(first), [_live(one) for one in later],
                [0.0 for _ in scripts]),
        growth("growth", [_live(one) for one in notebook.rounds],
                [live_at_end(side) for side in scripts]),
        growth("rss-growth", [_rss(one) for one in notebook.rounds],
                [_rss(side.first) for side in scripts]),
    ]  # fmt: skip
    for one in found:
        if one.why is None and (one.first is None or one.script is None) and one.name in UNREAD:
            one.why = UNREAD[one.name]
    return {one.name: one for one in found}


def round_rows(notebook: Side) -> list[RoundRow]:
    """Return the rounds in the persistent context, each against the one before."""
    rows: list[RoundRow] = []
    for one in notebook.rounds:
        live, rss = _live(one), _rss(one)
        before = rows[-1] if rows else None
        rows.append(
            RoundRow(
                round=one.number,
                wall=one.wall(),
                cpu=one.cpu(),
                peak=one.peak(),
                live=live,
                rss=rss,
                growth=_minus(live, before.live if before else None),
                rss_growth=_minus(rss, before.rss if before else None),
                why=one.steps[-1].why if one.steps and live is None else None,
            )
        )
    return rows


def live_at_end(side: Side) -> int | None:
    """Return what was held just before a script's process ended."""
    taken = [one for one in side.recording.snapshots if one.skipped is None]
    return live_bytes(taken[-1]) if taken else None


def growth(name: str, ends: Sequence[int | None], fresh: Sequence[int | None]) -> Measure:
    """Return growth per round against what fresh processes differ by; the first is no growth."""
    found = Measure(name=name, unit="bytes")
    found.later = spread(_minus(after, before) for before, after in pairwise(ends))
    known = [one for one in fresh if one is not None]
    found.script = spread(after - before for before, after in pairwise(known))
    if found.later is None:
        found.why = ONE_ROUND
        return found
    if found.script is None:
        found.why = "one process shows no growth: run more rounds"
        return found
    found.difference = found.later.median - found.script.median
    found.noise = float(max(LEAST, max(known) - min(known)))
    found.judgement = "more" if found.later.low > found.noise else "no difference"
    return found


def _live(one: Round) -> int | None:
    snapshot = one.last_snapshot()
    return None if snapshot is None else live_bytes(snapshot)


def _rss(one: Round) -> int | None:
    return one.steps[-1].rss if one.steps else None


def _wall(side: Side) -> float | None:
    end = side.recording.end
    return side.first.wall() if side.first.steps else (end.wall if end else None)


def _cpu(side: Side) -> float | None:
    end = side.recording.end
    return side.first.cpu() if side.first.steps else (end.cpu if end else None)


def _peak(side: Side) -> int | None:
    end = side.recording.end
    return side.first.peak() if side.first.steps else (end.peak if end else None)


def _minus(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before
