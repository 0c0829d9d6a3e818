"""What memprobe does on Spark: what its fixes give back, what it costs a job, and how it scales.

    python benchmarks/spark.py [--only fixes|costs|scale] [--pairs N] [--again]
                               [-o reports/spark.md]

What was measured is kept below ``benchmarks/.cache/spark`` and measured again only where it is not
there, or with ``--again``: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environments import CACHE
from overhead_results import digest
from sparks import costs, fixes, scale
from sparks.page import page

KEPT = CACHE / "spark"
SOURCES = [Path(__file__).resolve().parents[1] / name for name in ("src", "probes")]
PARTS = ("fixes", "costs", "scale")


def main() -> int:
    """Measure what is missing, write the page."""
    options = _options()
    if fixes.spark.missing():
        print("error: Spark needs Java, and there is none", file=sys.stderr)
        return 2
    parts = (options.only,) if options.only else PARTS
    if "fixes" in parts:
        for name, scenario in fixes.leaky().items():
            _keep("fixes", name, options.again, lambda one=scenario: fixes.measured(one))
    if "scale" in parts:
        _keep("scale", digest(*SOURCES), options.again, scale.measured)
    if "costs" in parts:
        for number in range(options.pairs):
            # Each under the sources that it was measured with: pairs of two versions do not mix.
            name = f"{digest(*SOURCES)}-{number:03}"
            _keep("costs", name, options.again, lambda: costs.pair(fixes.spark.LOCAL))
    text = page(_kept("fixes"), _pairs(), _newest("scale"))
    options.output.write_text(text, encoding="utf-8")
    print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, help="measure only this part")
    parser.add_argument("--pairs", type=int, default=20, help="of the job (default: 20)")
    parser.add_argument("--again", action="store_true", help="measure even what is kept")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/spark.md"))
    return parser.parse_args()


def _keep(part: str, name: str, again: bool, measure: Callable[[], dict[str, Any]]) -> None:
    """Measure one thing unless it is kept, and keep it; a failure is told and tried next time."""
    path = KEPT / part / f"{name}.json"
    if path.exists() and not again:
        return
    print(f"{part}: {name}", file=sys.stderr, flush=True)
    try:
        found = measure()
    except Exception as trouble:
        print(f"  {type(trouble).__name__}: {trouble}", file=sys.stderr, flush=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _kept(part: str) -> dict[str, dict[str, Any]]:
    paths = sorted((KEPT / part).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def _pairs() -> list[dict[str, Any]]:
    """Return the pairs of the sources that were measured last."""
    paths = list((KEPT / "costs").glob("*.json"))
    if not paths:
        return []
    last = max(paths, key=lambda path: path.stat().st_mtime).stem.partition("-")[0]
    return [pair for name, pair in _kept("costs").items() if name.startswith(last)]


def _newest(part: str) -> dict[str, Any] | None:
    paths = list((KEPT / part).glob("*.json"))
    if not paths:
        return None
    last = max(paths, key=lambda path: path.stat().st_mtime)
    found: dict[str, Any] = json.loads(last.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
