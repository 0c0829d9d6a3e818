"""An ETL as notebook and as script on Spark, and what is said of notebooks, tried one by one.

    python benchmarks/seed.py [--only etl|claims] [--rounds N] [--sizes small,medium] [--again]
                              [-o reports/notebook-vs-script.md]

What was measured is kept below ``benchmarks/.cache/seed`` and measured again only where it is not
there, or with ``--again``: a run that was cut off goes on where it was. The contrast of the largest
ETL is written as a page beside the report, ``reports/notebook-vs-script.html``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from environments import CACHE
from seeds import etl
from seeds.claims import CLAIMS
from seeds.contrasted import contrasted
from seeds.page import page
from seeds.runtime import Runtime, run_program, runtime

KEPT = CACHE / "seed"


def main() -> int:
    """Measure what is missing, write the page."""
    options = _options()
    KEPT.mkdir(parents=True, exist_ok=True)
    wanted = [] if options.only == "claims" else options.sizes.split(",")
    claims = [] if options.only == "etl" else list(CLAIMS)
    wanted = [one for one in wanted if options.again or not _path("etl", one).exists()]
    claims = [one for one in claims if options.again or not _path("claims", one).exists()]
    if wanted or claims:
        page_at = options.output.with_suffix(".html")
        _measure(runtime(KEPT), wanted, claims, options.rounds, page_at)
    found = {size: _kept("etl", size) for size in etl.SIZES}
    text = page(found, {name: _kept("claims", name) for name in CLAIMS})
    options.output.write_text(text, encoding="utf-8")
    print(text)
    return 0


def _measure(
    found: Runtime, sizes: list[str], claims: list[str], rounds: int, page_at: Path
) -> None:
    for size in sizes:
        _keep("etl", size, lambda size=size: _etl(found, size, rounds, page_at))  # type: ignore[misc]
    for name in claims:
        _keep("claims", name, lambda name=name: CLAIMS[name](found.python, KEPT / "work"))  # type: ignore[misc]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("etl", "claims"), help="measure only this part")
    parser.add_argument("--rounds", type=int, default=3, help="of the ETL (default: 3)")
    parser.add_argument("--sizes", default=",".join(etl.SIZES), help="of the ETL (default: all)")
    parser.add_argument("--again", action="store_true", help="measure even what is kept")
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/notebook-vs-script.md"))
    return parser.parse_args()


def _etl(with_spark: Runtime, size: str, rounds: int, page_at: Path) -> dict[str, Any]:
    """Return the contrast of the ETL at one size, on tables that are made first."""
    tables = KEPT / f"{with_spark.form}-{size}"
    made = tables / "made"
    if not made.exists():
        rows = etl.SIZES[size]
        run_program(with_spark, etl.maker(with_spark.settings, with_spark.form, tables, rows))
        made.touch()
    cells = etl.cells(with_spark.settings, with_spark.form, tables)
    found = contrasted(with_spark.python, KEPT / "work", f"etl-{size}", cells, rounds, page=page_at)
    return {"rows": etl.SIZES[size], "said": with_spark.said, "report": found}


def _keep(part: str, name: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Measure one thing and keep it; a failure is told and tried next time."""
    print(f"{part}: {name}", file=sys.stderr, flush=True)
    before = machine.load()
    try:
        found = measure()
    except Exception as trouble:
        told = " ".join(str(trouble).split())[:400]
        print(f"  {type(trouble).__name__}: {told}", file=sys.stderr, flush=True)
        return
    path = _path(part, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"machine": machine.sentence([]), "loads": [before, machine.load()], "found": found}
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _path(part: str, name: str) -> Path:
    return KEPT / part / f"{name}.json"


def _kept(part: str, name: str) -> dict[str, Any] | None:
    path = _path(part, name)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
