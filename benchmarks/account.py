"""How much of a process's memory the account can name, over real loads; and what it costs.

    python benchmarks/account.py [--load NAME] [--again] [-o reports/account.md]

Each load runs in a process of its own (``accounts/hold.py``). Three cross-checks could fail: live
bytes read from pools against Python's own count, bytes of arrays against what is resident, Arrow's
live bytes against its own counter. What was measured is kept below ``benchmarks/.cache`` and
measured again only where it is not there, or with ``--again``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
from accounts.hold import LOADS
from environments import CACHE
from memprobe.analysis.account import explained, owned
from memprobe.recording.schema import ProcessMemory

HOLD = Path(__file__).parent / "accounts" / "hold.py"
LONGEST = 1200  # seconds, for one load on a busy machine
# The least owned and explained, in per cent.
GOALS = {
    **dict.fromkeys(("numeric", "strings", "arrow", "parquet", "polars", "spark"), 95.0),
    **dict.fromkeys(("sklearn", "figures"), 60.0),
}
EXPLAINED, JVM_EXPLAINED = 99.5, 96.0
MIB = 2**20


def main() -> int:
    """Measure the loads, print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--load", choices=tuple(LOADS), help="only this one, and print")
    parser.add_argument("-o", "--output", default="reports/account.md")
    parser.add_argument("--again", action="store_true", help="measure even what is kept")
    options = parser.parse_args()
    told = {}
    for name in (options.load,) if options.load else LOADS:
        print(name, file=sys.stderr)
        told[name] = kept(name, again=options.again)
    text = page(told, [one["busy"] for one in told.values()])
    if options.load:
        print(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    return 0


def kept(name: str, *, again: bool) -> dict[str, Any]:
    """Return what a load told, now or the last time; what was unavailable is tried again."""
    file = CACHE / "account" / f"{name}.json"
    if file.exists() and not again:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    found = {**measured(name), "busy": machine.load()}
    if "UNAVAILABLE" not in found:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return found


def measured(name: str) -> dict[str, Any]:
    """Return what a load told, or ``UNAVAILABLE`` with the reason."""
    done = subprocess.run(
        [sys.executable, str(HOLD), name], capture_output=True, text=True, timeout=LONGEST,
        check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no reason was told"])[-1]
        return {"UNAVAILABLE": f"it ended with {done.returncode}: {last}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def page(told: dict[str, dict[str, Any]], busy: list[float]) -> str:
    """Return the report in Markdown."""
    parts = [
        "# The memory account, measured",
        "",
        f"`make benchmark-account`. {machine.sentence(busy)}",
        "",
        "Each load is built in a fresh process, which takes the account of itself as with a",
        "snapshot. Goals: owned at least 95 % where data is numpy's, Arrow's, polars' or Python's,",
        "60 % where it is a C++ library's; explained at least 99.5 %, of a JVM without flags 96 %.",
        "How long it took is working and waiting, on a machine as busy as told above.",
        "",
        "| load | RSS MiB | owned % | explained % | goal | account took | largest buckets, MiB |",
        "|---|--:|--:|--:|---|--:|---|",
        *(row for name, found in told.items() for row in rows(name, found)),
        "",
        "## Cross-checks",
        "",
        "Each compares the account with another source; they could fail. Arrow tells only how much",
        "of its pool is in use: what is checked is that the pool was found, and is resident.",
        "",
        "| load | check | account | other source | difference |",
        "|---|---|--:|--:|--:|",
        *(row for name, found in told.items() for row in checks(name, found)),
    ]
    missing = [row for name, found in told.items() for row in unmeasured(name, found)]
    return "\n".join([*parts, *(["", "## Not measured", "", *missing] if missing else [])]) + "\n"


def rows(name: str, found: dict[str, Any]) -> list[str]:
    """Return the rows of one load: its own process, and its JVM."""
    if "UNAVAILABLE" in found:
        return [f"| {name} | – | – | – | – | – | {found['UNAVAILABLE']} |"]
    least = GOALS.get(name)
    own = row(name, found["own"], least, EXPLAINED, found["took"])
    jvms = [one for one in found["others"] if one["role"] == "driver-jvm"]
    return [own, *(row(f"{name}, its JVM", one, None, JVM_EXPLAINED, found["others_took"])
                   for one in jvms)]  # fmt: skip


def row(name: str, told: dict[str, Any], least: float | None, named: float, took: float) -> str:
    """Return one row of the table."""
    process = ProcessMemory(**told)
    shares = [(share or 0) * 100 for share in (owned(process), explained(process))]
    good = shares[1] >= named and (least is None or shares[0] >= least)
    largest = sorted(process.buckets.items(), key=lambda one: -one[1])[:5]
    amounts = ", ".join(f"{bucket} {nbytes / MIB:.0f}" for bucket, nbytes in largest)
    return (
        f"| {name} | {(process.rss or 0) / MIB:.0f} | {shares[0]:.2f} | {shares[1]:.3f} "
        f"| {'met' if good else '**missed**'} | {took * 1000:.0f} ms | {amounts} |"
    )


def checks(name: str, found: dict[str, Any]) -> list[str]:
    """Return the comparisons that a load allows."""
    if "UNAVAILABLE" in found:
        return []
    buckets = found["own"]["buckets"]
    told = [
        ("bytes in use of pools / `_debugmallocstats`", *found["pool_bytes"]),
        ("sum of the buckets / `smaps_rollup` just after", sum(buckets.values()), found["rollup"]),
    ]
    if found["arrays"] is not None:
        told.append(("array-buffers / `nbytes` of the blocks", buckets["array-buffers"],
                     found["arrays"]))  # fmt: skip
    if found["arrow"]:
        live = buckets.get("arrow-live", 0)
        told.append(("arrow-live / `total_allocated_bytes`", live, found["arrow"]))
    return [
        f"| {name} | {what} | {one:,} | {other:,} | {(one - other) / other * 100:+.2f} % |"
        for what, one, other in told
        if other
    ]


def unmeasured(name: str, found: dict[str, Any]) -> list[str]:
    """Return what the accounts said they left out."""
    return [f"- {name}: {row['what']}: {row['why']}" for row in found.get("unmeasured", [])]


if __name__ == "__main__":
    sys.exit(main())
