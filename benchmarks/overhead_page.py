"""The page ``reports/overhead.md``, made from the raw results."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import machine
from environments import version
from imports_first import UNUSED
from medians import FEWEST, cell, interval
from overhead_results import Kept, Results
from profilers import PROFILERS, judged, quotation

GOAL = 1.02
OURS = "memprobe"
IMPORTS = "imports"


def page(results: Results) -> str:
    """Return the page as Markdown; what was not measured yet is said."""
    loads = [pair["load"] for kept in results.tools.values() for pair in _pairs(kept)]
    lines = [
        "# Overhead",
        "",
        "CPU time of a program with a tool against the bare program, interleaved: medians with",
        "their 95 % interval (sign test). Made by `make benchmark` on",
        machine.sentence(loads),
        "",
        *_ours(results),
        *_others(results),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _pairs(kept: Kept) -> list[dict[str, float]]:
    return [pair for pairs in kept.pairs.values() for pair in pairs]


def _ours(results: Results) -> Iterator[str]:
    yield "## memprobe run"
    yield ""
    kept = results.tools.get(OURS)
    if kept is None or not _pairs(kept):
        yield "Not measured yet."
        yield ""
        return
    counts = sorted({len(pairs) for pairs in kept.pairs.values()})
    many = " to ".join(str(count) for count in counts)
    yield f"{many} pairs of each program. Every pair is the bare program, the same under"
    yield "`memprobe run`, and bare again: the control is the second bare run against the first."
    yield "The program's own cost leaves out the snapshot at its exit, when it is over; the whole"
    yield "command includes that, and memprobe's own process (start-up, sampling from outside)."
    yield ""
    heads = ("program", "bare, s", "control (A/A)", "program under memprobe", "at exit, s",
             "whole command")  # fmt: skip
    yield f"| {' | '.join(heads)} | peak RSS |"
    yield "|---" * (len(heads) + 1) + "|"
    for name, pairs in kept.pairs.items():
        control, target, whole = (
            cell([pair[what] for pair in pairs]) for what in ("control", "target", "whole")
        )
        bare, peak = (median([pair[what] for pair in pairs]) for what in ("bare", "peak"))
        told = [pair["at_exit"] for pair in pairs if "at_exit" in pair]
        last = f"{median(told):.2f}" if told else "–"
        columns = (f"`{name}`", f"{bare:.1f}", control, target, last, whole, f"{peak:.2f}")
        yield f"| {' | '.join(columns)} |"
    yield ""
    yield f"Goal: the upper bound for the program is at most {GOAL}: {_verdict(results)}."
    yield ""
    yield from _imports(results)


def _imports(results: Results) -> Iterator[str]:
    """Yield what it costs the bare programs that there are more objects."""
    kept = results.tools.get(IMPORTS)
    if kept is None or not _pairs(kept):
        return
    yield "Where does it come from? Each of Python's full collections visits every object there"
    yield "is, the probe's modules included; a program that only allocates collects all the time."
    yield f"The bare programs, having imported {len(UNUSED)} modules of the standard library that"
    yield f"they do not use, against themselves ({_counts(kept)} pairs, import included):"
    yield ""
    yield "| program | CPU | peak RSS |"
    yield "|---|---|---|"
    for name in kept.pairs:
        cpu, peak = _ratios(kept, [name])
        yield f"| `{name}` | {cpu} | {peak} |"
    yield ""


def _verdict(results: Results) -> str:
    ratios = results.ratios(OURS, "target")
    if any(len(one) < FEWEST for one in ratios.values()):
        return "too few pairs to say"
    missed = [f"`{name}`" for name, one in ratios.items() if interval(one)[1] > GOAL]
    return f"**missed** by {', '.join(missed)}" if missed else "**met**"


def _others(results: Results) -> Iterator[str]:
    shown = [(profiler.name, version(profiler.environment)) for profiler in PROFILERS]
    known = [(name, number, results.tools[name]) for name, number in shown if name in results.tools]
    yield "## Beside other tools"
    yield ""
    yield "Whole commands, each in an environment of its own with the same numpy and pandas, each"
    yield "against the bare program in that environment. These tools answer other questions, and"
    yield "all of them but `mprof` say where memory was allocated; memprobe says what keeps it."
    yield ""
    names = _programs(results)
    heads = [f"`{name}`, CPU" for name in names] + [f"`{name}`, peak RSS" for name in names]
    yield "| tool | pairs | " + " | ".join(heads) + " |"
    yield "|---" * (2 + len(heads)) + "|"
    rows = [(OURS, "this version", results.tools.get(OURS)), *known]
    for name, number, kept in rows:
        if kept is not None and _pairs(kept):
            yield f"| {name} ({number}) | {_counts(kept)} | {' | '.join(_ratios(kept, names))} |"
    yield ""
    yield from _without(known)
    yield from _answers(rows)


def _programs(results: Results) -> list[str]:
    return list(dict.fromkeys(name for kept in results.tools.values() for name in kept.pairs))


def _counts(kept: Kept) -> str:
    return " to ".join(str(count) for count in sorted({len(one) for one in kept.pairs.values()}))


def _ratios(kept: Kept, names: list[str]) -> Iterator[str]:
    for name in names:
        yield cell([pair["whole"] for pair in kept.of(name)]) if kept.of(name) else "–"
    for name in names:
        yield f"{median([pair['peak'] for pair in kept.of(name)]):.2f}" if kept.of(name) else "–"


def _without(known: list[tuple[str, str, Kept]]) -> Iterator[str]:
    """Yield the tools that could not be measured, or not to the end, each with the reason."""
    missing = [(name, kept.unavailable) for name, _, kept in known if kept.unavailable]
    missing += [
        (f"{name} on `{program}`", reason)
        for name, _, kept in known
        for program, reason in kept.failed.items()
    ]
    yield from (f"- {name}: not measured, {reason}" for name, reason in missing)
    if missing:
        yield ""


def _answers(rows: list[tuple[str, str, Kept | None]]) -> Iterator[str]:
    yield "## What each says about a leak"
    yield ""
    yield "Run once over `scenarios/growing-script-list/leaky.py`: a list, `_SEEN`, keeps 144 MB"
    yield "that line 10 allocates and line 11 copies. Judged by rule: the line is named; the list"
    yield "is named, outside quoted source; some size is within ten per cent. The last column is"
    yield "the line of the answer that says most."
    yield ""
    yield "| tool | the line | the holder | the bytes | in its words |"
    yield "|---|---|---|---|---|"
    for name, _, kept in rows:
        if kept is not None and kept.said:
            marks = ["yes" if one else "no" for one in judged(kept.said)]
            yield f"| {name} | {' | '.join(marks)} | `{quotation(kept.said)}` |"
