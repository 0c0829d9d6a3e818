"""From a notebook's recording and a script's to one report: pure, recordings in, report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from memprobe.analysis import build
from memprobe.analysis.contrast_evidence import ContrastEvidence
from memprobe.analysis.contrast_side import Side, cut, side
from memprobe.analysis.contrast_spark import add_heaps, add_spark
from memprobe.analysis.contrast_steps import live_at_end, round_rows, step_rows, totals
from memprobe.analysis.contrast_verdict import verdict
from memprobe.analysis.evidence import Evidence, gather
from memprobe.analysis.holders import holder_rows as held_now
from memprobe.analysis.lifetimes import holder_rows
from memprobe.analysis.noise import spread
from memprobe.analysis.round_growth import growing, naming
from memprobe.config import Config
from memprobe.contrasts import Contrast, ContrastReport, RoundGrowth, ScriptSide
from memprobe.detectors import DETECTORS, run
from memprobe.detectors.notebook_tax import NotebookTax
from memprobe.detectors.selection import chosen
from memprobe.findings import Finding, NotMeasured, Report, number_duplicates
from memprobe.findings import HolderRow as HeldNow
from memprobe.recording.reader import Recording


@dataclass(frozen=True)
class Circumstances:
    """What only those who ran both contexts know; empty for recordings made before."""

    derived: bool | None = None  # the script was made from the notebook
    notes: tuple[tuple[str, str], ...] = ()  # (what was not measured or translated, why)
    left: tuple[str, ...] = field(default=())  # what outlives the script's processes


def contrast(
    notebook: Recording, scripts: Sequence[Recording], config: Config,
    known: Circumstances | None = None,
) -> ContrastReport:  # fmt: skip
    """Return the notebook's report with the contrast in it.

    The notebook's findings are those at the end of its first round, where its cells have the
    numbers a reader sees, and what grows over all rounds. Raises NothingMeasured.
    """
    known = known or Circumstances()
    ours, theirs = side(notebook), [side(one) for one in scripts]
    whole = build.report(notebook, config)
    script = _script_side(theirs, config, known)
    evidence = _evidence(ours, theirs)
    findings = _findings(ours, evidence, config)
    first = gather(cut(notebook, ours.first.ended), config)
    measures = totals(ours, theirs)
    rows, rounds = step_rows(ours, theirs), round_rows(ours)
    add_spark(rows, rounds, measures, ours, theirs)
    add_heaps(rounds, ours)
    program = whole.recording.program
    found = Contrast(
        verdict=verdict(program, findings, script, ours, measures["live"]),
        steps=rows,
        totals=measures,
        rounds=rounds,
        growth=list(evidence.growth),
        holders=list(evidence.holders),
        script=script,
    )
    return _report(whole, findings, held_now(first), found, known, config)


def _report(
    whole: Report, findings: list[Finding], holders: list[HeldNow], found: Contrast,
    known: Circumstances, config: Config,
) -> ContrastReport:  # fmt: skip
    notes = [NotMeasured(what=what, why=why) for what, why in known.notes]
    return ContrastReport(
        version=whole.version,
        recording=whole.recording,
        account=whole.account,
        findings=findings,
        not_measured=[*notes, *whole.not_measured],
        overhead=whole.overhead,
        holders=holders,
        spark=whole.spark,
        rules={rule.code: rule.name for rule in chosen(DETECTORS, config.select, config.ignore)},
        contrast=found,
    )


def _evidence(ours: Side, theirs: Sequence[Side]) -> ContrastEvidence:
    grown = growing(ours.rounds)
    fresh = [one for one in map(live_at_end, theirs) if one is not None]
    return ContrastEvidence(
        growth=tuple(grown if not _grows(fresh) else _more_than(grown, fresh)),
        holders=tuple(holder_rows(ours, theirs[0] if theirs else None)),
        naming=naming(ours.rounds),
        wall=ours.first.wall(),
    )


def _grows(fresh: Sequence[int]) -> bool:
    """Whether fresh processes, too, end with more each time: then it is not the context."""
    return len(fresh) > 1 and all(b > a for a, b in pairwise(fresh))


def _more_than(grown: list[RoundGrowth], fresh: Sequence[int]) -> list[RoundGrowth]:
    most = max(b - a for a, b in pairwise(fresh))
    return [one for one in grown if one.per_round > most]


def _findings(ours: Side, evidence: ContrastEvidence, config: Config) -> list[Finding]:
    """Return what the first round left, and what grew over all of them, each holder once."""
    first = gather(cut(ours.recording, ours.first.ended), config)
    left = run(replace(first, contrast=replace(evidence, growth=())))
    _add_tax_on_storage(left, config)
    if len(ours.rounds) < 2:
        return left
    all_rounds = gather(ours.recording, config)
    grown = [one for one in run(all_rounds) if one.growth is not None]
    for one in [*_tax(replace(all_rounds, contrast=evidence), config), *grown]:
        _count_by_position(one, ours)
        _join(left, one)
    number_duplicates(left)
    return sorted(left, key=lambda one: (not one.fails, -one.exclusive_bytes))


def _add_tax_on_storage(found: list[Finding], config: Config) -> None:
    """Say that stored blocks stay with the kernel: the script's go with its application."""
    if not _judges_tax(config):
        return
    for one in found:
        if one.fails and one.reclaim.where == "executors" and one.reclaim.basis == "exact":
            one.also.append(NotebookTax.code)
            one.why = f"{one.why}; the script's application ends with its process"


def _judges_tax(config: Config) -> bool:
    rules = chosen(DETECTORS, config.select, config.ignore)
    return any(rule.code == NotebookTax.code for rule in rules)


def _tax(evidence: Evidence, config: Config) -> list[Finding]:
    if not _judges_tax(config):
        return []
    return list(NotebookTax().growing(evidence))


def _count_by_position(one: Finding, ours: Side) -> None:
    """Give cells the numbers they have in the notebook, not those of the last round."""
    positions = {step.count: step.cell for each in ours.rounds for step in each.steps}
    for place in (one.created, one.last_used):
        if place is not None and place.cell in positions:
            place.cell = positions[place.cell]


def _join(found: list[Finding], grown: Finding) -> None:
    """Add what grows to the finding about the same holder, or as one of its own."""
    exprs = {holding.expr for holding in grown.holders}
    for one in found:
        if exprs.isdisjoint(holding.expr for holding in one.holders):
            continue
        if grown.code != one.code and grown.code not in one.also:
            one.also.append(grown.code)
        if one.growth is None:
            one.growth = grown.growth
            one.status = "leaking" if grown.status == "leaking" else one.status
            one.why = f"{one.why}; {grown.why}"
        return
    found.append(grown)


def _script_side(theirs: Sequence[Side], config: Config, known: Circumstances) -> ScriptSide:
    reports = [build.report(one.recording, config) for one in theirs]
    findings: dict[str, Finding] = {}
    for report in reports:
        for finding in report.findings:
            findings.setdefault(finding.fingerprint, finding)
    summary = reports[0].recording
    return ScriptSide(
        program=summary.program,
        derived=known.derived,
        processes=len(theirs),
        status=summary.status,
        live=spread(live_at_end(one) for one in theirs),
        left=list(known.left),
        findings=list(findings.values()),
        spark=reports[-1].spark,
    )
