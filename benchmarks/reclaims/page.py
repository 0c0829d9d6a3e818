"""The page ``reports/reclaim.md``: what was predicted and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

import machine

GOAL_MEDIAN = 0.02
GOAL_WORST = 0.10
PLACES = {"driver-python": "Python", "executors": "Spark's storage", "driver-jvm": "JVM"}

Runs = dict[str, list[dict[str, Any]]]


def page(runs: Runs, absent: dict[str, str]) -> str:
    """Return the page as Markdown. ``absent``: case → why it has no run."""
    loads = [run["load"] for each in runs.values() for run in each if "load" in run]
    lines = [
        "# What memprobe release gives back",
        "",
        "Each case is a fresh kernel whose cells leave something behind. `memprobe snapshot` finds",
        "it, `memprobe release --yes` lets go of it, and the resident memory of the process is",
        "read before and after, each time after a collection and a trim. Of what Spark stores, its",
        "block managers are asked. Made by `make reclaim` on",
        machine.sentence(loads),
        "",
        *_verdict(runs),
        "",
        *_table(runs),
        *_absent(runs, absent),
    ]
    return "\n".join(lines).rstrip() + "\n"


def error(run: dict[str, Any]) -> float:
    """Return by which share of the prediction what came back differs from it."""
    return float((run["back"] - run["predicted"]) / max(run["predicted"], 1))


def _measured(runs: Runs, *, exact: bool | None = None) -> list[float]:
    found = []
    for each in runs.values():
        for run in each:
            if "back" in run and exact in (None, "estimate" not in run["basis"]):
                found.append(abs(error(run)))
    return found


def _verdict(runs: Runs) -> Iterator[str]:
    yield "| predictions | runs | median error | worst error | goal |"
    yield "|---|---|---|---|---|"
    for name, exact in (("`simulated` or `exact`", True), ("`estimate`: labelled so", False),
                        ("all", None)):  # fmt: skip
        errors = _measured(runs, exact=exact)
        if not errors:
            yield f"| {name} | 0 | – | – | |"
            continue
        middle, worst = median(errors), max(errors)
        met = middle <= GOAL_MEDIAN and worst <= GOAL_WORST
        goal = "" if exact is False else "met" if met else "**missed**"
        yield f"| {name} | {len(errors)} | {middle:.2%} | {worst:.2%} | {goal} |"
    yield ""
    yield f"The goal: a median of at most {GOAL_MEDIAN:.0%}, and none over {GOAL_WORST:.0%}. What"
    yield "is only estimated is labelled so, and counts in the last line alone."
    differs = [
        abs(run["outside"] - run["after"]) / max(run["back"], 1)
        for each in runs.values() for run in each
        if run.get("outside") is not None
    ]  # fmt: skip
    if differs:
        yield ""
        yield "What is resident afterwards was read by another process as well: the two differ by"
        yield f"at most {max(differs):.1%} of what came back (median {median(differs):.2%})."


def _table(runs: Runs) -> Iterator[str]:
    yield "| case | basis | in | cuts | runs | predicted MB | came back MB | median error | worst |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, each in runs.items():
        done = [run for run in each if "back" in run]
        if not done:
            continue
        errors = [error(run) for run in done]
        worst = max(errors, key=abs)
        promised, back = (median(run[one] for run in done) / 1e6 for one in ("predicted", "back"))
        yield (
            f"| {name} | {', '.join(done[-1]['basis'])} | {PLACES[done[-1]['where']]} "
            f"| {done[-1]['cuts']} | {len(done)} | {promised:.1f} | {back:.1f} "
            f"| {median(errors):+.2%} | {worst:+.2%} |"
        )


def _absent(runs: Runs, absent: dict[str, str]) -> Iterator[str]:
    refused = {name: each[-1] for name, each in runs.items() if each and "refused" in each[-1]}
    if refused:
        yield ""
        yield "## Refused, as it should be"
        yield ""
        for name, run in refused.items():
            yield f"- {name}: {run['refused']} (`{run['fix'].splitlines()[0]}`)"
    if absent:
        yield ""
        yield "## Not measured"
        yield ""
        yield from (f"- {name}: {why}" for name, why in absent.items())
