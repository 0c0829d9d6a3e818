"""From the fingerprints that a user types to findings that may be let go of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memprobe.errors import UsageError
from memprobe.findings import Finding, Report
from memprobe.releases import Measured, Released, ReleaseReport
from memprobe.reporters.amounts import size
from memprobe.reporters.printable import printable

DOCS = "verbs/release.md"
SHOWN = 6
CLOSE = 0.02  # share of its bytes by which a finding may differ and still be the same
LITTLE = 1 << 20


def chosen(report: Report, fingerprints: Sequence[str]) -> list[Finding]:
    """Return the findings meant, each once. Raises UsageError for none, many, or a refused one."""
    found: dict[str, Finding] = {}
    for typed in fingerprints:
        finding = _one(report, typed)
        found[finding.fingerprint] = finding
    for finding in found.values():
        if not finding.release:
            raise _refused(finding)
    return list(found.values())


def _one(report: Report, typed: str) -> Finding:
    same = [one for one in report.findings if one.fingerprint == typed]
    matches = same or [one for one in report.findings if one.fingerprint.startswith(typed)]
    if not typed or not matches:
        raise _unknown(report, typed)
    if len(matches) > 1:
        lines = [f"{one.fingerprint}  {_described(one)}" for one in matches[:SHOWN]]
        raise UsageError(
            f"{printable(typed)} is the beginning of {len(matches)} findings",
            cause="to choose from are:\n           " + "\n           ".join(lines),
            remedy="type one more digit", docs=DOCS,
        )  # fmt: skip
    return matches[0]


def _unknown(report: Report, typed: str) -> UsageError:
    lines = [f"{one.fingerprint}  {_described(one)}" for one in report.findings[:SHOWN]]
    there = "there are:\n           " + "\n           ".join(lines) if lines else "there is none"
    return UsageError(
        f"no finding {printable(typed)} in the notebook now",
        cause=there,
        remedy="it may be gone; what shows only over many cells is found again while "
        "`memprobe attach` watches",
        docs=DOCS,
    )


def _described(finding: Finding) -> str:
    return f"{finding.code} {printable(finding.title)} ({size(finding.reclaim.bytes)})"


def _refused(finding: Finding) -> UsageError:
    lines = finding.fix.splitlines() or [""]
    return UsageError(
        f"cannot release {finding.fingerprint}: {finding.code} {finding.name}",
        cause=finding.not_released,
        remedy="type in the notebook: " + "\n         ".join(map(printable, lines)),
        docs=DOCS,
    )


def changes(shown: Sequence[Finding], now: Sequence[Finding]) -> str:
    """Return how findings differ from those that the user was shown, or nothing."""
    for before, after in zip(shown, now):
        if before.cuts != after.cuts:
            return f"{before.fingerprint}: other references keep it now"
        least = max(LITTLE, before.exclusive_bytes * CLOSE)
        if abs(before.exclusive_bytes - after.exclusive_bytes) > least:
            return f"{before.fingerprint}: it keeps {size(after.exclusive_bytes)} now"
    return ""


def planned(findings: Sequence[Finding]) -> list[Released]:
    """Return the findings as they are shown before anything is done."""
    return [
        Released(
            fingerprint=one.fingerprint, code=one.code, name=one.name, title=one.title,
            predicted=one.reclaim, cuts=one.cuts,
        )
        for one in findings
    ]  # fmt: skip


def told(report: ReleaseReport, answer: dict[str, Any]) -> ReleaseReport:
    """Fill in how the probe says that it went."""
    by_fingerprint = {row["fingerprint"]: row for row in answer["findings"]}
    for one in report.findings:
        row = by_fingerprint[one.fingerprint]
        one.state, one.cuts_done, one.why = row["state"], row["done"], row.get("why", "")
    report.thread = answer.get("thread")
    report.measured = measured(report.findings, answer.get("places") or {})
    return report


def measured(rows: Sequence[Released], places: dict[str, dict[str, int | None]]) -> list[Measured]:
    """Return what was promised of the findings that were cut beside what was read."""
    promised: dict[str, int] = {}
    for row in rows:
        if row.state == "done":
            place: str = row.predicted.where
            promised[place] = promised.get(place, 0) + row.predicted.bytes
    told = []
    for where, read in places.items():
        told.append(
            Measured(
                where=where, predicted=promised.get(where), before=read.get("before"),
                after=read.get("after"),
            )
        )  # fmt: skip
    return told
