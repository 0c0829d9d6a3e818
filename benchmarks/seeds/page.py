# ruff: noqa: E501 - sentences of the page
"""The page ``reports/notebook-vs-script.md``, from what was kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import machine
from seeds.verdicts import verdicts

Kept = dict[str, Any]
STEADY = 1.25  # times as high as the load may be at the end for times to be compared
DRIFTED = "not compared: the load changed"
TIMES = ("wall", "start-up")
SPEED = (("start-up", "start-up"), ("wall time", "wall"))
MEMORY = (
    ("peak RSS of Python", "peak"), ("RSS of Python at the end", "rss"),
    ("live Python objects at the end", "live"), ("peak RSS of the JVM", "jvm-peak"),
    ("Spark storage at the end", "stored"), ("Python held when it is over", "held"),
    ("JVM held when it is over", "jvm-after"), ("live, more in each round", "growth"),
    ("RSS, more in each round", "rss-growth"), ("JVM RSS, more in each round", "jvm-growth"),
)  # fmt: skip
CPU = (
    ("CPU of Python", "cpu"), ("CPU of the JVM, executors included", "jvm-cpu"),
    ("CPU of Python workers", "workers-cpu"), ("time of tasks", "tasks"),
)  # fmt: skip


def page(sizes: dict[str, Kept | None], claims: dict[str, Kept | None]) -> str:
    """Return the page; what was not measured is said, never shown as zero."""
    return "\n".join(_lines(sizes, claims)) + "\n"


def _lines(sizes: dict[str, Kept | None], claims: dict[str, Kept | None]) -> Iterator[str]:
    known = {name: one for name, one in sizes.items() if one is not None}
    kept = [*known.values(), *(one for one in claims.values() if one is not None)]
    loads = [load for one in kept for load in one["loads"]]
    yield "# Notebook against script, measured"
    yield ""
    yield "Made by `make benchmark-seed`; measured on " + machine.sentence(loads)
    yield "Times on a busy machine are long, and their range is wide; bytes are not touched by that."
    yield ""
    yield "## The ETL"
    yield ""
    yield (
        "Read, filter `column_x > 100`, join, group by `column_y`, sum `column_z`, write, and read the "
        "sums back: the same cells in rounds in one kernel, and as fresh processes of a script, by "
        "`memprobe contrast`. A difference within the range from run to run is no difference."
    )
    yield ""
    if not known:
        yield "Not measured yet."
    for said in dict.fromkeys(one["found"]["said"] for one in known.values()):
        yield f"On {said}, `local[2]`."
    yield from _busy(known)
    for title, rows in (
        ("Execution speed", SPEED), ("Memory use and resource allocation", MEMORY),
        ("CPU and executor load", CPU),
    ):  # fmt: skip
        yield from _table(title, rows, known)
    yield from _scalability(known)
    yield from _not_there(sizes)
    yield ""
    yield "## Claims, one by one"
    for name, one in claims.items():
        yield ""
        yield from verdicts(name, one["found"] if one is not None else None)
    yield ""
    yield from _takeaways(known, claims)


def _busy(known: dict[str, Kept]) -> Iterator[str]:
    """Tell how busy the machine was, and which times say nothing for that."""
    if not known:
        return
    shown = "; ".join(
        f"{one['found']['rows']:,} rows, {one['loads'][0]:.0f} to {one['loads'][1]:.0f}"
        for one in known.values()
    )
    yield ""
    yield f"Load average before and after: {shown}."
    if any(not _steady(one) for one in known.values()):
        yield (
            "Where it changed by more than a quarter, wall times of the two contexts are not compared: they "
            "were measured one after the other. CPU time can be."
        )


def _steady(one: Kept) -> bool:
    low, high = sorted(one["loads"])
    return bool(high <= STEADY * max(low, 1.0))


def _table(title: str, rows: tuple[tuple[str, str], ...], known: dict[str, Kept]) -> Iterator[str]:
    if not known:
        return
    yield ""
    yield f"### {title}"
    yield ""
    yield "| | rows | first round | later rounds | script | the notebook |"
    yield "|---|---:|---:|---:|---:|---|"
    reasons: list[str] = []
    for label, name in rows:
        for one in known.values():
            measure = one["found"]["report"]["contrast"]["totals"].get(name)
            if measure is None:
                continue
            cells = [amount(measure["first"], measure["unit"]), _spread(measure["later"], measure["unit"]),
                     _spread(measure["script"], measure["unit"]),
                     DRIFTED if name in TIMES and not _steady(one) else _judged(measure)]  # fmt: skip
            yield f"| {label} | {one['found']['rows']:,} | {' | '.join(cells)} |"
            if measure["why"] and (measure["first"] is None or measure["script"] is None):
                reasons.append(f"{label}: {measure['why']}")
    for reason in dict.fromkeys(reasons):
        yield ""
        yield f"– {reason}."


def _scalability(known: dict[str, Kept]) -> Iterator[str]:
    """Tell what one more million of rows costs in either context."""
    if len(known) < 2:
        return
    yield ""
    yield "### Scalability"
    yield ""
    yield "| rows | warm round in the kernel | first round | script | script, without what comes before the read |"
    yield "|---:|---:|---:|---:|---:|"
    for one in known.values():
        told = one["found"]["report"]["contrast"]
        wall = told["totals"]["wall"]
        steps = [row["wall"]["script"] for row in told["steps"][1:] if row["wall"]["script"]]
        work = sum(step["median"] for step in steps) if steps else None
        yield (
            f"| {one['found']['rows']:,} | {_spread(wall['later'], 'seconds')} "
            f"| {amount(wall['first'], 'seconds')} | {_spread(wall['script'], 'seconds')} "
            f"| {amount(work, 'seconds')} |"
        )


def _not_there(sizes: dict[str, Kept | None]) -> Iterator[str]:
    missing = [name for name, one in sizes.items() if one is None]
    if missing:
        yield ""
        yield f"Not measured: {', '.join(missing)}."


def _takeaways(known: dict[str, Kept], claims: dict[str, Kept | None]) -> Iterator[str]:
    yield "## Key takeaways"
    yield ""
    for one in list(known.values())[-1:]:
        told = one["found"]["report"]["contrast"]["totals"]
        rows = f"{one['found']['rows']:,}"
        yield (
            f"- Of {rows} rows, the first round in a kernel took {amount(told['cpu']['first'], 'seconds')} of CPU in Python "
            f"and {amount(told['jvm-cpu']['first'], 'seconds')} in the JVM, a script {_spread(told['cpu']['script'], 'seconds')} "
            f"and {_spread(told['jvm-cpu']['script'], 'seconds')} ({_judged(told['jvm-cpu'])} in the JVM). What a kernel saves is "
            f"the start: further rounds take {_spread(told['jvm-cpu']['later'], 'seconds')} of the JVM's."
        )
        after, live = told.get("jvm-after"), told["live"]
        if after is not None:
            yield (
                f"- When the work is over, the kernel's JVM still holds {amount(after['first'], 'bytes')}, the "
                f"script's nothing. Of Python objects it holds {amount(live['first'], 'bytes')}, the script "
                f"just before its exit {_spread(live['script'], 'bytes')}: {_judged(live)}."
            )
        growth = told["growth"]
        yield (
            f"- Further rounds add {_spread(growth['later'], 'bytes')} of live Python objects each: "
            f"{_judged(growth)}."
        )
    for name, one in claims.items():
        yield from verdicts(name, one["found"] if one is not None else None, brief=True)


def amount(value: float | None, unit: str) -> str:
    """Return a value with its unit; a dash where it was not measured."""
    if value is None:
        return "–"
    if unit == "seconds":
        return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
    return f"{value / 1e6:,.1f} MB"


def _spread(found: Kept | None, unit: str) -> str:
    if found is None:
        return "–"
    low, high = amount(found["low"], unit), amount(found["high"], unit)
    return low if low == high else f"{low} – {high}"


def _judged(measure: Kept) -> str:
    if measure["judgement"] in ("no difference", "not compared"):
        return str(measure["judgement"])
    difference = abs(measure["difference"] or 0.0)
    return f"{measure['judgement']} by {amount(difference, measure['unit'])}"
