"""What grew in every one of several equal rounds: runs of one cell, or windows of a script."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from memprobe.analysis.liveness import CellRun
from memprobe.recording.schema import Sample

Lengths = dict[str, int]


@dataclass(frozen=True)
class Rounds:
    """``runs`` of one cell under equal conditions, in each of which ``expr`` grew.

    ``items`` is the mean growth per round: items of a container, or bytes where ``expr`` is None
    and the process itself grew.
    """

    expr: str | None
    runs: tuple[CellRun, ...]
    items: float

    @property
    def last(self) -> CellRun:
        """The latest of the rounds."""
        return self.runs[-1]


class CellGrowth:
    """Growth over the executions of cells. ``least`` is the smallest number of equal rounds."""

    def __init__(self, runs: list[CellRun], least: int) -> None:
        self._runs = [run for run in runs if not run.running]
        self._least = max(2, least)

    @cached_property
    def after(self) -> list[Lengths]:
        """The known lengths of all containers after each run."""
        states: list[Lengths] = []
        known: Lengths = {}
        for run in self._runs:
            known = {**known, **run.lengths} if run.lengths else known
            states.append(known)
        return states

    @cached_property
    def final(self) -> Lengths:
        """The lengths at the end."""
        return self.after[-1] if self.after else {}

    @cached_property
    def containers(self) -> dict[str, Rounds]:
        """Expression → its rounds, of every container that grew in the latest rounds of a cell."""
        found: dict[str, Rounds] = {}
        for numbers in self._repeated():
            for expr in self._grown_in(numbers[-1]):
                rounds = self._rounds(expr, numbers)
                known = found.get(expr)
                if rounds and (known is None or known.last.order < rounds.last.order):
                    found[expr] = rounds
        return found

    def resident(self, least_bytes: int) -> list[Rounds]:
        """Return the cells each of whose latest equal runs left ``least_bytes`` more behind."""
        found = []
        for numbers in self._repeated():
            rounds = self._trailing(numbers, lambda n: self._left_behind(n) >= least_bytes, "")
            if rounds:
                grown = [self._left_behind(number) for number in rounds]
                runs = tuple(self._runs[number] for number in rounds)
                found.append(Rounds(None, runs, sum(grown) / len(grown)))
        return found

    def times_grown(self, expr: str) -> int:
        """Return in how many runs of any cell the container grew."""
        return sum(self._growth(number, expr) > 0 for number in range(len(self._runs)))

    def _repeated(self) -> Iterator[list[int]]:
        """Yield the positions of the observed runs of each cell that ran often enough."""
        by_source: dict[str, list[int]] = {}
        for number, run in enumerate(self._runs):
            if run.hash and run.observed:
                by_source.setdefault(run.hash, []).append(number)
        yield from (numbers for numbers in by_source.values() if len(numbers) >= self._least)

    def _grown_in(self, number: int) -> list[str]:
        return [expr for expr in self._runs[number].lengths if self._growth(number, expr) > 0]

    def _growth(self, number: int, expr: str) -> int:
        before = self.after[number - 1].get(expr, 0) if number else 0
        return self.after[number].get(expr, 0) - before

    def _left_behind(self, number: int) -> int:
        run = self._runs[number]
        return (run.rss or 0) - (run.rss_before or run.rss or 0)

    def _rounds(self, expr: str, numbers: list[int]) -> Rounds | None:
        rounds = self._trailing(numbers, lambda n: self._growth(n, expr) > 0, expr)
        lengths = [self.after[number].get(expr, 0) for number in rounds]
        if not rounds or lengths != sorted(set(lengths)) or self.final.get(expr, 0) < lengths[-1]:
            return None
        grown = [self._growth(number, expr) for number in rounds]
        runs = tuple(self._runs[number] for number in rounds)
        return Rounds(expr, runs, sum(grown) / len(grown))

    def _trailing(self, numbers: list[int], grew: Callable[[int], bool], expr: str) -> list[int]:
        """Return the latest runs that are equal rounds and all grew; none where they are few."""
        rounds: list[int] = []
        for number in reversed(numbers):
            if not grew(number) or not self._alike(number, expr):
                break
            if rounds and self._disturbed(number, rounds[0], expr):
                break
            rounds.insert(0, number)
        return rounds if len(rounds) >= self._least else []

    def _alike(self, number: int, expr: str) -> bool:
        """Whether a run worked on nothing that it used up or counted on."""
        run = self._runs[number]
        own = base(expr)
        if run.advanced - {own}:
            return False
        return not any(
            self._growth(number, other) < 0 and base(other) in run.used and base(other) != own
            for other in run.lengths
        )

    def _disturbed(self, first: int, second: int, expr: str) -> bool:
        """Whether a cell between two runs changed something that they use."""
        round_ = self._runs[second]
        # What the cell itself binds is no input of it, save what it counts on (see ``_alike``).
        used = round_.used - round_.bound.keys() - {base(expr)}
        for number in range(first + 1, second):
            between = self._runs[number]
            changed = {*between.bound, *between.deleted, *map(base, between.lengths)}
            if not used.isdisjoint(changed) or base(expr) in between.bound:
                return True
        return False


def base(expr: str) -> str:
    """Return the name an expression starts with: ``store`` of ``store.frames``."""
    return expr.partition(".")[0].partition("[")[0]


def windows_grown(samples: list[Sample], start: int, expr: str, windows: int) -> bool | None:
    """Whether a script's container grew in every one of so many equal windows to its end.

    The windows begin where it was last seen empty. None where there are too few samples to say.
    """
    seen = [sample for sample in samples if sample.by == "probe"]
    points: list[tuple[int, int]] = [(start, 0)]
    for sample in seen:
        points.append((sample.t, sample.lengths.get(expr, points[-1][1])))
    first = max((n for n, (_, length) in enumerate(points) if not length), default=0)
    points = points[first:]
    begin, end = points[0][0], points[-1][0]
    bounds = [begin + (end - begin) * n // windows for n in range(windows + 1)]
    inside = [
        [length for t, length in points if low < t <= high]
        for low, high in itertools.pairwise(bounds)
    ]
    if not all(inside):
        return None
    ends = [points[0][1], *(lengths[-1] for lengths in inside)]
    return all(before < after for before, after in itertools.pairwise(ends))
