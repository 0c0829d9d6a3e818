"""The trend of memory over the last minutes, stated only where there is one.

Memory is no smooth line: one cell that allocates a gigabyte is a step, not a trend, and a line
fitted through a step has a fine t-value. So a slope counts only when it also shows in every third
of the window, and when it is large beside the noise and beside the process itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]  # seconds, bytes

WINDOW_SECONDS = 300.0
FEWEST_POINTS = 12
SHORTEST_SECONDS = 15.0

# The standard error must be this many times smaller than the slope.
T_VALUE = 4.0
# Each third must rise by at least this share of an even third's rise.
THIRD_SHARE = 0.25
# A rise over the window below both of these is how a process breathes.
SMALLEST_RISE_BYTES = 1 << 20
SMALLEST_RISE_SHARE = 0.005


class Line(NamedTuple):
    """A least-squares line: bytes per second, and the standard error of that."""

    slope: float
    error: float


def recent_slope(points: Sequence[Point]) -> float | None:
    """Return the slope in bytes per second over the last minutes, or None without a trend.

    ``points`` are (seconds, bytes) in order of time.
    """
    window = _window(points)
    if len(window) < FEWEST_POINTS or window[-1][0] - window[0][0] < SHORTEST_SECONDS:
        return None
    line = fit(window)
    if _is_noise(line, window) or not _in_every_third(line.slope, window):
        return None
    return line.slope


def fit(points: Sequence[Point]) -> Line:
    """Return the least-squares line through ``points``, at least three at different times."""
    count = len(points)
    middle = sum(x for x, _ in points) / count
    level = sum(y for _, y in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - level) for x, y in points) / spread
    residuals = sum((y - level - slope * (x - middle)) ** 2 for x, y in points)
    return Line(slope, (residuals / (count - 2) / spread) ** 0.5)


def _window(points: Sequence[Point]) -> Sequence[Point]:
    """Return the last five minutes; where samples are sparse, as many as a line needs."""
    if not points:
        return points
    since = points[-1][0] - WINDOW_SECONDS
    recent = [point for point in points if point[0] >= since]
    return recent if len(recent) >= FEWEST_POINTS else points[-FEWEST_POINTS:]


def _is_noise(line: Line, window: Sequence[Point]) -> bool:
    rise = abs(line.slope) * (window[-1][0] - window[0][0])
    floor = max(SMALLEST_RISE_BYTES, SMALLEST_RISE_SHARE * max(y for _, y in window))
    return rise < floor or abs(line.slope) < T_VALUE * line.error


def _in_every_third(slope: float, window: Sequence[Point]) -> bool:
    """Whether each third of the window's time moves the way the whole does."""
    start, third = window[0][0], (window[-1][0] - window[0][0]) / 3
    bounds = [start + third * index for index in range(4)]
    levels = [_level_at(bound, window, third / 4) for bound in bounds]
    least = abs(slope) * third * THIRD_SHARE
    sign = 1 if slope > 0 else -1
    return all(sign * (b - a) >= least for a, b in pairwise(levels))


def _level_at(moment: float, window: Sequence[Point], reach: float) -> float:
    """Return the median of the points around ``moment``, or the nearest one."""
    near = sorted(y for x, y in window if abs(x - moment) <= reach)
    if near:
        return near[len(near) // 2]
    return min(window, key=lambda point: abs(point[0] - moment))[1]
