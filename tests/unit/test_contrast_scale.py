"""A contrast of a large notebook takes seconds, and says what a person can read."""

from __future__ import annotations

import time
from typing import Any

from test_contrast import MB, notebook, report, script, step

from memprobe.reporters.contrast import render

CELLS, HOLDERS = 200, 60


def steps() -> list[dict[str, Any]]:
    """Return cells that each bind a name; the last ``HOLDERS`` names are held at a time."""
    found = []
    for number in range(CELLS):
        held = {
            (f"x{at}",): MB * (2 + at % 5) for at in range(max(0, number - HOLDERS), number + 1)
        }
        found.append(step(held, binds=f"x{number}", uses=f"x{max(0, number - 1)}", wall=0.5))
    return found


def test_two_hundred_cells_in_four_rounds_take_seconds() -> None:
    ours, theirs = notebook(*[steps()] * 4), [script(*steps())] * 3
    began = time.process_time()
    found = report(ours, *theirs)
    text = render(found, "text", width=100)
    # Some 2 s of CPU time on a small machine; what grows with the square would take minutes.
    assert time.process_time() - began < 15.0
    assert len(found.contrast.steps) == CELLS
    assert len(found.contrast.holders) == 40
    assert f"and {CELLS - 40} steps that moved less" in text
    assert len(text.splitlines()) < 1000
