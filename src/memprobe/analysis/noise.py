"""Whether two contexts differ, or only as much as two runs of the same thing do.

A difference counts when it exceeds the range from run to run of either context, and a floor
below which a machine that does other things too tells nothing: a few runs underestimate their
range.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from memprobe.contrasts import Judgement, Measure, Spread, Unit

FEWEST = 2  # runs without which there is no range
# What two runs of one program differ by anyway: absolute, and as a share of the larger value.
FLOORS: dict[Unit, tuple[float, float]] = {"seconds": (0.05, 0.10), "bytes": (1 << 20, 0.02)}


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return median and range of the values that were measured; None where none was."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(median=statistics.median(known), low=min(known), high=max(known), runs=len(known))


def measure(
    name: str, unit: Unit, first: float | None, later: Iterable[float | None],
    script: Iterable[float | None], why: str | None = None,
) -> Measure:  # fmt: skip
    """Return one quantity of both contexts, compared: the notebook's first round, the script."""
    found = Measure(name=name, unit=unit, first=first, later=spread(later), script=spread(script))
    if first is None or found.script is None:
        missing = "no run of the script has it" if first is not None else "the notebook has none"
        found.why = why or missing
        return found
    found.difference = first - found.script.median
    if found.script.runs < FEWEST:
        found.why = "one run has no range: run more rounds"
        return found
    found.noise = _noise(found, unit)
    found.judgement = _judged(found.difference, found.noise)
    return found


def _noise(found: Measure, unit: Unit) -> float:
    absolute, share = FLOORS[unit]
    assert found.script is not None
    largest = max(abs(found.first or 0.0), abs(found.script.median))
    noise = found.script.high - found.script.low
    if found.later is not None and found.later.runs >= FEWEST and unit == "seconds":
        # Two quantities that both vary differ by as much as both together.
        noise += found.later.high - found.later.low
    return max(absolute, share * largest, noise)


def _judged(difference: float, noise: float) -> Judgement:
    if abs(difference) <= noise:
        return "no difference"
    return "more" if difference > 0 else "less"
