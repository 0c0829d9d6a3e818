"""Each rule's scenario on executors of their own: what its fix gives back, executor by executor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scenarios"))

from accuracy import fix, spark  # noqa: E402
from accuracy.kernel import execute, run_cells  # noqa: E402
from accuracy.scenario import Scenario, cases, scenarios  # noqa: E402

PLACES = ("executors", "driver-jvm", "python-workers")


def leaky() -> dict[str, Scenario]:
    """Return the scenarios that have a leaky notebook and bytes that Spark holds, by rule."""
    found = [one for one in scenarios() if one.spark and one.where in PLACES]
    found = [one for one in found if any(case.leaky and case.notebook for case in cases(one))]
    return {one.name: one for one in sorted(found, key=lambda one: (one.rule, one.name))}


def measured(scenario: Scenario) -> dict[str, Any]:
    """Run the notebook, then its fix; return the bytes before and after by executor or process."""
    program = scenario.folder / "leaky.ipynb"
    with fix.plain_kernel(scenario, spark.EXECUTORS) as client:
        run_cells(client, program)
        before = fix.held(client, scenario.where)
        execute(client, scenario.fix)
        after = fix.held(client, scenario.where)
    return {"rule": scenario.rule, "where": scenario.where, "before": before, "after": after}
