"""Write the verdicts as the page ``reports/accuracy.md``."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from . import machine
from .judge import Verdict
from .tally import Errors, Share, Tally, tally

COMMAND = "make accuracy"


def render(verdicts: list[Verdict], skipped: list[str]) -> str:
    """Return the page: the figures, the programs that went wrong, every program, the machine."""
    counted = tally(verdicts)
    lines = [
        "# Accuracy",
        "",
        "Every labelled leaky program and its clean twins (`scenarios/`) as real kernels and",
        "processes, beside ordinary notebooks and scripts. Made by",
        f"`{COMMAND}` on {datetime.date.today().isoformat()}.",
        "",
        *_figures(counted, verdicts),
        *_troubles(verdicts),
        *_leaky_table([verdict for verdict in verdicts if verdict.case.leaky]),
        *_clean_table([verdict for verdict in verdicts if not verdict.case.leaky]),
        *_skipped(skipped),
        *_machine(),
    ]
    return "\n".join(lines) + "\n"


def _figures(counted: Tally, verdicts: list[Verdict]) -> Iterator[str]:
    leaky = sum(verdict.case.leaky for verdict in verdicts)
    yield "| figure | value | 95 % bound | from |"
    yield "|---|---|---|---|"
    yield _row("precision", counted.precision, "at least", "findings were expected")
    yield _row("recall", counted.recall, "at least", "expected findings were made")
    yield _row("holders exact", counted.exact, "at least", "findings name exactly what to cut")
    yield _row("false alarms", counted.false_alarms, "at most", "clean programs got a finding")
    yield _errors("predicted against known bytes", counted.predicted)
    yield _errors("predicted against what the executed fix gave back", counted.reclaimed)
    yield ""
    yield f"{len(verdicts)} programs, {leaky} of them leaky; {counted.broken} without a report."
    yield ""


def _row(name: str, share: Share, side: str, what: str) -> str:
    bound = share.at_least if side == "at least" else share.at_most
    tried = f"{share.hits} of {share.tries} {what}"
    return f"| {name} | {_percent(share.value)} | {side} {_percent(bound)} | {tried} |"


def _errors(name: str, errors: Errors) -> str:
    values = f"median {_percent(errors.median)}, worst {_percent(errors.worst)}"
    return f"| {name} | {values} | | {errors.count} measured |"


def _troubles(verdicts: list[Verdict]) -> Iterator[str]:
    wrong = [verdict for verdict in verdicts if not verdict.good]
    if not wrong:
        return
    yield "## What went wrong"
    yield ""
    for verdict in wrong:
        yield from (f"- `{verdict.case.name}`: {trouble}" for trouble in troubles(verdict))
    yield ""


def troubles(verdict: Verdict) -> Iterator[str]:
    """Yield everything that is wrong with one verdict, each as a phrase."""
    if verdict.broken:
        yield f"no report: {verdict.broken}"
    for expected in verdict.missed:
        yield f"missed {expected.code} held by {_listed(expected.holders)}"
    for false in verdict.false:
        yield f"false positive: {false}"
    for found in verdict.wrong_holders:
        wanted = _listed(found.expected.holders)
        yield f"{found.expected.code} names {_listed(found.holders)} and not {wanted}"
    for found in verdict.off:
        yield f"{found.expected.code} predicts {_mb(found.predicted)}, {_signed(found.error)} off"
    if verdict.fix_trouble:
        yield f"the fix could not be executed: {verdict.fix_trouble}"
    if verdict.mislabelled:
        yield f"mislabelled: the scenario's fix gave {_mb(verdict.measured)} back"
    if verdict.useless_advice:
        yield f"the report's own fix gave only {_mb(verdict.advised)} back"


def _leaky_table(verdicts: list[Verdict]) -> Iterator[str]:
    if not verdicts:
        return
    yield "## Leaky programs"
    yield ""
    yield "| program | expected | found | holders | known | predicted | fix gave | report's fix gave | error | seconds |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for verdict in verdicts:
        yield "| " + " | ".join(_leaky_cells(verdict)) + " |"
    yield ""


def _leaky_cells(verdict: Verdict) -> list[str]:
    expected = verdict.case.expected
    exact = "exact" if verdict.found and not verdict.wrong_holders else "**wrong**"
    error = verdict.reclaim_error
    return [
        f"`{verdict.case.name}`",
        ", ".join(one.code for one in expected),
        "yes" if not verdict.missed and not verdict.broken else "**no**",
        exact if verdict.found else "–",
        _mb(sum(one.bytes for one in expected)),
        _mb(sum(one.predicted for one in verdict.found)) if verdict.found else "–",
        _mb(verdict.measured),
        _mb(verdict.advised),
        _signed(error) if error is not None else "–",
        f"{verdict.seconds:.0f}",
    ]


def _clean_table(verdicts: list[Verdict]) -> Iterator[str]:
    if not verdicts:
        return
    yield "## Clean programs"
    yield ""
    yield "| program | findings | seconds |"
    yield "|---|---|---|"
    for verdict in verdicts:
        said = f"**{verdict.broken}**" if verdict.broken else "; ".join(verdict.false) or "none"
        yield f"| `{verdict.case.name}` | {said} | {verdict.seconds:.0f} |"
    yield ""


def _skipped(skipped: list[str]) -> Iterator[str]:
    if skipped:
        yield "Not run: " + "; ".join(skipped) + "."
        yield ""


def _machine() -> Iterator[str]:
    yield "## Machine"
    yield ""
    yield from (f"- {name}: {value}" for name, value in machine.describe().items())


def _listed(exprs: tuple[str, ...]) -> str:
    return ", ".join(f"`{expr}`" for expr in exprs) or "nothing"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _signed(share: float) -> str:
    return f"{share * 100:+.1f} %"


def _mb(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:.1f} MB"
