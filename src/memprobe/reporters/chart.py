"""Memory over time as a small block chart, and the line of numbers below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from memprobe.findings import RecordingSummary
from memprobe.reporters.amounts import duration, percent, rate, size
from memprobe.reporters.printable import printable

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 4
LABEL = 12
FEWEST_POINTS = 3
# Below this share of the highest point the picture would be a wall without a window.
STEADY = 0.05

# From this share of the limit on the chart reaches up to the limit; below, up to the peak.
LIMIT_IN_SIGHT = 0.5
# From this share of the limit on its number is shown as a warning.
NEAR = 0.75


def chart(recording: RecordingSummary, width: int) -> Iterator[Text]:
    """Yield the chart's lines for ``width`` columns; nothing where memory hardly moved."""
    points = recording.timeline
    if len(points) < FEWEST_POINTS or _is_steady(recording):
        return
    highest = max(y for _, y in points) or 1.0
    limit = recording.limit
    to_limit = limit is not None and highest >= limit * LIMIT_IN_SIGHT
    top = max(float(limit or 0), highest) if to_limit else highest
    levels = columns(points, width - LABEL - 2, recording.wall)
    if to_limit:
        yield _row(size(limit), "┄" * len(levels), "red")
    for row in reversed(range(ROWS)):
        label = {ROWS - 1: "" if to_limit else size(top), 0: "0 B"}.get(row, "")
        yield _row(label, "".join(_block(y / top, row) for y in levels), "blue")
    yield _time_axis(recording.wall or points[-1][0], len(levels))


def columns(
    points: Sequence[Sequence[float]], count: int, wall: float | None = None
) -> list[float]:
    """Return the highest value in each of ``count`` equal slices of ``wall`` seconds.

    A slice without a point repeats the one before it: nothing was read, nothing is known to move.
    """
    length = max(wall or 0.0, points[-1][0]) or 1.0
    highest: list[float | None] = [None] * count
    for moment, value in points:
        slot = min(max(int(moment / length * count), 0), count - 1)
        highest[slot] = max(highest[slot] or 0.0, value)
    levels, last = [], points[0][1]
    for known in highest:
        last = last if known is None else known
        levels.append(last)
    return levels


def numbers(recording: RecordingSummary) -> list[Text]:
    """Return RSS, peak, limit and slope, each as one part of a line."""
    steady = " (steady)" if _is_steady(recording) else ""
    parts = [Text.assemble("RSS ", (size(recording.rss), "bold"), steady)]
    if recording.peak is not None:
        parts.append(Text(f"peak {size(recording.peak)}"))
    if recording.limit is not None:
        parts.append(_limit(recording, recording.limit))
    if recording.slope is not None:
        parts.append(_slope(recording, recording.slope))
    return parts


def _is_steady(recording: RecordingSummary) -> bool:
    levels = [value for _, value in recording.timeline]
    if len(levels) < FEWEST_POINTS:
        return False
    return max(levels) - min(levels) < STEADY * max(levels)


def _limit(recording: RecordingSummary, limit: int) -> Text:
    source = printable(recording.limit_source).replace("-", " ")
    text = Text(f"limit {size(limit)} ({source})")
    if recording.rss is not None:
        share = recording.rss / limit
        text.append(f", {percent(share)} used", "yellow" if share >= NEAR else "")
    return text


def _slope(recording: RecordingSummary, slope: float) -> Text:
    text = Text(rate(slope))
    if recording.seconds_to_limit is not None:
        text.append(f", {duration(recording.seconds_to_limit)} to the limit", "bold yellow")
    return text


def _block(share: float, row: int) -> str:
    eighths = round(share * ROWS * 8) - row * 8
    if row == 0:
        eighths = max(eighths, 1)  # something is always resident
    return BLOCKS[max(0, min(eighths, 8))]


def _row(label: str, blocks: str, style: str) -> Text:
    return Text.assemble((f"{label:>{LABEL}} ", "dim"), (blocks, style), no_wrap=True)


def _time_axis(wall: float, count: int) -> Text:
    first, last = "0 s", duration(wall)
    gap = " " * max(1, count - len(first) - len(last))
    return Text(" " * (LABEL + 1) + first + gap + last, "dim", no_wrap=True)
