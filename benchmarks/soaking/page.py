"""The page about a soak: what was done, what went wrong, what stayed as it was."""

from __future__ import annotations

from typing import Any

import machine

MIB = 1 << 20
FLAT = 0.03  # by which the memory of the second half may exceed that of the first
Piece = dict[str, Any]

INTRODUCTION = """# Soak: snapshots of a kernel that is hard at work

`make soak` starts a Jupyter kernel in which every kind of work below goes on at once, attaches to
it, asks for one snapshot after the other, leaves after every hundred and attaches again. Each
snapshot is the native walker's, in a copy of the process. Work checks its own results.
"""


def page(pieces: list[Piece]) -> tuple[str, bool]:
    """Return the page, and whether nothing has gone wrong."""
    controls = [piece for piece in pieces if piece.get("control")]
    pieces = [piece for piece in pieces if not piece.get("control")]
    checks = _checks(pieces)
    rows = ["| | found | wanted |", "|---|--:|--:|"]
    rows += [f"| {what} | {found} | {wanted} |" for what, found, wanted, _ in checks]
    parts = [
        INTRODUCTION, _measured(pieces), "\n".join(rows), _builds(pieces),
        _controlled(pieces, controls), _work(pieces), _cost(pieces),
    ]  # fmt: skip
    parts += _troubles(pieces)
    return "\n\n".join(part.strip() for part in parts if part) + "\n", all(row[3] for row in checks)


def _measured(pieces: list[Piece]) -> str:
    loads = [one for piece in pieces for one in piece["loads"]]
    minutes = sum(piece["minutes"] for piece in pieces)
    return f"{machine.sentence(loads)} {len(pieces)} kernels, {minutes:.0f} minutes in all."


def _checks(pieces: list[Piece]) -> list[tuple[str, str, str, bool]]:
    def total(name: str) -> int:
        return sum(piece[name] for piece in pieces)

    taken, others = total("snapshots"), sum(sum(piece["notes"].values()) for piece in pieces)
    rows = [("snapshots", f"{taken:,}", "2,000", taken >= 2000)]
    rows += [
        _zero("not by the native walker", others),
        _zero("hangs (over 60 s)", total("hung")),
        _zero("kernels that ended", sum(not piece["alive"] for piece in pieces)),
        _zero("crashes told on the kernel's streams", sum(len(piece["said"]) for piece in pieces)),
        _zero("zombies", total("zombies")),
        _zero("processes left", total("children")),
        _zero("files of copies left open", total("left_open")),
        _zero("more descriptors, last quarter against first", max(map(_more_open, pieces))),
        _zero("modules left in the kernel", sum(len(piece["modules"]) for piece in pieces)),
        _zero("wrong results of the work", sum(map(_wrong, pieces))),
        _zero("work that has ended", sum(map(_ended, pieces))),
        _zero("holders of which snapshots said different bytes", sum(map(_unsure, pieces))),
    ]
    newest = [piece for piece in pieces if piece.get("commit") == pieces[-1].get("commit")]
    grown = max(_growth(piece["rss"]) for piece in newest)
    what = "memory, second half against first" + (", newest build" if newest != pieces else "")
    rows.append((what, f"{grown:+.1%}", f"{FLAT:.0%}", grown < FLAT))
    return rows


def _builds(pieces: list[Piece]) -> str:
    """Tell which builds the pieces are of, where there are several."""
    told: dict[str, list[Piece]] = {}
    for piece in pieces:
        told.setdefault(piece.get("commit") or "unknown", []).append(piece)
    if len(told) < 2:
        return ""
    rows = ["| build | snapshots | memory, second half against first |", "|---|--:|--:|"]
    for commit, those in told.items():
        grown = max(_growth(piece["rss"]) for piece in those)
        rows.append(f"| {commit} | {sum(p['snapshots'] for p in those):,} | {grown:+.1%} |")
    return "\n".join(rows)


def _controlled(pieces: list[Piece], controls: list[Piece]) -> str:
    """Tell how much the work's own memory grows, with nobody attached."""
    if not controls:
        return ""
    head = ("memory of the same work", "minutes", "results", "second half against first",
            "MiB per million results")  # fmt: skip
    rows = [f"| {' | '.join(head)} |", "|---|--:|--:|--:|--:|"]
    for who, those in (("with snapshots", pieces), ("with nobody attached", controls)):
        rows += [
            f"| {who} | {one['minutes']:.0f} | {_done(one):,} | {_growth(one['rss']):+.1%} | "
            f"{_per_million(one):+.1f} |"
            for one in those
        ]
    return "\n".join(rows)


def _done(piece: Piece) -> int:
    return sum(row["done"] for name, row in piece["work"].items() if name != "ticker")


def _per_million(piece: Piece) -> float:
    (first, second), done = _halves(piece["rss"]), _done(piece)
    return (second - first) / MIB / (done / 2) * 1e6 if done else 0.0


def _zero(what: str, found: int) -> tuple[str, str, str, bool]:
    return what, f"{found:,}", "0", found == 0


def _median(values: list[Any]) -> Any:
    return sorted(values)[len(values) // 2] if values else 0


def _halves(values: list[int]) -> tuple[int, int]:
    """Return the median of the first half and that of the second."""
    half = len(values) // 2
    return _median(values[:half]), _median(values[half:])


def _growth(values: list[int]) -> float:
    first, second = _halves(values)
    return (second - first) / first if first else 0.0


def _more_open(piece: Piece) -> int:
    quarter = len(piece["descriptors"]) // 4
    if not quarter:
        return 0
    return max(0, min(piece["descriptors"][-quarter:]) - min(piece["descriptors"][:quarter]))


def _wrong(piece: Piece) -> int:
    return sum(row["wrong"] for row in piece["work"].values())


def _ended(piece: Piece) -> int:
    return sum(not row["alive"] for row in piece["work"].values())


def _unsure(piece: Piece) -> int:
    return sum(len(found) != 1 for found in piece["held"].values())


def _work(pieces: list[Piece]) -> str:
    names = sorted({name for piece in pieces for name in piece["work"]} - {"ticker"})
    rows = ["| work | results checked | wrong |", "|---|--:|--:|"]
    for name in names:
        found = [piece["work"][name] for piece in pieces if name in piece["work"]]
        done, wrong = (sum(row[key] for row in found) for key in ("done", "wrong"))
        rows.append(f"| {name} | {done:,} | {wrong} |")
    left_out = sorted({one for piece in pieces for one in piece["left_out"]})
    return "\n".join(rows + [f"\nLeft out: {one}." for one in left_out])


def _cost(pieces: list[Piece]) -> str:
    seconds = [one for piece in pieces for one in piece["seconds"]]
    pauses = [one for piece in pieces for one in piece["pauses"]]
    ticks = max(piece["work"].get("ticker", {}).get("longest", 0.0) for piece in pieces)
    rss = [one for piece in pieces for one in piece["rss"]]
    if not seconds:
        return ""
    objects = max(piece["objects"] for piece in pieces)
    return (
        f"{objects:,} objects, {_median(rss) // MIB:,} MiB resident. A snapshot took "
        f"{_median(seconds):.2f} s (median), at most {max(seconds):.1f} s, on a machine that the "
        f"work keeps busy; of that the probe's thread used {_median(pauses) * 1000:.0f} ms of CPU "
        f"in the kernel, preparation and copy included. A thread that wakes up every millisecond "
        f"was never kept from it for longer than {ticks:.2f} s."
    )


def _troubles(pieces: list[Piece]) -> list[str]:
    lines = [f"- {count} x {why}" for piece in pieces for why, count in piece["notes"].items()]
    lines += [f"- {line}" for piece in pieces for line in piece["said"]]
    for piece in pieces:
        lines += [f"- {name}: {row['trouble'].splitlines()[-1]}"
                  for name, row in piece["work"].items() if row["trouble"]]  # fmt: skip
    return ["What went wrong:\n\n" + "\n".join(lines)] if lines else []
