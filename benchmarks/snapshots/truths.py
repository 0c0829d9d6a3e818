"""What the tools tell of each name, beside what is known."""

from __future__ import annotations

from typing import Any

from snapshots.drive import Told

Found = dict[tuple[str, str], Told]
TELLING = ("memprobe native", "memprobe in the process", "memprobe fallback", "guppy3")


def truths(found: Found, heaps: list[str], titles: dict[str, str]) -> list[str]:
    """Return the section on exclusive bytes, and on texts in arrays of objects."""
    lines = [
        "## What they tell",
        "",
        "Bytes that come free when one name goes, and how far from the truth each tool is. The",
        "truth is computed without any of them: `sys.getsizeof` of what only that name reaches,",
        "rounded up to the 16 bytes Python's allocator counts in, plus the sizes of buffers. The",
        "other tools give no such number: `asizeof` tells what a name reaches, whoever else keeps",
        "it. guppy3 and `asizeof` do not round, and so are below: 56 bytes of an object take 64.",
        "",
        f"| heap | name | truth | {' | '.join(TELLING)} | asizeof: reached |",
        f"|---|---|---|{'---|' * len(TELLING)}---|",
    ]
    for heap in heaps:
        lines += _names(found, heap, titles[heap])
    return [*lines, "", *_texts(found, heaps, titles)]


def _names(found: Found, heap: str, title: str) -> list[str]:
    known = _truth(found, heap).get("exclusive", {})
    rows = []
    for name in sorted(known):
        cells = [_error(found, heap, tool, name) for tool in TELLING]
        reached = _told(found, heap, "pympler asizeof").get("details", {}).get("reached", {})
        cells.append(_against(reached.get(name), known[name]))
        rows.append(f"| {title} | `{name}` | {known[name]:,} | {' | '.join(cells)} |")
    return rows


def error(found: Found, heap: str, tool: str, name: str) -> float | None:
    """Return how far a tool's bytes of a name are from the truth, as a share of it."""
    told = (_told(found, heap, tool).get("exclusive") or {}).get(name)
    known = _truth(found, heap)["exclusive"][name]
    return None if told is None else (told - known) / known


def _error(found: Found, heap: str, tool: str, name: str) -> str:
    off = error(found, heap, tool, name)
    return "–" if off is None else f"{off:+.2%}"


def _against(value: int | None, known: int) -> str:
    return "–" if value is None else f"{(value - known) / known:+.1%}"


def _texts(found: Found, heaps: list[str], titles: dict[str, str]) -> list[str]:
    """Say which tools see the texts that only an array of objects refers to."""
    rows = []
    for heap in heaps:
        texts = _truth(found, heap).get("texts")
        if not texts:
            continue
        for kept, tool in found:
            seen = _told(found, heap, tool).get("texts")
            if kept == heap and tool != "nothing" and _told(found, heap, tool):
                said = "does not tell" if seen is None else f"{min(seen, texts):,}"
                rows.append(f"| {tool} | {said} |")
        lines = [f"Strings seen of {texts:,} in {titles[heap]}:", "", "| tool | strings |"]
        return [*lines, "|---|---|", *rows, ""]
    return []


def _truth(found: Found, heap: str) -> dict[str, Any]:
    for (kept, _), told in found.items():
        if kept == heap and told.one("truth"):
            return told.one("truth")
    return {}


def _told(found: Found, heap: str, tool: str) -> dict[str, Any]:
    told = found.get((heap, tool))
    return {} if told is None else told.one("seen")
