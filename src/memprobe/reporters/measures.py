"""How one quantity of both contexts is written: times, sizes, and a pair that may be alike."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from memprobe.contrasts import Measure
from memprobe.reporters.amounts import duration, size

Amount = Callable[[float], str]


def amount(measure: Measure) -> Amount:
    """Return how this quantity is written."""
    return _time if measure.unit == "seconds" else size


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 0.00095 else "<1 ms"


def pair(measure: Measure) -> list[Text]:
    """Return both contexts' values, the larger one bold where they differ beyond noise."""
    show = amount(measure)
    ours = show(measure.first) if measure.first is not None else "–"
    theirs = show(measure.script.median) if measure.script is not None else "–"
    if measure.judgement == "no difference":
        theirs = f"≈ {theirs}"
    return [
        Text(ours, "bold" if measure.judgement == "more" else ""),
        Text(theirs, "bold" if measure.judgement == "less" else ""),
    ]


def signed(change: float) -> str:
    """Return a change with its sign."""
    return f"{'−' if change < 0 else '+'}{size(abs(change))}"
