"""Execute fixes in a fresh kernel and measure what comes back.

No part of memprobe takes part: the notebook runs in a plain kernel, and the process's resident
memory is read before and after the fix, each time after a collection and a ``malloc_trim``, so
that what was freed has really been returned to the system. Of bytes that Spark holds, Spark itself
is asked instead. Where the notebook itself keeps the
collector from running, so does the measurement: what waits for it is what is measured.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import beside, spark
from .judge import Verdict
from .kernel import CellFailed, execute, kernel, run_cells
from .scenario import Scenario

MEASURE = """
def _measure():
    import ctypes, gc, sys
    if gc.isenabled() and 0 < gc.get_threshold()[0] < 100_000:
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
        verdict.measured = given_back(verdict, [verdict.case.scenario.fix])
        lines = [line for found in verdict.found for line in advice(found.fix)]
        if lines and not verdict.missed:
            verdict.advised = given_back(verdict, lines, alternatives=True)
    except (CellFailed, TimeoutError) as trouble:
        verdict.fix_trouble = str(trouble)


def given_back(verdict: Verdict, cells: list[str], *, alternatives: bool = False) -> int:
    """Run the notebook, then ``cells``; return the bytes that those gave back.

    Of ``alternatives`` one may find nothing to do any more: its error is no trouble.
    """
    scenario = verdict.case.scenario
    with plain_kernel(scenario) as client:
        run_cells(client, verdict.case.path)
        before = held(client, scenario.where)
        for cell in cells:
            execute(client, cell, fails=None if alternatives else False)
        after = held(client, scenario.where)
    return sum(before.values()) - sum(after.values())


@contextmanager
def plain_kernel(scenario: Scenario, master: str = spark.LOCAL) -> Iterator[Any]:
    """Give a kernel for a scenario; with Spark, in a folder of its own and with all that ends."""
    if not scenario.spark:
        with kernel() as client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="memprobe-scenario-") as folder,
        spark.marked(spark.environment(master)) as environment,
        kernel(environment, folder) as client,
    ):
        yield client


def held(client: Any, where: str) -> dict[str, int]:
    """Return the bytes held now in the place that the scenario is about, by process."""
    if where in spark.MEASURES:
        return spark.stored(client, where)
    if where in beside.MEASURES:
        return {where: int(execute(client, beside.MEASURES[where], counts=False))}
    return {"driver-python": resident(client)}


def advice(fix: str) -> list[str]:
    """Return the lines of a finding's fix that can be typed: it may hold prose as well."""
    return [line for line in fix.splitlines() if line.strip() and _is_code(line)]


def _is_code(line: str) -> bool:
    if line.startswith("%"):
        return True
    try:
        ast.parse(line)
    except SyntaxError:
        return False
    return True


def resident(client: Any) -> int:
    """Return the kernel's resident bytes, freed memory returned to the system first."""
    return int(execute(client, MEASURE, counts=False))
