"""Which holder a user means by ``df``, ``Out[7]`` or the first digits of a fingerprint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from memprobe.errors import NothingMeasured, UsageError
from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Holder, Snapshot

_DOCS = "verbs/report.md"
_FINGERPRINT = re.compile(r"[0-9a-f]{1,12}(-\d+)?")
_MOST_NAMES = 6  # that an error lists


@dataclass(frozen=True)
class Subject:
    """What is asked for: holders of one snapshot, and the finding they were named by, if any.

    ``holders`` are all that must be cut: those of the same object are among them.
    """

    snapshot: Snapshot
    holders: list[Holder]
    finding: Finding | None = None
    is_last: bool = True  # whether the snapshot is the last that measured anything


def subject(recording: Recording, name: str, findings: Iterable[Finding]) -> Subject:
    """Return what ``name`` stands for: an expression in the last snapshot that has it, or the
    fingerprint, or its beginning, of one of ``findings``.

    Raises UsageError where it is none or not unique, NothingMeasured where there is no snapshot.
    """
    snapshots = measured(recording)
    name = name.strip()
    for snapshot in reversed(snapshots):
        meant = [one for one in snapshot.holders if one.expr == name and one.object >= 0]
        if meant:
            return Subject(snapshot, with_twins(snapshot, meant), None, snapshot is snapshots[-1])
    found = _by_fingerprint(name, list(findings))
    if found is None:
        raise unknown(name, snapshots)
    return Subject(snapshots[-1], _of_finding(snapshots[-1], found), found)


def measured(recording: Recording) -> list[Snapshot]:
    """Return the snapshots that measured anything; raises NothingMeasured where there is none."""
    found = [one for one in recording.snapshots if one.skipped is None]
    if not found:
        raise NothingMeasured(
            f"no snapshot was taken in {recording.path}",
            cause="what holds memory is known from snapshots only",
            remedy="record for longer, or with a larger --max-pause",
            docs="recording.md",
        )
    return found


def with_twins(snapshot: Snapshot, meant: list[Holder]) -> list[Holder]:
    """Return ``meant`` first, then the other references to the same objects."""
    objects = {one.object for one in meant if one.object >= 0}
    return meant + [one for one in snapshot.holders if one.object in objects and one not in meant]


def _of_finding(snapshot: Snapshot, finding: Finding) -> list[Holder]:
    wanted = [(one.root, one.expr) for one in finding.holders]
    holders = [one for one in snapshot.holders if (one.root, one.expr) in wanted]
    return sorted(holders, key=lambda one: wanted.index((one.root, one.expr)))


def _by_fingerprint(name: str, findings: list[Finding]) -> Finding | None:
    if not _FINGERPRINT.fullmatch(name):
        return None
    exact = [one for one in findings if one.fingerprint == name]
    found = exact or [one for one in findings if one.fingerprint.startswith(name)]
    if len(found) > 1:
        raise UsageError(
            f"{name} is not one finding",
            cause="so begin " + ", ".join(f"{one.fingerprint} ({one.code})" for one in found),
            remedy="give one digit more",
            docs=_DOCS,
        )
    return found[0] if found else None


def unknown(name: str, snapshots: list[Snapshot]) -> UsageError:
    """Return the error of a name that is no holder in any of ``snapshots``, with near ones."""
    names = [one.expr for one in _largest_first(snapshots[-1])]
    near = _near(name, [one.expr for each in reversed(snapshots) for one in each.holders])
    told = near or names[:_MOST_NAMES]
    if not told:
        remedy = "take a snapshot while something large is held"
    else:
        remedy = ("did you mean " if near else "it has ") + ", ".join(told) + ("?" if near else "")
    return UsageError(
        f"there is no holder {name} in the recording",
        cause="no snapshot found a name, output or fingerprint like that with 64 KiB or more",
        remedy=remedy,
        docs=_DOCS,
    )


def _largest_first(snapshot: Snapshot) -> list[Holder]:
    reached: dict[int, int] = {}
    for group in snapshot.groups:
        for one in group.holders:
            reached[one] = reached.get(one, 0) + group.bytes
    named = [one for one in snapshot.holders if one.object >= 0]
    return sorted(named, key=lambda one: -reached.get(one.id, 0))


def _near(name: str, exprs: Iterable[str]) -> list[str]:
    """Return the expressions that look like ``name``, contain it, or are the start of it."""
    known = list(dict.fromkeys(exprs))
    lower = name.lower()
    inside = [one for one in known if lower in one.lower() and len(lower) > 1]
    above = [one for one in known if name.startswith((f"{one}.", f"{one}["))]
    alike = difflib.get_close_matches(name, known, n=_MOST_NAMES)
    return list(dict.fromkeys([*alike, *above, *inside]))[:_MOST_NAMES]
