"""The page of ``benchmarks/snapshot.py``: a table per heap, what each tool tells, the goals."""

from __future__ import annotations

from statistics import median

import machine
from snapshots.drive import Told
from snapshots.goals import goals
from snapshots.truths import truths

Found = dict[tuple[str, str], Told]

TITLES = {
    "slots-1m": "1 M objects with slots",
    "slots-6m": "6 M objects with slots",
    "slots-20m": "20 M objects with slots",
    "dicts-6m": "6 M dicts",
    "strings-5m": "a frame of 5 M strings as objects",
    "notebook": "a notebook in use",
}
HEADER = (
    "| tool | takes, s | objects/s | thread waits, ms | loop stands, ms | lost, ms "
    "| dirtied | extra memory |"
)
MEANING = """\
- **takes**: from asking to the whole answer, with the program asleep. **objects/s**: objects of the
  heap by construction, over that time; in brackets the number that the tool itself counts, where
  that is less than nine in ten of them.
- **thread waits**: how much later than asked a thread wakes that sleeps for 1 ms again and again.
  **loop stands**: the largest gap in a loop on the main thread that looks at the clock; **lost**:
  all its gaps over 1 ms together. Both of the whole process: the row `nothing` is a thread that
  only sleeps, so that shows what the machine and Python's own switching do.
- **dirtied**: bytes of memory that the tool writes to in the program's process, measured beside a
  fork of it that sleeps; after the plus sign what the copy writes to of the pages it shares.
- **extra memory**: the most that the program and its copies take beyond what the program took
  before; what they share counts once (PSS, looked at every few milliseconds).
"""


def page(found: Found, heaps: list[str]) -> str:
    """Return the page as Markdown."""
    loads = [line["load"] for told in found.values() for line in told.lines.get("load", [])]
    lines = [
        "# Heap snapshots",
        "",
        "What a look at the whole heap costs the program, and what it tells. Every tool in a",
        "process of its own on the same heaps, medians; made by `make benchmark-snapshot` on",
        machine.sentence(loads),
        "",
        MEANING,
    ]
    for heap in heaps:
        lines += _heap(found, heap)
    lines += truths(found, heaps, TITLES) + goals(found, heaps, TITLES)
    return "\n".join(lines) + "\n"


def _heap(found: Found, heap: str) -> list[str]:
    tools = [tool for kept, tool in found if kept == heap]
    truth = next((told.one("truth") for tool in tools if (told := found[heap, tool]).lines), {})
    if not truth:
        return [f"## {TITLES[heap]}", "", "Not measured yet.", ""]
    rss = truth.get("rss", 0) / 2**20
    lines = [f"## {TITLES[heap]}", "", f"{rss:,.0f} MiB resident before any tool."]
    lines += [*truth.get("said", []), "", HEADER, "|---|---|---|---|---|---|---|---|"]
    lines += [_row(tool, found[heap, tool], truth) for tool in tools]
    return [*lines, "", *_failed(found, heap, tools)]


def _failed(found: Found, heap: str, tools: list[str]) -> list[str]:
    """Say which takes did not come to their end, and why."""
    lines = []
    for tool in tools:
        why = [line["why"] for line in found[heap, tool].lines.get("failed", [])]
        if why:
            lines.append(f"{tool}: {len(why)} takes are left out: {why[-1]}.")
    return [*lines, ""] if lines else []


def _row(tool: str, told: Told, truth: dict[str, int]) -> str:
    if not told.lines.get("first"):
        return f"| {_bold(tool)} | {told.trouble or '–'} | | | | | | |"
    cells = [
        _number(seconds(told)),
        _rate(tool, told, truth),
        _milliseconds(told, "ticker", "gap"),
        _milliseconds(told, "loop", "gap"),
        _milliseconds(told, "loop", "lost"),
        _dirtied(tool, told),
        _size(told.one("memory").get("peak")),
    ]
    return f"| {_bold(tool)} | {' | '.join(cells)} |"


def seconds(told: Told) -> float | None:
    """Return the median time of a take; of a slow tool's only one."""
    values = told.values("ticker", "seconds") or told.values("first", "seconds")
    return median(values) if values else None


def objects(told: Told, truth: dict[str, int]) -> int:
    """Return the objects of a heap: by construction, or what the tool counts."""
    return truth.get("objects") or told.one("seen").get("objects") or 0


def _rate(tool: str, told: Told, truth: dict[str, int]) -> str:
    took, count = seconds(told), objects(told, truth)
    seen = told.one("seen").get("objects")
    if tool == "nothing" or not took:
        return "–"
    less = f" ({_millions(seen)})" if seen is not None and seen < 0.9 * count else ""
    return f"{_millions(count / took)}{less}"


def _dirtied(tool: str, told: Told) -> str:
    written = told.one("written").get("bytes")
    seen = told.one("memory")
    tables = told.one("details").get("walker", {}).get("memory", 0)
    if written is None:
        return "–"
    by_copy = max(0, seen.get("copy", 0) - tables) if seen.get("copy") and tables else None
    return _size(written) + ("" if by_copy is None else f" + {_size(by_copy)}")


def _milliseconds(told: Told, kind: str, name: str) -> str:
    values = told.values(kind, name) or (told.values("first", name) if kind == "ticker" else [])
    return f"{median(values) / 1e6:,.1f}" if values else "–"


def _bold(tool: str) -> str:
    return f"**{tool}**" if tool.startswith("memprobe") else tool


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:,.2f} M" if value < 1e7 else f"{value / 1e6:,.1f} M"


def _size(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{max(0.0, value) / 1e6:,.1f} MB" if value < 1e9 else f"{value / 1e9:,.2f} GB"
