"""Spark's part of a contrast's tables, step by step and round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memprobe.contrasts import RoundRow, SparkRound, StepRow
from memprobe.reporters.amounts import duration, size
from memprobe.reporters.measures import pair
from memprobe.reporters.printable import printable

STEP_TITLES = {
    "jvm_cpu": "JVM CPU", "workers_cpu": "workers", "tasks": "tasks", "stored": "stored",
}  # fmt: skip
ROUND_TITLES = {
    "jvm_cpu": "JVM CPU", "workers_cpu": "workers", "tasks": "tasks", "stored": "stored",
    "jvm_rss": "JVM RSS", "heap_after_gc": "heap after GC",
}  # fmt: skip
TIMES = ("jvm_cpu", "workers_cpu", "tasks")


def steps(rows: Sequence[StepRow]) -> Iterator[RenderableType]:
    """Yield the steps in which Spark did anything, and why a cell is empty."""
    told = [row for row in rows if row.spark is not None and _did(row)]
    if not told:
        return
    table = _table("Spark, by step")
    for title in STEP_TITLES.values():
        table.add_column(f"{title}\nnotebook", justify="right", no_wrap=True)
        table.add_column("\nscript", justify="right", no_wrap=True)
    reasons: list[str] = []
    for row in told:
        measures = {name: getattr(row.spark, name) for name in STEP_TITLES}
        table.add_row(
            Text(printable(row.name)), *(cell for one in measures.values() for cell in pair(one))
        )
        reasons += [
            f"{STEP_TITLES[name]}: {one.why}"
            for name, one in measures.items()
            if one.why and (one.first is None or one.script is None)
        ]
    yield ""
    yield table
    for why in dict.fromkeys(reasons):
        yield Text(printable(why), "dim")


def _did(row: StepRow) -> bool:
    measures = [getattr(row.spark, name) for name in STEP_TITLES]
    values = [one.first for one in measures]
    values += [one.script.median if one.script is not None else None for one in measures]
    return any(value for value in values)


def rounds(rows: Sequence[RoundRow]) -> Iterator[RenderableType]:
    """Yield what Spark used in each round in one kernel, and what it kept."""
    told = [(row.round, row.spark) for row in rows if row.spark is not None]
    if len(told) < 2:
        return
    table = _table("Spark, by round")
    for title in ROUND_TITLES.values():
        table.add_column(title, justify="right", no_wrap=True)
    for number, found in told:
        table.add_row(f"round {number}", *(Text(_cell(found, name)) for name in ROUND_TITLES))
    yield ""
    yield table
    reasons = [
        f"{ROUND_TITLES[name]}: {why}"
        for _, found in told
        for name, why in found.why.items()
        if name in ROUND_TITLES
    ]
    for why in dict.fromkeys(reasons):
        yield Text(printable(why), "dim")


def _cell(found: SparkRound, name: str) -> str:
    value = getattr(found, name)
    if value is None:
        return "–"
    return duration(value) if name in TIMES else size(value)


def _table(title: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    table.add_column(Text(title, "bold not dim"))
    return table
