"""What a Spark driver or its Python workers keep more of after every round of the same work.

Rounds are the executions of one cell, or equal parts of a script's time in each of which jobs ran.
The first round is no evidence: imports, first use and caches that fill belong to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.liveness import CellRun
from memprobe.recording.reader import Recording

# Growth that goes on is about the same in each round; what fills up gets less and less.
STEADY = 0.5
NANOSECONDS = 10**9
SHORTEST_SECONDS = 12.0  # of a script, after its warm-up
WARM_UP = 0.25  # of a script's time

Series = Sequence[tuple[int, int]]  # (monotonic ns, value) in order of time


@dataclass(frozen=True)
class Span:
    """One round: from its beginning until the next thing began. ``cell`` is None in a script.

    ``done``: when its own work had ended; None where that is not known.
    """

    begin: int
    end: int
    cell: int | None = None
    hash: str = ""
    done: int | None = None


def rounds(evidence: Evidence) -> Iterator[list[Span]]:
    """Yield lists of equal rounds, in order of time, of at least ``growth-rounds`` each.

    A script's are steps in time, in each of which Spark ran jobs.
    """
    if evidence.is_notebook:
        yield from _runs_of_cells(evidence)
        return
    jobs = _jobs(evidence.recording)
    windows = _windows(evidence, evidence.config.growth_rounds + 1)
    if windows and all(_rose(jobs, window) for window in windows):
        yield windows


def _jobs(recording: Recording) -> Series:
    """Return the jobs so far: those submitted where that is told, else those that Spark keeps."""
    told = [(one.t, one.jobs) for one in recording.jvm_levels if one.jobs is not None]
    kept = [(one.t, one.jobs) for one in recording.spark if one.jobs is not None]
    return sorted(told) or kept


def value_in(series: Series, span: Span) -> int | None:
    """Return the last value that was read in a round; None where nobody read one."""
    number = bisect_right(series, (span.end, float("inf"))) - 1
    if number < 0 or series[number][0] < span.begin:
        return None
    return series[number][1]


def value_behind(series: Series, span: Span) -> int | None:
    """Return what a round left when its work had ended; None where nobody read in the round.

    Where the next cell followed at once, it is worked out of the reading before that moment and
    the one after it: one from within a round lacks what the rest of it adds, one from the next
    has a part of that. What was added once is so spread over two rounds, never over more.
    """
    last = value_in(series, span)
    if last is None or span.done is None:
        return last
    if value_in(series, Span(span.done, span.end)) is not None:
        return last
    number = bisect_right(series, (span.done, float("inf")))
    if number == len(series):
        return last
    (before, low), (after, high) = series[number - 1], series[number]
    return low + round((high - low) * (span.done - before) / (after - before))


def grew(values: Sequence[int], least: int) -> list[int]:
    """Return the latest increases from value to value that keep on, oldest first; maybe none.

    Each of them is at least ``least`` and about as large as the others. Where only the first of
    all stands out, as it does when something is used for the first time, it is left out.
    """
    steps: list[int] = []
    for before, after in reversed(list(pairwise(values))):
        if after - before < least:
            break
        steps.insert(0, after - before)
    while steps and not _is_steady(steps):
        steps = steps[1:]
    return steps


def _is_steady(steps: list[int]) -> bool:
    mean = sum(steps) / len(steps)
    return all(STEADY * mean <= step <= mean / STEADY for step in steps)


def _runs_of_cells(evidence: Evidence) -> Iterator[list[Span]]:
    runs = evidence.liveness.runs
    by_source: dict[str, list[CellRun]] = {}
    for run in runs:
        if run.hash and run.observed and not run.running:
            by_source.setdefault(run.hash, []).append(run)
    for same in by_source.values():
        equal = _trailing(runs, same)
        if len(equal) >= evidence.config.growth_rounds:
            yield [_span(runs, run) for run in equal]


def _trailing(runs: list[CellRun], same: list[CellRun]) -> list[CellRun]:
    """Return the latest of the runs that are rounds of the same work.

    The cells that ran between two of them are the same each time, and change nothing they read:
    what those leave behind would be counted as well.
    """
    equal: list[CellRun] = []
    others: list[str] | None = None
    for run in reversed(same):
        if run.advanced or run.error:
            break
        if equal:
            between = [one.hash for one in runs[run.order + 1 : equal[0].order]]
            if between != (between if others is None else others) or _changed(runs, run, equal[0]):
                break
            others = between
        equal.insert(0, run)
    return equal


def _changed(runs: list[CellRun], first: CellRun, second: CellRun) -> bool:
    reads = second.used - second.bound.keys()
    between = runs[first.order + 1 : second.order]
    return any(reads & (one.bound.keys() | one.deleted) for one in between)


def _span(runs: list[CellRun], run: CellRun) -> Span:
    later = runs[run.order + 1 :]
    end = later[0].started if later else 2**63
    return Span(run.started, end, run.cell, run.hash, run.ended)


def _windows(evidence: Evidence, count: int) -> list[Span]:
    """Return so many equal parts of a script's time, without its beginning."""
    start, now = evidence.recording.header.t, evidence.liveness.now
    begin = start + int((now - start) * WARM_UP)
    if now - begin < SHORTEST_SECONDS * NANOSECONDS:
        return []
    bounds = [begin + (now - begin) * number // count for number in range(count + 1)]
    return [Span(low, high) for low, high in pairwise(bounds)]


def _rose(series: Series, window: Span) -> bool:
    """Whether the last value by the end of a window is above the one by its beginning."""
    before = value_in(series, Span(0, window.begin))
    after = value_in(series, Span(0, window.end))
    return before is not None and after is not None and after > before
