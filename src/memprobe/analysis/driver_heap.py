"""The heap of the driver's JVM after collections, and how much of the rounds' work was done then.

A collection comes when the young part of the heap is full, not when a round ends: what the last
one of a round left lacks what the rest of that round added. So growth is told per work done.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from memprobe.analysis.spark_rounds import Span
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Jvm, JvmLevel

LEAST_WORK = 0.25  # of a round between two collections: below it a moment's garbage speaks


@dataclass(frozen=True)
class Level:
    """``heap`` bytes after the collection number ``collections``, after ``work`` rounds of work.

    Without the blocks that this JVM stores: what is cached is told by rules of its own.
    """

    heap: int
    collections: int
    work: float


def levels(recording: Recording, spans: list[Span]) -> list[Level]:
    """Return the level before the first round and in each one, as far as it is known.

    A round in which no collection ran, as far as that is told, or only where it began, is left out.
    """
    readings = _readings(recording)
    times = [one.t for one in readings]
    found: list[Level] = []
    for number, span in enumerate([Span(0, spans[0].begin - 1), *spans]):
        at = bisect_right(times, span.end) - 1
        if at < 0 or times[at] < span.begin:
            continue
        level = _level(readings[at], number, span)
        if not found or _is_later(level, found[-1]):
            found.append(level)
    return found


def _readings(recording: Recording) -> Sequence[Jvm | JvmLevel]:
    """Return what was noted at cells' ends, else whole readings: only the former tell blocks."""
    noted = [one for one in recording.jvm_levels if one.heap_after_gc is not None]
    whole = [one for one in recording.jvm if one.heap_after_gc is not None]
    return sorted(noted, key=_time) or sorted(whole, key=_time)


def per_round(known: Sequence[Level]) -> list[int]:
    """Return the heaps as they would be were each of them after whole rounds more of work."""
    heaps = [one.heap for one in known[:1]]
    for before, after in pairwise(known):
        heaps.append(heaps[-1] + round((after.heap - before.heap) / (after.work - before.work)))
    return heaps


def _level(reading: Jvm | JvmLevel, number: int, span: Span) -> Level:
    done = 1.0
    ended = reading.collected if isinstance(reading, JvmLevel) else None
    until = span.done if span.done is not None else span.end
    if number and ended is not None and until > span.begin:
        done = min(1.0, max(0.0, (ended - span.begin) / (until - span.begin)))
    work = number - 1 + done if number else 0.0
    stored = (reading.stored or 0) if isinstance(reading, JvmLevel) else 0
    return Level(max(0, (reading.heap_after_gc or 0) - stored), reading.collections or 0, work)


def _is_later(level: Level, last: Level) -> bool:
    collected = not level.collections or level.collections > last.collections
    return collected and level.work - last.work >= LEAST_WORK


def _time(reading: Jvm | JvmLevel) -> int:
    return reading.t
