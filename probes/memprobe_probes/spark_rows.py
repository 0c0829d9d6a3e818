"""The rows of caches in a reading: what is known of each, with its sizes and what reaches it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .spark_blocks import Blocks
    from .spark_caches import Cache
    from .spark_reach import Reach
    from .spark_reads import Reads

MOST_CACHES = 200


def of_caches(
    caches: list[Cache], reach: Reach, sizes: tuple[Blocks, int] | None, *, known: bool,
    shared: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row per cache, the largest first.

    ``sizes``: the blocks and when they were listed; a cache that is younger has no sizes yet.
    """
    blocks, listed = sizes or (None, 0)
    by_rdd = {} if blocks is None else blocks.of("rdd")
    stored = {} if blocks is None else stored_partitions(blocks)
    rows = []
    for cache in caches:
        row = _row(cache, reach, known, shared)
        if blocks is not None and (cache.since is None or cache.since <= listed):
            _add_sizes(row, by_rdd, stored)
        rows.append(row)
    rows.sort(key=lambda row: -(row["memory"] or 0) - (row["disk"] or 0))
    return rows


def add_reads(rows: list[dict[str, Any]], reads: Reads) -> None:
    """Fill in how often each was read; None where older jobs may have read it as well."""
    sure = reads.whole and not reads.late
    for row in rows:
        use = reads.uses.get(row["rdd"])
        if row["rdd"] is None:
            row["reads"] = 0
        elif use is not None and (use.reads or sure):
            row.update(reads=use.reads, read_cell=use.cell, read_t=use.t)


def _row(cache: Cache, reach: Reach, known: bool, shared: bool) -> dict[str, Any]:
    holders = reach.rows(cache.id)
    cache.reached = cache.reached or bool(holders)
    digest = cache.digest
    return {
        "id": cache.id, "kind": cache.kind, "rdd": cache.rdd, "level": cache.level,
        "table": cache.table, "operators": cache.operators, "shape": cache.shape,
        "plan": "" if digest is None else f"{digest & 0xFFFFFFFF:08x}",
        "memory": None, "disk": None, "partitions": cache.partitions, "cached": None,
        "executors": {}, "holders": holders,
        "views": sorted(reach.views.get(cache.id, ())), "above": reach.above.get(cache.id, []),
        "cell": cache.cell, "file": cache.file, "line": cache.line, "since": cache.since,
        "ours": not shared or (cache.seen_made and cache.reached), "known": known,
    }  # fmt: skip


def _add_sizes(
    row: dict[str, Any], sizes: dict[int, dict[str, list[int]]], stored: dict[int, int]
) -> None:
    """Fill in what is stored of a cache; without an RDD nothing was computed yet."""
    by_executor = sizes.get(row["rdd"], {})
    row["executors"] = by_executor
    row["memory"] = sum(one[0] for one in by_executor.values())
    row["disk"] = sum(one[1] for one in by_executor.values())
    if row["rdd"] is not None:
        row["cached"] = stored.get(row["rdd"], 0)


def stored_partitions(blocks: Blocks) -> dict[int, int]:
    """Return how many partitions of each RDD are stored, each counted once."""
    found: dict[int, set[str]] = {}
    for _, name, _, _ in blocks.rows:
        parts = name.split("_")
        if len(parts) == 3 and parts[0] == "rdd" and parts[1].isdigit():
            found.setdefault(int(parts[1]), set()).add(parts[2])
    return {number: len(partitions) for number, partitions in found.items()}
