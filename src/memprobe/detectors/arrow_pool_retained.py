"""MP304: Arrow's memory pool keeps what was freed, and no recent cell used Arrow."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.kept_by_allocators import arrow_lately, last_account
from memprobe.findings import Finding, HeldObject, Holding, PathStep, Reclaim, fingerprint
from memprobe.recording.schema import ProcessMemory
from memprobe.reporters.amounts import size
from memprobe_probes import account_buckets as buckets

POOL = "pyarrow.default_memory_pool()"
ALLOCATOR = "allocator"
MUCH = 5  # times ``min-bytes``, of a pool that is in use: advice
# From here on a good part of the process is an empty pool: below, it is how pools work.
DOMINATES = 0.35  # of the resident memory, and ten times ``min-bytes``
IN_THE_WAY = 1 << 20  # bytes of live data from which on it may keep freed pages beside it


class ArrowPoolRetained:
    """Arrow's memory pool keeps what was freed

    ## What it means
    Arrow takes memory from a pool of its own (mimalloc, jemalloc or the system's). Columns were
    freed: the pool counts them as free, and keeps their pages for what comes next. No recent cell
    used Arrow, pandas or polars.

    ## Why it matters
    The process does not shrink when a table is deleted, and nothing in Python shows why: no object
    is left. Reading one large Parquet file leaves hundreds of megabytes this way.

    ## Example
    ```python
    table = pq.read_table("orders.parquet")
    totals = table.group_by("region").aggregate([("value", "sum")])
    del table                                        # the pool keeps its pages
    ```

    ## Use instead
    ```python
    del table
    pyarrow.default_memory_pool().release_unused()   # after a large table, not after each
    ```

    ## When it does not fire
    The pool keeps less than `min-bytes`; one of the last cells (`stale-cells`) used a module of
    Arrow, pandas or polars, or a name that holds such data: a pool that is used again is warm, and
    told as advice from five times `min-bytes` on; the account could not tell its pages apart, as
    without the native walker; in a script, whose end is near. It is advice, which fails no gate,
    below ten times `min-bytes` or a third of the resident memory: every deleted table leaves some.
    """

    code = "MP304"
    name = "arrow-pool-retained"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield at most one finding about the default pool."""
        last = last_account(evidence)
        if last is None or not evidence.is_notebook:
            return
        account, process = last
        kept = process.buckets.get(buckets.ARROW_RETAINED, 0)
        warm = arrow_lately(evidence)
        if kept < evidence.config.min_bytes * (MUCH if warm else 1):
            return
        used = "one of the last cells used Arrow, pandas or polars"
        if not warm:
            used = f"no cell of the last {evidence.config.stale_cells} used Arrow"
        live = process.buckets.get(buckets.ARROW_LIVE, account.arrow_live or 0)
        path = [PathStep(type="pyarrow.MemoryPool", edge=POOL, cut=True)]
        yield Finding(
            code=self.code,
            name=self.name,
            status="suspect" if not warm and _dominates(evidence, process, kept) else "advice",
            title="Arrow's memory pool keeps what was freed",
            context=evidence.recording.header.context,
            object=HeldObject(type="pyarrow.MemoryPool", name=POOL),
            holders=[Holding(root=ALLOCATOR, expr=POOL)],
            exclusive_bytes=kept,
            shared_bytes=0,
            reclaim=Reclaim(
                bytes=kept, low=kept if live < IN_THE_WAY else 0, high=kept, basis="estimate"
            ),
            path=path,
            why=f"{size(kept)} of its pages are in memory and free, {size(live)} are in use; "
            + used,
            fix=f"import pyarrow; {POOL}.release_unused()",
            fingerprint=fingerprint(self.code, ALLOCATOR, "pyarrow.MemoryPool", path, ""),
        )


def _dominates(evidence: Evidence, process: ProcessMemory, kept: int) -> bool:
    return kept >= max(10 * evidence.config.min_bytes, DOMINATES * (process.rss or 0))
