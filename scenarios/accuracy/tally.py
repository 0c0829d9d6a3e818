"""Count verdicts: precision, recall, exact holders, errors of the predictions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .bounds import highest_share, lowest_share
from .judge import Verdict


@dataclass(frozen=True)
class Share:
    """``hits`` of ``tries``; ``value`` is None where nothing was tried."""

    hits: int
    tries: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.hits / self.tries if self.tries else None

    @property
    def at_least(self) -> float:
        """The 95 % lower bound."""
        return lowest_share(self.hits, self.tries) if self.tries else 0.0

    @property
    def at_most(self) -> float:
        """The 95 % upper bound."""
        return highest_share(self.hits, self.tries)


@dataclass(frozen=True)
class Errors:
    """Absolute relative errors: how many, the median and the worst one."""

    count: int
    median: float | None
    worst: float | None

    @classmethod
    def of(cls, values: list[float]) -> Errors:
        """Sum up signed relative errors."""
        sizes = [abs(value) for value in values]
        if not sizes:
            return cls(0, None, None)
        return cls(len(sizes), statistics.median(sizes), max(sizes))


@dataclass(frozen=True)
class Tally:
    """The figures of a whole run."""

    precision: Share  # of the findings that count, how many were expected
    recall: Share  # of the expected findings, how many were made
    exact: Share  # of the findings made, how many name exactly the right holders
    false_alarms: Share  # of the clean programs, how many were given a finding
    broken: int
    predicted: Errors  # predicted against known bytes
    reclaimed: Errors  # predicted against what the executed fix gave back


def tally(verdicts: list[Verdict]) -> Tally:
    """Count the verdicts; programs without a report count as broken and nowhere else."""
    judged = [verdict for verdict in verdicts if not verdict.broken]
    found = [one for verdict in judged for one in verdict.found]
    false = sum(len(verdict.false) for verdict in judged)
    clean = [verdict for verdict in judged if not verdict.case.leaky]
    expected = sum(len(verdict.case.expected) for verdict in judged)
    fixed = [error for verdict in judged if (error := verdict.reclaim_error) is not None]
    return Tally(
        precision=Share(len(found), len(found) + false),
        recall=Share(len(found), expected),
        exact=Share(sum(one.exact for one in found), len(found)),
        false_alarms=Share(sum(bool(verdict.false) for verdict in clean), len(clean)),
        broken=len(verdicts) - len(judged),
        predicted=Errors.of([one.error for one in found]),
        reclaimed=Errors.of(fixed),
    )
