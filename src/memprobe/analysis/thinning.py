"""Fewer points that draw the same picture: of each slice of time its highest and its lowest.

A mean would hide the peak that killed the process, and every n-th point would miss it by chance.
Both ends of each slice's range are kept instead, at the times they had, so a line through them
covers exactly the ground that the line through all points covers.
"""

from __future__ import annotations

from collections.abc import Sequence

Point = Sequence[float]  # seconds, value


def extremes(points: Sequence[Point], most: int) -> list[int]:
    """Return the positions of at most ``most`` of ``points``, which are in order of time.

    The first and the last are always among them, and of each equal slice of time the highest and
    the lowest. ``most`` is at least 4.
    """
    if len(points) <= most:
        return list(range(len(points)))
    slices = (most - 2) // 2
    start = points[0][0]
    length = points[-1][0] - start or 1.0
    low: dict[int, int] = {}
    high: dict[int, int] = {}
    for position, (moment, value) in enumerate(points):
        slot = min(int((moment - start) / length * slices), slices - 1)
        if slot not in low or value < points[low[slot]][1]:
            low[slot] = position
        if slot not in high or value > points[high[slot]][1]:
            high[slot] = position
    return sorted({0, len(points) - 1, *low.values(), *high.values()})


def thinned(points: Sequence[Point], most: int) -> list[list[float]]:
    """Return at most ``most`` of ``points`` as ``[seconds, value]``, peaks and troughs kept."""
    return [[points[at][0], points[at][1]] for at in extremes(points, most)]
