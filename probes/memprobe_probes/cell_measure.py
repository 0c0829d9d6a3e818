"""What one cell did to memory: looks before and after it, and the kernel's mark in between."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from . import held, roots
from .measure import Probe
from .sampler import Counters
from .walk import TooLong

LONGEST_LOOK = 2.0  # seconds of CPU time: somebody asked for this and waits
MOST_ROWS = 8
LEAST_ROW = 64 * 1024
LEAST_UNNAMED = 1024 * 1024


class Row(NamedTuple):
    """One set of holders that keeps more than before the cell. Sizes are bytes."""

    name: str
    others: int  # further holders of the same bytes
    type: str
    grown: float
    now: float
    is_new: bool


class CellFacts(NamedTuple):
    """A measured cell. None stands for what could not be measured; ``trouble`` says why."""

    seconds: float
    before: int | None
    after: int | None
    peak: int | None
    rows: list[Row]
    more_rows: int
    named: float  # bytes that holders keep more than before
    released: float  # bytes that holders keep less than before
    unnamed: float  # what resident memory grew beyond the former
    trouble: str
    own_seconds: float


class CellMeasure:
    """Measures from its making to ``end()``; uses the active probe's counters where there are."""

    def __init__(self, shell: Any, probe: Probe | None) -> None:
        self._shell = shell
        self._probe = probe
        self._own_ns = 0
        self._trouble = ""
        self._counters = probe.counters if probe is not None else Counters()
        self._look = self._looked(None)
        self._before = self._counters.rss()
        self._by_kernel = self._resets() and self._counters.reset_high_water()
        self._started = time.monotonic()

    def end(self) -> CellFacts:
        """Measure again and return what the cell did."""
        seconds = time.monotonic() - self._started
        peak = self._counters.high_water() if self._by_kernel else None
        after = self._counters.rss()
        now = self._looked(self._look)
        if self._probe is None:
            self._counters.close()
        elif self._probe.alive:
            self._probe.governor.spent(self._own_ns, on_user_thread=True)
        rows, named, released = self._rows(self._look, now)
        resident = (after or 0) - (self._before or 0)
        return CellFacts(
            seconds=seconds, before=self._before, after=after, peak=peak,
            rows=rows[:MOST_ROWS], more_rows=max(0, len(rows) - MOST_ROWS), named=named,
            released=released,
            unnamed=max(0.0, resident - named) if now is not None else 0.0,
            trouble=self._trouble, own_seconds=self._own_ns / 1e9,
        )  # fmt: skip

    def _resets(self) -> bool:
        return self._probe is None or bool(self._probe.config.get("peak_reset", True))

    def _looked(self, before: held.Held | None) -> held.Held | None:
        if self._trouble:
            return None
        started = time.thread_time_ns()
        try:
            found = roots.notebook_roots(self._shell)
            return held.look(found, roots.stop_ids(self._shell), int(LONGEST_LOOK * 1e9), before)
        except TooLong as reason:
            self._trouble = str(reason)
        except RuntimeError:
            self._trouble = "a container changed while it was read"
        finally:
            self._own_ns += time.thread_time_ns() - started
        return None

    def _rows(
        self, before: held.Held | None, now: held.Held | None
    ) -> tuple[list[Row], float, float]:
        if before is None or now is None:
            return [], 0.0, 0.0
        grown = held.increase(before.shares, now.shares)
        rows = [_row(before, now, key, more) for key, more in grown.items() if more >= LEAST_ROW]
        released = held.increase(now.shares, before.shares)
        rows.sort(key=lambda row: -row.grown)
        return rows, sum(grown.values()), sum(released.values())


def _row(before: held.Held, now: held.Held, key: held.Key, grown: float) -> Row:
    names = sorted(key, key=lambda expr: (expr.startswith("_") or "(" in expr, len(expr), expr))
    holder = now.holders.get(names[0])
    return Row(
        name=names[0], others=len(names) - 1, type=holder.type if holder is not None else "",
        grown=grown, now=now.shares[key].bytes,
        is_new=not any(before.keeps(expr) for expr in names),
    )  # fmt: skip
