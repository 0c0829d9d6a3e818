"""What edits really changed: the original's rounds beside those of the edited copy."""

from __future__ import annotations

from collections.abc import Sequence

from memprobe.contrasts import ContrastReport, OutputChange, Verified


def verified(
    before: ContrastReport, after: ContrastReport | None, shown_before: Sequence[Sequence[str]],
    shown_after: Sequence[Sequence[str]], failure: str | None,
) -> Verified:  # fmt: skip
    """Compare both; ``shown``: per round the digest of what each cell showed.

    ``after`` is the contrast of the edited copy with the same script, None where it failed.
    """
    found = Verified(failure=failure)
    found.held_before, found.rss_before = _end(before, "live"), _end(before, "rss")
    found.per_round_before = _per_round(before)
    found.stored_before = _end(before, "stored")
    _compare(found, shown_before, shown_after)
    if after is None:
        return found
    found.held_after, found.rss_after = _end(after, "live"), _end(after, "rss")
    found.per_round_after = _per_round(after)
    found.stored_after = _end(after, "stored")
    known = {one.fingerprint for one in after.findings}
    places = {_place(one) for one in after.findings}
    for one in before.findings:
        # A changed cell has another hash, and so its findings have other fingerprints.
        still = one.fingerprint in known or _place(one) in places
        (found.remaining if still else found.gone).append(one.fingerprint)
    return found


def _place(finding: object) -> tuple[str, str]:
    holders = getattr(finding, "holders", None) or []
    return str(getattr(finding, "code", "")), holders[0].expr if holders else ""


def _end(report: ContrastReport, name: str) -> int | None:
    measure = report.contrast.totals.get(name)
    return int(measure.first) if measure is not None and measure.first is not None else None


def _per_round(report: ContrastReport) -> int | None:
    """Return the least that a further round added; None with one round."""
    grown = [row.growth for row in report.contrast.rounds if row.growth is not None]
    return min(grown) if grown else None


def _compare(
    found: Verified, before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]
) -> None:
    if not before or not after:
        return  # it was interrupted, or nothing was collected
    for cell, (ours, theirs) in enumerate(zip(before[0], after[0]), start=1):
        if any(len(one) >= cell and one[cell - 1] != ours for one in before[1:]):
            found.varying.append(cell)
            continue
        found.cells_compared += 1
        if ours != theirs:
            what = "shows nothing any more" if not theirs else "shows something else"
            found.changed.append(OutputChange(cell=cell, what=what))
    missing = range(len(after[0]) + 1, len(before[0]) + 1)
    found.changed += [OutputChange(cell=cell, what="did not run") for cell in missing]
