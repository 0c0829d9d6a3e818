"""When each name was bound and last used, from the markers of the cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from memprobe.recording.schema import Marker


@dataclass
class CellRun:
    """One execution of one cell. Times are monotonic ns; None where nobody looked.

    ``order`` counts executions from 0. ``observed`` is False for cells that ran before the probe
    came: their ``started`` is then when the probe came, the latest it can have been.
    """

    order: int
    cell: int | None
    cell_id: str | None
    hash: str
    started: int
    ended: int | None = None
    observed: bool = True
    error: str | None = None
    shows: bool = False
    bound: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    made: dict[str, list[str]] = field(default_factory=dict)  # name → names it was computed from
    recomputed: set[str] = field(default_factory=set)  # of those: with other values throughout
    collected: dict[str, list[str]] = field(default_factory=dict)  # name → [source, method]
    lengths: dict[str, int] = field(default_factory=dict)  # what the run changed: expr → items
    advanced: set[str] = field(default_factory=set)  # iterators and counters that went on
    rss: int | None = None  # at its end
    rss_before: int | None = None

    @property
    def running(self) -> bool:
        """Whether the cell had not ended when the recording did."""
        return self.ended is None

    def touches(self, name: str) -> bool:
        """Whether the cell read, bound or deleted the name."""
        return name in self.used or name in self.bound or name in self.deleted


@dataclass(frozen=True)
class NameLife:
    """One name's life: who bound it last, who used it last, and what happened since.

    ``cells_since`` counts executions after the last use; ``seconds_since`` is None where that
    use was not observed; ``seconds_at_least`` is always known.
    """

    name: str
    created: CellRun | None
    last: CellRun | None
    cells_since: int
    seconds_since: float | None
    seconds_at_least: float


class Liveness:
    """The executed cells in order, and the life of every name."""

    def __init__(self, markers: Iterable[Marker], now: int) -> None:
        self.now = now
        self.runs = _runs(markers)
        self._by_cell = {run.cell: run for run in self.runs if run.cell is not None}
        self._lives: dict[str, NameLife] = {}

    def run_of(self, cell: int | None) -> CellRun | None:
        """Return the execution with that count."""
        return self._by_cell.get(cell) if cell is not None else None

    def life(self, name: str) -> NameLife:
        """Return what is known of ``name``."""
        known = self._lives.get(name)
        if known is None:
            known = self._lives[name] = self._life(name)
        return known

    def _life(self, name: str) -> NameLife:
        created = next((run for run in reversed(self.runs) if name in run.bound), None)
        last = next((run for run in reversed(self.runs) if run.touches(name)), None)
        since = len(self.runs) if last is None else len(self.runs) - 1 - last.order
        reference = self._reference(last)
        passed = max(0.0, (self.now - reference) / 1e9)
        known = passed if last is not None and last.observed else None
        return NameLife(name, created, last, since, known, passed)

    def runs_after(self, cell: int | None) -> int:
        """Return how many executions began after the one with that count."""
        run = self.run_of(cell)
        return 0 if run is None else len(self.runs) - 1 - run.order

    def last_failed(self) -> CellRun | None:
        """Return the last execution that ended in an error."""
        return next((run for run in reversed(self.runs) if run.error), None)

    def _reference(self, run: CellRun | None) -> int:
        if run is None:
            return self.runs[0].started if self.runs else self.now
        return self.now if run.running else run.ended or run.started


def _runs(markers: Iterable[Marker]) -> list[CellRun]:
    runs: list[CellRun] = []
    for marker in markers:
        if marker.marker != "cell":
            continue
        open_run = runs[-1] if runs and runs[-1].running else None
        if marker.phase == "end" and open_run is not None and open_run.cell == marker.cell:
            _close(open_run, marker)
            continue
        if open_run is not None:
            open_run.ended = marker.t  # its end was never seen
        runs.append(_opened(marker, len(runs)))
    return runs


def _opened(marker: Marker, order: int) -> CellRun:
    run = CellRun(
        order=order,
        cell=marker.cell,
        cell_id=marker.cell_id,
        hash=marker.hash or "",
        started=marker.t,
        observed=marker.phase != "replay",
    )
    _learn(run, marker)
    run.rss_before = marker.rss if marker.phase == "start" else None
    if marker.phase != "start":
        run.ended = marker.t
    return run


def _close(run: CellRun, marker: Marker) -> None:
    run.ended = marker.t
    run.observed = True
    _learn(run, marker)


def _learn(run: CellRun, marker: Marker) -> None:
    run.bound.update({name: line for name, line in marker.bound.items() if name not in run.bound})
    run.used.update(marker.used)
    run.deleted.update(marker.deleted)
    run.made.update(marker.made)
    run.recomputed.update(marker.recomputed)
    run.collected.update(marker.collected)
    run.lengths.update(marker.lengths)
    run.advanced.update(marker.advanced)
    run.rss = marker.rss
    run.error = marker.error or run.error
    run.shows = marker.shows or run.shows
    run.cell_id = run.cell_id or marker.cell_id
