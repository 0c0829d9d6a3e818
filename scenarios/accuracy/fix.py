"""Execute fixes in a fresh kernel and measure what comes back.

No part of memprobe takes part: the notebook runs in a plain kernel, and the process's resident
memory is read before and after the fix, each time after a collection and a ``malloc_trim``, so
that what was freed has really been returned to the system.
"""

from __future__ import annotations

from typing import Any

from .judge import Verdict
from .kernel import CellFailed, execute, kernel, run_cells

MEASURE = """
def _measure():
    import ctypes, gc, sys
    gc.collect()
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


print(_measure())
del _measure
"""


def measure(verdict: Verdict) -> None:
    """Execute the scenario's own fix, and what the findings told the user to type.

    Notes the bytes that came back of each, or the trouble.
    """
    try:
        verdict.measured = given_back(verdict, verdict.case.scenario.fix)
        advice = "\n".join(dict.fromkeys(found.fix for found in verdict.found if found.fix))
        if advice and not verdict.missed:
            verdict.advised = given_back(verdict, advice)
    except (CellFailed, TimeoutError) as trouble:
        verdict.fix_trouble = str(trouble)


def given_back(verdict: Verdict, lines: str) -> int:
    """Run the notebook and one more cell with ``lines``; return the bytes that it gave back."""
    with kernel() as client:
        run_cells(client, verdict.case.path)
        before = resident(client)
        execute(client, lines)
        return before - resident(client)


def resident(client: Any) -> int:
    """Return the kernel's resident bytes, freed memory returned to the system first."""
    return int(execute(client, MEASURE, counts=False))
