"""Run the contrast of every pair in ``expected.toml`` and tell what is not as expected.

    python scenarios/contrast/judge.py [NAME…]

Prints a line per program and exits with 1 where one is not as expected.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parent
TOLERANCE = 0.03
PATIENCE = 300  # seconds


def command(folder: Path, variant: str) -> list[str]:
    """Return the contrast of a notebook alone, or of one notebook with either script."""
    script = folder / f"{variant}.py"
    targets = (
        [folder / "notebook.ipynb", script] if script.exists() else [folder / f"{variant}.ipynb"]
    )
    return [
        sys.executable,
        "-m",
        "memprobe",
        "contrast",
        "--output-format",
        "json",
        *map(str, targets),
    ]


def codes(findings: list[dict[str, Any]]) -> set[str]:
    return {code for one in findings for code in (one["code"], *one["also"])}


def near(value: float, expected: float) -> bool:
    return abs(value - expected) <= TOLERANCE * expected


def wrong(expected: dict[str, Any], status: int, report: dict[str, Any]) -> list[str]:
    """Return what is not as expected, one sentence each."""
    contrast, optional = report["contrast"], set(expected.get("optional", []))
    found = {
        "notebook": codes(report["findings"]) - optional,
        "script": codes(contrast["script"]["findings"]) - optional,
    }
    told = []
    for side, seen in found.items():
        wanted = set(expected.get(side, [])) - optional
        if seen != wanted:
            told.append(f"{side}: {sorted(seen)} and not {sorted(wanted)}")
    if status != expected.get("status", 0):
        told.append(f"status {status}")
    for key, value in (
        ("holds", contrast["verdict"]["bytes"]),
        ("per_round", contrast["verdict"]["per_round"]),
    ):
        if key in expected and not near(value, expected[key]):
            told.append(f"{key}: {value:,} and not {expected[key]:,}")
    return told


def main(names: list[str]) -> int:
    table = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))
    failed = 0
    for name, variants in table.items():
        for variant, expected in variants.items():
            if names and name not in names:
                continue
            done = subprocess.run(
                command(FOLDER / name, variant), capture_output=True, text=True, timeout=PATIENCE
            )
            told = (
                wrong(expected, done.returncode, json.loads(done.stdout))
                if done.stdout
                else [done.stderr]
            )
            failed += bool(told)
            print(f"{name}/{variant}: {'; '.join(told) or 'as expected'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
