"""Attach to processes of every kind, thousands of times: does any of them die, hang or go wrong?

    python benchmarks/attach.py [--minutes N] [--seconds S] [--kind K] [--interpreter V]
                                [--kills] [--peers] [--live] [--latency] [--again]
                                [-o FILE]

A piece is one process of one kind in one interpreter: requests that are only acknowledged, then
whole attaches, then a look whether its output is bit for bit what it always is. The cells with the
fewest requests come first. What the pieces found is kept below ``benchmarks/.cache``: a soak that
was cut short goes on, and the page tells of all pieces. ``--again`` forgets the earlier ones.
``--latency`` has a page of its own, ``reports/attach-latency.md``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from attaching import cells
from environments import CACHE

KEPT = CACHE / "attach" / "pieces.jsonl"
REPORT = "reports/attach.md"


def main() -> int:
    """Add pieces until the time is up, write the page."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # targets are ended all the same
    if options.again:
        KEPT.unlink(missing_ok=True)
    until = time.monotonic() + options.minutes * 60
    if options.peers:
        from attaching import peers

        _each(peers.pieces(options.rounds), until)
    elif options.kills:
        from attaching import killed

        pythons = cells.interpreters().items()
        _each((killed.piece(name, python, kind, options.seconds)
               for kind in killed.KINDS for name, python in pythons), until)  # fmt: skip
    elif options.live or options.latency:
        from attaching import live

        _each((live.pieces if options.live else live.latencies)(options.rounds), until)
    else:
        _soak(options, until)
    from attaching.page import latencies, page

    text, well = (latencies(_pieces()), True) if options.latency else page(_pieces())
    output = Path(options.output or ("reports/attach-latency.md" if options.latency else REPORT))
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}", file=sys.stderr)
    return 0 if well else 1


def _soak(options: argparse.Namespace, until: float) -> None:
    pythons = cells.interpreters()
    pythons = {
        n: p for n, p in pythons.items() if not options.interpreter or options.interpreter in n
    }
    kinds = [one for one in cells.all_kinds() if not options.kind or options.kind in one]
    counts = {(name, kind): 0 for name in pythons for kind in kinds}
    for found in _pieces():
        key = (found.get("interpreter"), found.get("kind"))
        if key in counts:
            counts[key] += found.get("requests", 0)
    while time.monotonic() < until:
        name, kind = min(counts, key=lambda key: counts[key])
        found = cells.piece(name, pythons[name], kind, options.seconds)
        counts[name, kind] += max(1, found["requests"])
        _keep(found)


def _each(pieces: Any, until: float) -> None:
    for found in pieces:
        _keep(found)
        if time.monotonic() > until:
            return


def _keep(found: dict[str, Any]) -> None:
    found["when"] = time.time()
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    said = f"{found.get('interpreter', '')} {found.get('kind', '')}: {found.get('requests', 0)}"
    print(said, *found.get("trouble", [])[:2], file=sys.stderr, flush=True)


def _pieces() -> list[dict[str, Any]]:
    if not KEPT.exists():
        return []
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15, help="in all (default: 15)")
    parser.add_argument("--seconds", type=float, default=15, help="of a piece (default: 15)")
    parser.add_argument("--kind", default="", help="only kinds whose name has this in it")
    parser.add_argument("--interpreter", default="", help="only versions with this in them")
    parser.add_argument("--kills", action="store_true", help="kill memprobe meanwhile instead")
    parser.add_argument("--peers", action="store_true", help="other tools instead")
    parser.add_argument("--live", action="store_true", help="a kernel and a Spark driver instead")
    parser.add_argument("--latency", action="store_true", help="request to answer instead")
    parser.add_argument("--rounds", type=int, default=100, help="of these (default: 100)")
    parser.add_argument("--again", action="store_true", help="forget the pieces of before")
    parser.add_argument("-o", "--output", help=f"default: {REPORT}, or that of --latency")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
