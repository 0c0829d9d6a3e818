"""What a count allows to say: exact 95 % bounds of a share (Clopper and Pearson, 1934)."""

from __future__ import annotations

import math

DOUBT = 0.05


def highest_share(hits: int, tries: int) -> float:
    """Return the largest true share under which ``hits`` or fewer of ``tries`` is not unlikely.

    One-sided, 95 %. With no hit it is close to 3 / tries.
    """
    if tries == 0 or hits >= tries:
        return 1.0
    low, high = hits / tries, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, tries, middle) > DOUBT else (low, middle)
    return high


def lowest_share(hits: int, tries: int) -> float:
    """Return the smallest true share under which ``hits`` or more of ``tries`` is not unlikely."""
    return 1.0 - highest_share(tries - hits, tries)


def _at_most(hits: int, tries: int, share: float) -> float:
    """Return the probability of ``hits`` or fewer in ``tries``."""
    return sum(
        math.comb(tries, count) * share**count * (1 - share) ** (tries - count)
        for count in range(hits + 1)
    )
