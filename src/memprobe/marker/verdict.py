"""From a test's measurement to the words of its failure and the properties of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from memprobe.marker.arguments import Limits
from memprobe.marker.measurement import Measurement
from memprobe.reporters.amounts import counted, size
from memprobe_probes.held import Held, Key

MOST_HOLDERS = 5
MOST_NAMES = 3  # of the holders that share the same bytes

# Root kind → what lets go of it; {0} is the expression.
_FIXES = {
    "lru-cache": "{0}.cache_clear()",
    "figure": "plt.close({0})",
    "thread": "end the thread before the test ends",
    "frame": "end the thread that runs it before the test ends",
    "suspended-frame": "close() the generator, or await the task",
    "traceback": "del {0}",
}
_CLEARABLE = frozenset({"dict", "list", "set", "bytearray", "collections.deque"})


class Verdict(NamedTuple):
    """What is said of one test: ``failure`` is empty where it passed."""

    failure: str
    properties: list[tuple[str, object]]


def judge(measured: Measurement, limits: Limits, *, unmeasured_fails: bool) -> Verdict:
    """Return the verdict over a test that passed in all its rounds."""
    if measured.trouble or measured.before is None or len(measured.after) < limits.runs:
        return _unmeasured(measured.trouble or "no look was taken", fails=unmeasured_fails)
    parts: list[str] = []
    properties: list[tuple[str, object]] = []
    grown: dict[Key, float] = {}
    if limits.retained is not None:
        grown = measured.retained
        total = sum(grown.values())
        properties.append(("memprobe.retained", int(total)))
        if total > limits.retained:
            parts.append(_retained(measured, grown, total, limits.retained))
    if limits.growth is not None:
        least, by_round = measured.growth()
        grown = {**by_round, **grown}
        properties.append(("memprobe.growth", int(least)))
        if least > limits.growth:
            parts.append(_growth(measured, by_round, least, limits))
    if grown:
        properties.append(("memprobe.holders", _listed(grown)))
    return Verdict("\n\n".join(parts), properties)


def _unmeasured(why: str, *, fails: bool) -> Verdict:
    text = (
        f"memprobe could not measure this test: {why}\n"
        "  help: measure a smaller part, or accept it: pytest-unmeasured = 'pass'"
    )
    return Verdict(text if fails else "", [("memprobe.unmeasured", why)])


def _retained(measured: Measurement, grown: Mapping[Key, float], total: float, limit: int) -> str:
    head = f"the test left {size(total)} behind; the marker allows {size(limit)}"
    return "\n".join([head, *_holders(measured.after[0], grown), _resident(measured, 1)])


def _growth(
    measured: Measurement, by_round: Mapping[Key, float], least: float, limits: Limits
) -> str:
    rounds = counted(limits.rounds, "round")
    head = f"each of {rounds} added at least {size(least)}; the marker allows {size(limits.growth)}"
    shown = _holders(measured.after[-1], by_round)
    return "\n".join([head, *shown, _resident(measured, len(measured.after))])


def _resident(measured: Measurement, rounds: int) -> str:
    """Say what the process as a whole did: no judgement, allocators keep what they like."""
    first, last = measured.rss[0], measured.rss[-1 if rounds > 1 else 1]
    if first is None or last is None:
        return "  process   resident memory is not readable here"
    sign = "+" if last >= first else "−"
    return f"  process   {sign}{size(abs(last - first))} resident over {counted(rounds, 'run')}"


def _holders(look: Held, grown: Mapping[Key, float]) -> Iterator[str]:
    ordered = sorted(grown, key=lambda key: -grown[key])
    for key in ordered[:MOST_HOLDERS]:
        yield from _one(look, key, grown[key])
    if len(ordered) > MOST_HOLDERS:
        rest = sum(grown[key] for key in ordered[MOST_HOLDERS:])
        more = counted(len(ordered) - MOST_HOLDERS, "more holder")
        yield f"  and {more} with {size(rest)}"


def _one(look: Held, key: Key, grown: float) -> Iterator[str]:
    share = look.shares.get(key)
    path = share.path if share is not None and share.path and share.path[0] else ()
    first = path[0] if path else min(key, key=len)
    holder = look.holders.get(first)
    kind = f"{holder.kind}, {holder.type}" if holder is not None else ""
    yield f"  {first}   +{size(grown)}   {kind}".rstrip()
    others = sorted(key - {first}, key=len)
    if others:
        more = f" and {len(others) - MOST_NAMES} more" if len(others) > MOST_NAMES else ""
        yield f"    also held by  {', '.join(others[:MOST_NAMES])}{more}"
    if path and share is not None:
        yield f"    path  {_joined(path)} → {share.top}"
    if holder is not None:
        yield f"    fix   {_fix(first, holder.kind, holder.type)}"


def _joined(path: tuple[str, ...]) -> str:
    """Return a path as an expression: ``app.CACHE[key].rows``, other edges after an arrow."""
    text = path[0]
    for edge in path[1:]:
        if edge == "·":  # a reference inside an object that has no name
            continue
        text += edge if edge.startswith((".", "[")) else f" → {edge}"
    return text


def _fix(expr: str, kind: str, type_name: str) -> str:
    if type_name == "functools._lru_cache_wrapper":
        kind = "lru-cache"
    if kind in _FIXES:
        name = expr.removeprefix("plt.figure(").removesuffix(")") if kind == "figure" else expr
        return _FIXES[kind].format(name)
    if type_name in _CLEARABLE:
        return f"{expr}.clear() when the test ends, or where the program is done with it"
    return f"del {expr}, or set it back when the test ends"


def _listed(grown: Mapping[Key, float]) -> str:
    ordered = sorted(grown, key=lambda key: -grown[key])
    return "; ".join(f"{min(key, key=len)} {int(grown[key])}" for key in ordered[:MOST_HOLDERS])
