"""The goals of the native snapshot, and whether what was measured meets them."""

from __future__ import annotations

from statistics import median

from snapshots import truths
from snapshots.drive import Told

Found = dict[tuple[str, str], Told]

NATIVE, PEER = "memprobe native", "guppy3"
FASTER = 10  # times guppy3's objects per second
PAUSE = 80.0  # ms per GB of a heap of small objects
DIRTIED = 5e6  # bytes
OFF = 0.01  # of the exclusive bytes
SMALL = ("slots-1m", "slots-6m", "slots-20m", "dicts-6m", "strings-5m")


def goals(found: Found, heaps: list[str], titles: dict[str, str]) -> list[str]:
    """Return the section on the goals: a row per heap, each number with its verdict."""
    lines = [
        "## Goals",
        "",
        f"At least {FASTER} times guppy3's objects per second (its fastest `heap()`, without its",
        "table, against the median of whole snapshots; beside it the first `heap()` of a process,",
        "which is the one that a user waits for: later ones find what it has learned);",
        f"at most {PAUSE:.0f} ms of pause per GB of",
        "a heap of small objects, preparation included; at most",
        f"{DIRTIED / 1e6:.0f} MB dirtied in the program's process; exclusive",
        f"bytes within {OFF:.0%} of the truth. The pause is told twice: the CPU time from asking",
        "to the copy's being there, as if nothing else could run meanwhile; and the largest gap",
        "that the loop saw, the least of its takes: what else the machine does is in it as well.",
        "",
        "| heap | times guppy3 | times its first | until the copy, ms per GB | gap, ms per GB "
        "| dirtied | bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [_row(found, heap, titles[heap]) for heap in heaps] + [""]


def _row(found: Found, heap: str, title: str) -> str:
    told, peer = found.get((heap, NATIVE), Told()), found.get((heap, PEER), Told())
    first = _times(told, _alone(peer)[:1])
    taken = told.values("details", "prepared_cpu")
    prepared = [median(taken) * 1e3] if taken else []
    gaps = [gap / 1e6 for gap in told.values("loop", "gap")]
    cells = [
        _verdict(_times(told, _alone(peer)), FASTER, "{:,.1f} ×", least=True),
        "–" if first is None else f"{first:,.1f} ×",
        _verdict(
            _per_gigabyte(told, [median(prepared)] if prepared else [], heap), PAUSE, "{:,.0f}"
        ),
        _verdict(_per_gigabyte(told, gaps, heap), PAUSE, "{:,.0f}"),
        _verdict(_dirtied(told), DIRTIED / 1e6, "{:.1f} MB"),
        _verdict(_worst(found, heap), OFF * 100, "{:.2f} %"),
    ]
    return f"| {title} | {' | '.join(cells)} |"


def _verdict(value: float | None, bound: float, shown: str, *, least: bool = False) -> str:
    if value is None:
        return "–"
    met = value >= bound if least else value <= bound
    return f"{shown.format(value)}: {'met' if met else '**missed**'}"


def _times(told: Told, theirs: list[float]) -> float | None:
    """Return the least of the seconds of ``theirs`` over the median of a whole snapshot."""
    ours = told.values("ticker", "seconds") or told.values("first", "seconds")
    return min(theirs) / median(ours) if ours and theirs else None


def _alone(peer: Told) -> list[float]:
    """Return the seconds of guppy3's ``heap()`` alone, the process's first one first."""
    first = peer.one("seen").get("details", {}).get("heap_alone")
    return [one for one in [first, *peer.values("details", "heap_alone")] if one]


def _per_gigabyte(told: Told, milliseconds: list[float], heap: str) -> float | None:
    """Return ms per GB of the heap, the least; None for a heap that is not of small objects."""
    rss = told.one("truth").get("rss")
    if heap not in SMALL or not milliseconds or not rss:
        return None
    return min(milliseconds) / (rss / 1e9)


def _dirtied(told: Told) -> float | None:
    written = told.one("written").get("bytes")
    return None if written is None else max(0, written) / 1e6


def _worst(found: Found, heap: str) -> float | None:
    known = found.get((heap, NATIVE), Told()).one("truth").get("exclusive", {})
    off = [truths.error(found, heap, NATIVE, name) for name in known]
    known_off = [abs(one) * 100 for one in off if one is not None]
    return max(known_off) if known_off else None
