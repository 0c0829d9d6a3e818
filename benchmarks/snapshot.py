"""What a heap snapshot costs the program, and what it tells: memprobe's and other tools'.

    python benchmarks/snapshot.py [--quick] [--heap NAME] [--tool NAME] [--times N]
                                  [--again] [--kept] [-o reports/snapshot.md]

Every tool looks at the same heaps, each in a process of its own. What was measured is kept below
``benchmarks/.cache`` and measured again only where it is not there, or with ``--again``: a run
that was cut off goes on where it was, and ``--kept`` makes the page of what there is: it says what
was not measured. ``--quick``: a heap of a million objects only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from environments import CACHE, Unavailable, python_of
from snapshots.drive import Told, measured
from snapshots.page import page
from snapshots.tools import TOOLS

HEAPS = ("slots-1m", "slots-6m", "slots-20m", "dicts-6m", "strings-5m", "notebook")
QUICK = ("slots-1m",)
KEPT = CACHE / "snapshot"


def main() -> int:
    """Measure what is missing, write the page."""
    options = _options()
    heaps = (options.heap,) if options.heap else QUICK if options.quick else HEAPS
    tools = (options.tool,) if options.tool else tuple(TOOLS)
    try:
        python = python_of("snapshot")
    except Unavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    for heap in heaps:
        for tool in () if options.kept else tools:
            if options.again or not _file(heap, tool).exists():
                _keep(heap, tool, _measured(python, heap, tool, options.times))
    found = {(heap, tool): _kept(heap, tool) for heap in heaps for tool in TOOLS}
    text = page(found, list(heaps))
    if options.heap or options.tool or options.quick:
        print(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a million objects only; print")
    parser.add_argument("--heap", choices=HEAPS, help="only this one, and print")
    parser.add_argument("--tool", choices=tuple(TOOLS), help="measure only this one, and print")
    parser.add_argument("--times", type=int, default=5, help="takes of each kind (default: 5)")
    parser.add_argument("--again", action="store_true", help="measure even what is kept")
    parser.add_argument("--kept", action="store_true", help="measure nothing: what is kept")
    parser.add_argument("-o", "--output", default="reports/snapshot.md")
    return parser.parse_args()


def _measured(python: Path, heap: str, tool: str, times: int) -> Told:
    print(f"{heap}: {tool}", file=sys.stderr, flush=True)
    told = measured(python, heap, tool, times)
    if told.trouble:
        print(f"  {told.trouble}", file=sys.stderr, flush=True)
    return told


def _file(heap: str, tool: str) -> Path:
    return KEPT / heap / f"{tool.replace(' ', '-')}.json"


def _keep(heap: str, tool: str, told: Told) -> None:
    path = _file(heap, tool)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lines": told.lines, "trouble": told.trouble}), encoding="utf-8")


def _kept(heap: str, tool: str) -> Told:
    path = _file(heap, tool)
    if not path.exists():
        return Told(trouble="not measured")
    return Told(**json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
