"""Thousands of snapshots of one kernel that is hard at work: does anything break, leak or hang?

    python benchmarks/soak.py [--minutes N] [--snapshots N] [--no-spark] [--again]
                              [--control MINUTES] [-o reports/soak.md]

Every piece of the soak is one kernel with Spark jobs, BLAS, Arrow, gRPC and threads that ask for
memory, attached to, asked for snapshots one after the other, left and attached to again, and left
for good. What a piece found is kept below ``benchmarks/.cache``: a soak that was cut short goes on
with another piece, and the page tells of all of them. ``--again`` forgets the earlier ones.
``--control`` lets the work go on with nobody attached, to tell whose growth of memory it is.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from environments import CACHE, Unavailable, python_of
from machine import commit
from soaking.page import page
from soaking.piece import control, soak

KEPT = CACHE / "soak" / "pieces.jsonl"
GOAL = 2000  # snapshots, of all pieces together


def main() -> int:
    """Add a piece, write the page."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the kernel is ended all the same
    if options.again:
        KEPT.unlink(missing_ok=True)
    try:
        python = python_of("soak")
    except Unavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    wanted = options.snapshots - sum(piece.get("snapshots", 0) for piece in _pieces())
    if options.control or wanted > 0:
        with tempfile.TemporaryDirectory(prefix="memprobe-soak-") as folder:
            found = _piece(python, Path(folder), options, wanted)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with KEPT.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**found, "commit": commit()}) + "\n")
    text, well = page(_pieces())
    Path(options.output).write_text(text, encoding="utf-8")
    print(f"wrote {options.output}", file=sys.stderr)
    return 0 if well else 1


def _piece(python: Path, folder: Path, options: argparse.Namespace, wanted: int) -> dict[str, Any]:
    spark = not options.no_spark
    if options.control:
        return control(python, folder, minutes=options.control, spark=spark)
    return soak(python, folder, minutes=options.minutes, snapshots=wanted, spark=spark)


def _pieces() -> list[dict[str, Any]]:
    if not KEPT.exists():
        return []
    return [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20, help="of this piece (default: 20)")
    parser.add_argument("--snapshots", type=int, default=GOAL, help=f"in all (default: {GOAL})")
    parser.add_argument(
        "--control", type=float, metavar="MINUTES", help="the work alone instead: does it grow?"
    )
    parser.add_argument("--no-spark", action="store_true", help="without Spark jobs")
    parser.add_argument("--again", action="store_true", help="forget the pieces of before")
    parser.add_argument("-o", "--output", default="reports/soak.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
