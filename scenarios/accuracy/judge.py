"""Judge one report against what its scenario says. Pure: a case and a report in, a verdict out.

A finding counts where it fails a gate (``leaking`` or ``suspect``); advice is never wrong here.
In a leaky program every expected finding must be there with all its holders and no others. What
is left over is a false positive, unless its code is allowed there and it names no expected code.
In a clean program every finding that counts is a false positive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .scenario import Case, Expected

COUNTS = ("leaking", "suspect")


@dataclass(frozen=True)
class Found:
    """An expected finding that the report holds."""

    expected: Expected
    holders: tuple[str, ...]
    predicted: int  # bytes
    fix: str = ""  # what the report tells the user to type

    @property
    def exact(self) -> bool:
        """Whether the holders are exactly the expected ones."""
        return self.expected.exact(list(self.holders))

    @property
    def error(self) -> float:
        """Predicted against known bytes: 0.1 is ten per cent too much."""
        if not self.expected.bytes:
            return float(bool(self.predicted))
        return self.predicted / self.expected.bytes - 1

    @property
    def close(self) -> bool:
        """Whether the predicted bytes are within the scenario's tolerance."""
        return abs(self.error) <= self.expected.tolerance


@dataclass
class Verdict:
    """What one report was worth."""

    case: Case
    found: list[Found] = field(default_factory=list)
    missed: list[Expected] = field(default_factory=list)
    false: list[str] = field(default_factory=list)  # "MP202 orders" each
    broken: str | None = None  # why there was no report to judge
    seconds: float = 0.0
    measured: int | None = None  # bytes that the scenario's executed fix gave back
    advised: int | None = None  # bytes that the report's own fix gave back, executed
    fix_trouble: str | None = None

    @property
    def wrong_holders(self) -> list[Found]:
        """Expected findings whose holders are not the right ones."""
        return [one for one in self.found if not one.exact]

    @property
    def off(self) -> list[Found]:
        """Expected findings whose bytes are not within the tolerance."""
        return [one for one in self.found if not one.close]

    @property
    def reclaim_error(self) -> float | None:
        """Predicted against measured bytes of the executed fix, or None where not measured."""
        predicted = sum(one.predicted for one in self.found)
        if not self.measured or not predicted or self.missed:
            return None
        return predicted / self.measured - 1

    @property
    def label_error(self) -> float | None:
        """Known against measured bytes: whether the scenario itself is labelled right."""
        known = sum(one.bytes for one in self.case.expected)
        return known / self.measured - 1 if self.measured and known else None

    @property
    def useless_advice(self) -> bool:
        """Whether the report's own fix, executed, gave clearly less back than is to be had."""
        known = sum(one.bytes for one in self.case.expected)
        return self.advised is not None and self.advised < known * 0.9

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with the report or the scenario's own label."""
        troubles = (self.missed, self.false, self.broken, self.wrong_holders, self.off)
        sound = not self.fix_trouble and not self.mislabelled and not self.useless_advice
        return sound and not any(troubles)

    @property
    def mislabelled(self) -> bool:
        """Whether the scenario's own fix does not give back what the scenario says."""
        error = self.label_error
        worst = max((one.tolerance for one in self.case.expected), default=0.0)
        return error is not None and abs(error) > worst


def judge(case: Case, report: dict[str, Any]) -> Verdict:
    """Compare a report (the JSON of ``memprobe report``) with what is expected of the case."""
    verdict = Verdict(case)
    if not report["recording"].get("snapshots"):
        verdict.broken = "no snapshot: " + _reasons(report)
        return verdict
    left = [finding for finding in report["findings"] if finding["status"] in COUNTS]
    advice = [finding for finding in report["findings"] if finding["status"] not in COUNTS]
    for expected in case.expected:
        among = advice if expected.advice else left
        finding = _best(expected, among)
        if finding is None:
            verdict.missed.append(expected)
            continue
        among.remove(finding)
        verdict.found.append(
            Found(
                expected,
                tuple(holders(finding)),
                finding["reclaim"]["bytes"],
                finding.get("fix", ""),
            )
        )
    verdict.false = [_short(finding) for finding in left if _is_false(case, finding)]
    return verdict


def holders(finding: dict[str, Any]) -> list[str]:
    """Return the expressions of a finding's holders."""
    return [holder["expr"] for holder in finding["holders"]]


def _best(expected: Expected, findings: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the finding of the right code that shares most holders with the expected one."""
    score = {
        number: sum(expected.matches(expr) for expr in holders(finding))
        for number, finding in enumerate(findings)
        if finding["code"] == expected.code
    }
    best = max(score, key=lambda number: score[number], default=None)
    return findings[best] if best is not None and score[best] else None


def _is_false(case: Case, finding: dict[str, Any]) -> bool:
    return not case.leaky or finding["code"] not in case.scenario.allowed


def _short(finding: dict[str, Any]) -> str:
    return f"{finding['code']} {', '.join(holders(finding)) or '(no holder)'}"


def _reasons(report: dict[str, Any]) -> str:
    reasons = [f"{one['what']}: {one['why']}" for one in report.get("not_measured", [])]
    return "; ".join(reasons) or "no reason given"
