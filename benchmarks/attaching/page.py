"""The page about attaching: a table of what was done to what, and what went wrong."""

from __future__ import annotations

from typing import Any

import machine

GOAL = 20_000
Piece = dict[str, Any]
COUNTED = ("deaths", "hangs", "lost", "duplicated", "wrong")

INTRODUCTION = """# Attaching to running processes

`make soak-attach` starts a process of each kind in each interpreter, has it run requests by a
pending call that are only acknowledged (a thread writes their number into a FIFO), and attaches and
detaches the whole probe. Each program checks its own steps and prints a digest of all of them; its
output is compared bit for bit with what it always is. *Lost*: taken and not acknowledged. *Queued*:
not taken within 30 s, and withdrawn. Where nothing went wrong in n, the true rate is below 3/n
(95 %).
"""


LATENCIES = """# How long attaching takes

Each request is sent alone, to a process that nothing else is attached to; made by
`python benchmarks/attach.py --latency`. What happens to processes that are attached to thousands of
times is in [attach.md](attach.md). Goals, for a quiet machine: an answer within 100 ms (p50) and
1 s (p99), a first line within 600 ms.
"""


def latencies(pieces: list[Piece]) -> str:
    """Return the page of what ``--latency`` has measured."""
    told = [one for one in pieces if "latency" in one]
    parts = [LATENCIES, machine.sentence([one["load"] for one in told if "load" in one]),
             _latency(told, [])]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def page(pieces: list[Piece]) -> tuple[str, bool]:
    """Return the page, and whether nothing has gone wrong."""
    soaked = [one for one in pieces if "requests" in one]
    total = sum(one["requests"] + one.get("attaches", 0) for one in soaked)
    bad = {name: sum(one.get(name, 0) for one in soaked) for name in COUNTED}
    failed = sum(one.get("failed", 0) for one in soaked)
    parts = [
        INTRODUCTION, _measured(pieces, soaked), _sum(total, bad, soaked, failed), _table(soaked),
        _stops(soaked), _peers([one for one in pieces if "peer" in one]),
        _latency([one for one in pieces if "latency" in one], soaked), _troubles(soaked),
        _notes([one["note"] for one in pieces if "note" in one]),
    ]  # fmt: skip
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    return text, not any(bad.values()) and not failed


def _measured(pieces: list[Piece], soaked: list[Piece]) -> str:
    loads = [one["load"] for one in pieces if "load" in one]
    return f"{machine.sentence(loads)} {len(soaked):,} processes."


def _sum(total: int, bad: dict[str, int], soaked: list[Piece], failed: int) -> str:
    whole = sum(one.get("attaches", 0) for one in soaked)
    queued = sum(one["queued"] for one in soaked)
    said = ", ".join(f"{number:,} {_called(name)}" for name, number in bad.items())
    bound = f" (each below {_bound(total)})" if total and not any(bad.values()) else ""
    goal = "" if total >= GOAL else f" The goal is {GOAL:,}: run it again, it goes on."
    return (
        f"**{total:,} injections in all, {whole:,} of them whole attaches: {said}**{bound}. "
        f"{queued:,} were queued and withdrawn; {failed:,} whole attaches failed.{goal}"
    )


def _called(name: str) -> str:
    return {"wrong": "wrong outputs"}.get(name, name)


def _bound(n: int) -> str:
    return f"3/{n:,} = {3 / n:.2g}" if n else "–"


def _table(soaked: list[Piece]) -> str:
    rows = ["| kind | Python | n | whole attaches | deaths | hangs | lost | duplicated | wrong "
            "output | queued | bound 3/n | stood still (median, most) |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    keys = {(one["kind"], one["interpreter"]): None for one in soaked}
    for kind, name in sorted(keys, key=lambda key: (key[0].startswith("live"), key)):
        same = [one for one in soaked if (one["kind"], one["interpreter"]) == (kind, name)]
        n = sum(one["requests"] + one.get("attaches", 0) for one in same)
        counts = [sum(one.get(what, 0) for one in same) for what in (*COUNTED, "queued")]
        whole = sum(one.get("attaches", 0) for one in same)
        bound = _bound(n).partition(" = ")[2] if n and not any(counts[:5]) else "–"
        stopped = sorted(s for one in same for s in one.get("stopped", []))
        still = f"{_at(stopped, 0.5) * 1e3:.2f} ms, {stopped[-1] * 1e3:.0f} ms" if stopped else "–"
        kills = sum(one.get("kills", 0) for one in same)
        kind = f"{kind} ({kills:,} times)" if kills else kind
        cells = [kind, name, f"{n:,}", whole, *counts, bound, still]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "## What was done to what\n\n" + "\n".join(rows)


def _stops(soaked: list[Piece]) -> str:
    """Tell how long targets stood still, by how busy the machine was."""
    rows = ["| load average | stops | median | 99 % | longest |", "|---|--:|--:|--:|--:|"]
    for low, high in ((0, 6), (6, 12), (12, 20), (20, 1000)):
        times = sorted(s for one in soaked if low <= one["load"] < high
                       for s in one.get("stopped", []))  # fmt: skip
        if times:
            told = [f"{s * 1e3:,.2f} ms" for s in (_at(times, 0.5), _at(times, 0.99), times[-1])]
            name = f"{low} to {high}" if high < 1000 else f"over {low}"
            rows.append(f"| {name} | {len(times):,} | " + " | ".join(told) + " |")
    said = "How long a target stood still; where memprobe has to wait for a processor, so does it:"
    return said + "\n\n" + "\n".join(rows)


def _peers(peers: list[Piece]) -> str:
    if not peers:
        return ""
    rows = ["| tool | version | rounds | worked | targets that died | that hung | last trouble |",
            "|---|---|--:|--:|--:|--:|---|"]  # fmt: skip
    for one in peers:
        if "unavailable" in one:
            rows.append(f"| {one['peer']} | – | – | – | – | – | {one['unavailable']} |")
            continue
        trouble = (one["trouble"] or [""])[-1].replace("|", "/")
        rows.append(f"| {one['peer']} | {one['version']} | {one['rounds']} | {one['worked']} | "
                    f"{one['deaths']} | {one['hangs']} | {trouble} |")  # fmt: skip
    said = (
        "## Other tools\n\nThe malloc-heavy program with threads, entered as each tool's "
        "documentation says, one time after the other; a target that died is started again."
    )
    return said + "\n\n" + "\n".join(rows)


def _latency(rows: list[Piece], soaked: list[Piece]) -> str:
    lines = ["| from request to | n | p50 | p99 |", "|---|--:|--:|--:|"]
    names = dict.fromkeys(one["latency"] for one in rows)
    for name in names:
        times = sorted(s for one in rows if one["latency"] == name for s in one["attach_seconds"])
        lines.append(_row(f"the probe's answer: {name}", times))
    for name in names:
        times = sorted(s for one in rows if one["latency"] == name
                       for s in one.get("first_line", []))  # fmt: skip
        if times:
            lines.append(_row(f"first line of `memprobe attach`: {name}", times))
    for name in sorted({one["interpreter"] for one in soaked if one.get("seconds")}):
        times = sorted(s for one in soaked if one["interpreter"] == name
                       for s in one.get("seconds", []))  # fmt: skip
        lines.append(_row(f"acknowledgement of a pending call: all kinds, {name}", times))
    return "## How long it takes\n\n" + "\n".join(lines)


def _row(what: str, times: list[float]) -> str:
    if not times:
        return f"| {what} | 0 | – | – |"
    p50, p99 = (f"{_at(times, share) * 1e3:,.0f} ms" for share in (0.5, 0.99))
    return f"| {what} | {len(times):,} | {p50} | {p99} |"


def _at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


def _troubles(soaked: list[Piece]) -> str:
    lines = [f"- {one['kind']}, {one['interpreter']}: {line.splitlines()[-1]}"
             for one in soaked for line in one.get("trouble", [])]  # fmt: skip
    if not lines:
        return ""
    more = [f"- … and {len(lines) - 30} more"] if len(lines) > 30 else []
    return "## What was said\n\n" + "\n".join([*lines[:30], *more])


def _notes(notes: list[str]) -> str:
    """Tell what somebody wrote into the file of pieces: why some were taken out."""
    return "## Notes\n\n" + "\n".join(f"- {one}" for one in notes) if notes else ""
