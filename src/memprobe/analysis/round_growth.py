"""What a persistent context keeps more of after every round of the same work."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from memprobe.analysis.contrast_side import Round
from memprobe.analysis.evidence import OUTPUT, TRACEBACK
from memprobe.contrasts import RoundGrowth
from memprobe.recording.schema import Holder, Snapshot

LEAST = 1 << 20  # bytes per round; below it allocation granularity and samples speak
Naming = Callable[[Holder], str]


def naming(rounds: list[Round]) -> Naming:
    """Return how a holder is called alike in every round: an output by its cell's position."""
    positions = {
        step.count: step.cell for one in rounds for step in one.steps if step.count is not None
    }

    def name(holder: Holder) -> str:
        if holder.root == OUTPUT:
            cell = positions.get(holder.cell) if holder.cell is not None else None
            return f"output of cell {cell}" if cell is not None else "outputs"
        return "traceback" if holder.root == TRACEBACK else holder.expr

    return name


def growing(rounds: list[Round]) -> list[RoundGrowth]:
    """Return the holder sets whose bytes grew in every round after the first, largest first.

    The first round is no evidence: imports, first use and caches that fill belong to it.
    """
    ends = [one.last_snapshot() for one in rounds]
    if len(ends) < 2 or any(end is None for end in ends):
        return []
    name = naming(rounds)
    by_round = [_by_names(end, name) for end in ends if end is not None]
    found = []
    for names in by_round[-1]:
        series = [one.get(names, 0) for one in by_round]
        least = min(after - before for before, after in pairwise(series))
        if least >= LEAST:
            found.append(
                RoundGrowth(
                    names=sorted(names), bytes=series, per_round=least, rounds=len(series) - 1
                )
            )
    return sorted(found, key=lambda growth: -growth.per_round)


def _by_names(snapshot: Snapshot, name: Naming) -> dict[frozenset[str], int]:
    by_id = {holder.id: name(holder) for holder in snapshot.holders}
    totals: dict[frozenset[str], int] = {}
    for group in snapshot.groups:
        names = frozenset(by_id[one] for one in group.holders)
        totals[names] = totals.get(names, 0) + group.bytes
    return totals
