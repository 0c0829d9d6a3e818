"""What ``memprobe release`` predicts and what comes back, case by case.

    python benchmarks/reclaim.py [--only TEXT] [--times N] [--again] [-o reports/reclaim.md]

Each run is a fresh kernel. What was measured is kept below ``benchmarks/.cache`` and measured again
only where it is not there, or with ``--again``: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from environments import CACHE
from reclaims.cases import CASES, Case
from reclaims.drive import Failed, once
from reclaims.page import error, page

KEPT = CACHE / "reclaim"
ATTEMPTS = 2  # of one run: a machine that is busy may be late once


def main() -> int:
    """Measure what is missing, write the page."""
    options = _options()
    chosen = [case for case in CASES if not options.only or options.only in case.name]
    absent = {case.name: f"{case.missing()} is not installed here" for case in chosen
              if case.missing()}  # fmt: skip
    for wanted in range(1, options.times + 1):  # in rounds: what is cut off has all cases
        for case in chosen:
            if case.name not in absent:
                why = _run(case, wanted, options)
                if why:
                    absent[case.name] = why
    runs = {case.name: _kept(case) for case in chosen if _kept(case)}
    text = page(runs, absent)
    if options.only:
        print(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="cases whose name holds this text, and print")
    parser.add_argument("--times", type=int, default=5, help="runs of each case (default: 5)")
    parser.add_argument("--again", action="store_true", help="measure even what is kept")
    parser.add_argument("-o", "--output", default="reports/reclaim.md")
    return parser.parse_args()


def _run(case: Case, wanted: int, options: argparse.Namespace) -> str:
    """Have at least ``wanted`` runs of a case; return why that is not possible, or nothing."""
    runs = [] if options.again and wanted == 1 else _kept(case)
    if len(runs) >= wanted:
        return ""
    for attempt in range(ATTEMPTS):
        try:
            runs.append(once(case))
        except Failed as reason:
            print(f"{case.name}: {reason}", file=sys.stderr, flush=True)
            if attempt == ATTEMPTS - 1:
                return str(reason)
            continue
        break
    _keep(case, runs)
    told = f"{error(runs[-1]):+.2%}" if "back" in runs[-1] else "refused"
    print(f"{case.name}: {told}", file=sys.stderr, flush=True)
    return ""


def _file(case: Case) -> Path:
    return KEPT / f"{case.name.replace(' ', '-').replace(',', '')}.json"


def _keep(case: Case, runs: list[dict[str, Any]]) -> None:
    _file(case).parent.mkdir(parents=True, exist_ok=True)
    _file(case).write_text(json.dumps(runs), encoding="utf-8")


def _kept(case: Case) -> list[dict[str, Any]]:
    if not _file(case).exists():
        return []
    kept: list[dict[str, Any]] = json.loads(_file(case).read_text(encoding="utf-8"))
    return kept


if __name__ == "__main__":
    sys.exit(main())
