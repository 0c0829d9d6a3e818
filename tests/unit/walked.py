"""The groups of a walk below a few names, for tests of sizes."""

from __future__ import annotations

import sys
from typing import Any

from memprobe_probes import heap, roots
from memprobe_probes.roots import Root

MB = 1_000_000


def tables(names: dict[str, Any], *, max_pause: float = 20.0) -> dict[str, Any]:
    """Walk from the entries of ``names``, each of which is one reference."""
    found = [Root("module", name, value) for name, value in names.items()]
    stops = roots.stop_ids() | {id(names)}
    return heap.tables(found, stops, int(max_pause * 1e9), heap.NS_PER_OBJECT)


def groups(names: dict[str, Any]) -> dict[frozenset[str], dict[str, Any]]:
    """Return the groups by the expressions of their holders; "?" is the unnamed one."""
    result = tables(names)
    expr = {row["id"]: row["expr"] for row in result["holders"]}
    unnamed = {row["id"] for row in result["holders"] if row["root"] == "interpreter"}
    return {
        frozenset("?" if one in unnamed else expr[one] for one in group["holders"]): group
        for group in result["groups"]
    }


def allocated(obj: Any) -> int:
    """Return the bytes Python's allocator takes for ``obj``: its size in whole steps of 16."""
    return (sys.getsizeof(obj) + 15) & ~15


def only(*names: str) -> frozenset[str]:
    return frozenset(names)
