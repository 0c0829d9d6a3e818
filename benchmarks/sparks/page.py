"""The page ``reports/spark.md``: fixes by executor, the cost of a job, many frames."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

import machine
from medians import FEWEST, cell, interval

GOAL = 1.03
GOAL_MS = 50.0
GOAL_SHARE = 0.01
PLACES = {
    "executors": "storage memory, as the master of the block managers tells",
    "driver-jvm": "heap of the driver's JVM after a collection",
    "python-workers": "resident memory of the Python workers",
}


def page(
    fixed: dict[str, dict[str, Any]], pairs: list[dict[str, Any]], scaled: dict[str, Any] | None
) -> str:
    """Return the page as Markdown; what was not measured is said."""
    loads = [pair["load"] for pair in pairs] + ([scaled["load"]] if scaled else [])
    lines = [
        "# Spark",
        "",
        "What the rules on Spark promise, executed; what memprobe costs a Spark job; and what a",
        "notebook with many cached frames costs it. Made by `make benchmark-spark` on",
        machine.sentence(loads)[:-1] + f", pyspark {importlib.metadata.version('pyspark')}.",
        "",
        *_fixes(fixed),
        *_costs(pairs),
        *_scale(scaled),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _fixes(fixed: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "## What the fixes give back"
    yield ""
    yield "The leaky notebook of every scenario on `local-cluster[2,1,1024]`: two executors with"
    yield "JVMs of their own beside the driver. memprobe takes no part: Spark or the operating"
    yield "system is asked before the scenario's fix is typed and after. In MB."
    for where, meaning in PLACES.items():
        rows = {name: one for name, one in fixed.items() if one["where"] == where}
        if rows:
            yield ""
            yield f"**{where}**: {meaning}."
            yield ""
            yield "| rule | scenario | before | after | given back |"
            yield "|---|---|---|---|---|"
            ordered = sorted(rows.items(), key=lambda pair: (pair[1]["rule"], pair[0]))
            yield from (_fix_row(name, one) for name, one in ordered)
    if not fixed:
        yield ""
        yield "Not measured."
    yield ""


def _fix_row(name: str, one: dict[str, Any]) -> str:
    before, after = one["before"], one["after"]
    back = sum(before.values()) - sum(after.values())
    shown = [_by_place(one["where"], values) for values in (before, after)]
    return f"| {one['rule']} | `{name}` | {shown[0]} | {shown[1]} | **{back / 1e6:.1f}** |"


def _by_place(where: str, values: dict[str, int]) -> str:
    if where == "python-workers":
        return " + ".join(f"{size / 1e6:.1f}" for size in values.values()) or "none"
    return ", ".join(f"{place} {size / 1e6:.1f}" for place, size in sorted(values.items()))


def _costs(pairs: list[dict[str, Any]]) -> Iterator[str]:
    yield "## What it costs a job"
    yield ""
    yield "`benchmarks/programs/spark_job.py` filters, joins, groups, aggregates and writes three"
    yield "times, on `local[2]`: bare, under `memprobe run`, and bare again, in turn. CPU seconds"
    yield "of driver, JVM and Python workers together, as the kernel tells of each ended process."
    yield "The control is the second bare run against the first. Medians with their 95 % interval."
    yield ""
    if not pairs:
        yield "Not measured."
        yield ""
        return
    yield "| pairs | bare, CPU s | with the probe | and memprobe's own process | time | control |"
    yield "|---|---|---|---|---|---|"
    columns = ("target", "whole", "wall", "control")
    cells = [cell([pair[name] for pair in pairs]) for name in columns]
    bare = median([pair["bare"] for pair in pairs])
    yield f"| {len(pairs)} | {bare:.1f} | {' | '.join(cells)} |"
    yield ""
    target = [pair["target"] for pair in pairs]
    verdict = "too few pairs to say"
    if len(target) >= FEWEST:
        verdict = "**met**" if interval(target)[1] <= GOAL else "**missed**"
    yield f"Goal: the upper bound of the job's own CPU is at most {GOAL}: {verdict}."
    same = sum(bool(pair["same"]) for pair in pairs)
    yield f"The job's results (a hash of every row that it wrote) were the same in {same} of"
    yield f"{len(pairs)} pairs."
    yield ""


def _scale(scaled: dict[str, Any] | None) -> Iterator[str]:
    yield "## Many frames"
    yield ""
    yield "A notebook with 200 cached frames and 500 DataFrame variables, of which each of 60 cells"
    yield "binds one anew, runs a query and waits a second; then a cell that sleeps. What a cell's"
    yield "end takes is timed by the notebook itself, around all that IPython calls then."
    yield ""
    if scaled is None:
        yield "Not measured."
        return
    yield "| what | p50 | p95 | most | readings | goal |"
    yield "|---|---|---|---|---|---|"
    goal = _goal(scaled["end_ms"], GOAL_MS)
    yield _times("the user's thread at a cell's end, ms", scaled["end_ms"], goal)
    yield _times("of that for Spark, where a reading came, ms", scaled["user_ms"], "–")
    yield _times("a whole reading, beside the program, ms", scaled["took_ms"], "–")
    yield ""
    yield f"{scaled['caches']} caches were read, and all live frames were looked up for"
    yield f"{scaled['known']} of them by the last reading."
    if scaled["share"] is None:
        yield "The sampler's share of a core was not measured."
        return
    met = "**met**" if scaled["share"] < GOAL_SHARE else "**missed**"
    yield f"While the last cell slept the probe took {scaled['share']:.2%} of one core, a sample"
    yield f"every {scaled['interval']:.1f} s; goal: under {GOAL_SHARE:.0%}: {met}."


def _times(what: str, values: list[float], goal: str) -> str:
    if len(values) < 2:
        return f"| {what} | – | – | – | {len(values)} | {goal} |"
    high = quantiles(values, n=20, method="inclusive")[-1]
    shown = f"{median(values):.1f} | {high:.1f} | {max(values):.1f}"
    return f"| {what} | {shown} | {len(values)} | {goal} |"


def _goal(values: list[float], most: float) -> str:
    if len(values) < 20:
        return f"p95 ≤ {most:.0f}: too few"
    met = "**met**" if quantiles(values, n=20, method="inclusive")[-1] <= most else "**missed**"
    return f"p95 ≤ {most:.0f}: {met}"
