"""Which snapshot tells what is inside of a holder, and why none does where none does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from memprobe.analysis.evidence import Evidence, gather
from memprobe.analysis.holders import holder_row
from memprobe.analysis.named_holder import measured, unknown, with_twins
from memprobe.analysis.summary import summarise
from memprobe.config import Config
from memprobe.errors import MemprobeError, NothingMeasured, UsageError
from memprobe.findings import HolderRow, InsideReport, NotMeasured
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Snapshot

ROUTINE = ("interval", "marker")  # reasons of snapshots that do not look inside of holders
TAKE = "memprobe snapshot TARGET --inside"
_DOCS = "verbs/report.md"
_MOST_NAMES = 6


def report(recording: Recording, config: Config, names: Iterable[str]) -> InsideReport:
    """Return what is inside of the holders ``names``, or of all that the recording tells of.

    Raises UsageError where one is no holder or is not told of, NothingMeasured where there is no
    snapshot.
    """
    evidence = gather(recording, config)
    asked = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    return InsideReport(
        recording=summarise(recording),
        holders=[_row_of(evidence, name) for name in asked] if asked else _all_told(evidence),
    )


def gaps(
    recording: Recording, names: Iterable[str]
) -> tuple[list[NotMeasured], list[MemprobeError]]:
    """Return what was asked for and not measured, and what there is no holder of.

    ``names`` were asked for when the recording was made.
    """
    missing: list[NotMeasured] = []
    unheld: list[MemprobeError] = []
    try:
        snapshots = measured(recording)
    except NothingMeasured:
        return [], []  # the report says so
    for name in dict.fromkeys(name.strip() for name in names):
        if _telling(snapshots, name) is not None:
            continue
        if any(one.expr == name for each in snapshots for one in each.holders):
            missing.append(NotMeasured(what=f"inside of {name}", why=_why(snapshots)))
        else:
            unheld.append(unknown(name, snapshots))
    return missing, unheld


def _row_of(evidence: Evidence, name: str) -> HolderRow:
    snapshots = measured(evidence.recording)
    telling = _telling(snapshots, name)
    if telling is None:
        known = any(one.expr == name for each in snapshots for one in each.holders)
        raise _untold(name, snapshots) if known else unknown(name, snapshots)
    return _row(evidence, telling, name, last=telling is snapshots[-1])


def _row(evidence: Evidence, snapshot: Snapshot, name: str, *, last: bool) -> HolderRow:
    meant = [one for one in snapshot.holders if one.expr == name and one.inside]
    row = holder_row(replace(evidence, snapshot=snapshot), with_twins(snapshot, meant[:1]))
    assert row.inside is not None
    row.inside.last = last
    return row


def _all_told(evidence: Evidence) -> list[HolderRow]:
    """Return the holders of the last snapshot that looked inside of any."""
    snapshots = measured(evidence.recording)
    telling = next((each for each in reversed(snapshots) if _told_of(each)), None)
    if telling is None:
        raise _untold(None, snapshots)
    seen: set[int] = set()
    rows = []
    for holder in telling.holders:
        if holder.inside and holder.object not in seen:
            seen.add(holder.object)
            rows.append(_row(evidence, telling, holder.expr, last=telling is snapshots[-1]))
    return sorted(rows, key=lambda row: -row.inside.bytes if row.inside else 0)


def _telling(snapshots: list[Snapshot], name: str) -> Snapshot | None:
    return next((each for each in reversed(snapshots) if name in _told_of(each)), None)


def _told_of(snapshot: Snapshot) -> list[str]:
    return [one.expr for one in snapshot.holders if one.inside]


def _why(snapshots: list[Snapshot]) -> str:
    """Return why what was asked for was not measured."""
    last = snapshots[-1]
    if last.engine == "fallback":
        note = f": {last.engine_note}" if last.engine_note else ""
        return f"only the native walker looks inside, and it was not used{note}"
    if last.reason in ROUTINE:
        return "it ended before a snapshot that looks inside: routine ones do not"
    return "there was too little memory or time: who keeps what took longer than 3 s"


def _untold(name: str | None, snapshots: list[Snapshot]) -> UsageError:
    """Return the error of a recording that does not tell what is inside of a holder."""
    told = list(dict.fromkeys(expr for each in reversed(snapshots) for expr in _told_of(each)))
    what = f"of {name}" if name else "of any holder"
    cause = "nobody asked for it when the snapshots were taken"
    if not told and all(each.engine == "fallback" for each in snapshots):
        cause = _why(snapshots)
    take = f"take it: {TAKE} {name or 'NAME'}"
    has = f"it tells of {', '.join(told[:_MOST_NAMES])}; or " if told else ""
    return UsageError(
        f"the recording does not tell what is inside {what}",
        cause=cause,
        remedy=has + take,
        docs=_DOCS,
    )
