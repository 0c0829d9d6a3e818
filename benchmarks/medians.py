"""The median of a few measurements, and how far the true one may be from it."""

from __future__ import annotations

from math import comb
from statistics import median

FEWEST = 6  # of fewer measurements no two bound the median with 95 %


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median: two of the values, by their rank.

    Each value is as likely above the true median as below it, so how many are below is binomial
    (the sign test): no assumption about how the values are distributed. Raises ``ValueError`` for
    fewer than ``FEWEST`` values.
    """
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} values bound no median: {FEWEST} are the fewest")
    ordered = sorted(values)
    rank = _rank(len(values))
    return ordered[rank - 1], ordered[-rank]


def _rank(count: int) -> int:
    """Return the largest rank k such that the k-th lowest and highest still bound 95 %."""
    below, rank = 0, 0
    while (below + comb(count, rank)) / 2**count <= 0.025:
        below += comb(count, rank)
        rank += 1
    return rank


def cell(values: list[float]) -> str:
    """Return ``1.013 (1.008 to 1.019)``, and only the median where there are too few values."""
    if len(values) < FEWEST:
        return f"{median(values):.3f}"
    low, high = interval(values)
    return f"{median(values):.3f} ({low:.3f} to {high:.3f})"
