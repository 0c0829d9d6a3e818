"""MP501: freed memory that malloc or Python's allocator keeps, and what a trim gives of it."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.kept_by_allocators import last_account, worked_lately
from memprobe.findings import Finding, HeldObject, Holding, PathStep, Reclaim, Status, fingerprint
from memprobe.recording.schema import ProcessMemory
from memprobe.reporters.amounts import size
from memprobe_probes import account_buckets as buckets

ALLOCATOR = "allocator"
MALLOC, ARENAS = "malloc", "arenas of Python's allocator"
TRIM = "import ctypes; ctypes.CDLL(None).malloc_trim(0)"
MUCH = 10  # times ``min-bytes``: every process keeps some
SHARE = 0.2  # of the resident memory
# From here on most of the process is nothing but freed memory: below, it is how allocators work.
DOMINATES = 0.6  # of the resident memory


class AllocatorRetained:
    """Freed memory that an allocator keeps

    ## What it means
    Objects were freed, and their memory has not gone back to the system. glibc's malloc keeps
    free pieces of its heaps: one block at the end in use is enough to keep all before it. Python's
    own allocator keeps each mebibyte in which one small object is alive.

    ## Why it matters
    The process is as large as it was at its peak, though nothing is left to delete. What malloc
    keeps in whole pages, one call gives back; the report says how much that is. What lies between
    objects that are in use no call gives back: new objects use it, and it is told as advice.

    ## Example
    ```python
    pages = [fetch(url) for url in urls]       # 100,000 blocks of 3 KB
    index = summarise(pages)                   # small, allocated behind them
    del pages                                  # free, and still the process's
    ```

    ## Use instead
    ```python
    import ctypes; ctypes.CDLL(None).malloc_trim(0)    # 0.3 s for a gigabyte
    ```
    Better: load much and short-lived data in a process that ends, or in few large arrays: blocks
    above malloc's threshold go back at once.

    ## When it does not fire
    Less than ten times `min-bytes`, or a fifth of the resident memory, would come back: every
    program that frees much leaves some with its allocator, and the report's account tells how
    much; another malloc than glibc's is in use; in a script, whose end is near. It is advice,
    which fails no gate, below three fifths of the resident memory, and where one of the last
    cells (`stale-cells`) worked: what is used again is not left behind.
    """

    code = "MP501"
    name = "allocator-retained"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield one finding where a trim gives much, else advice where much is stuck."""
        last = last_account(evidence)
        if last is None or not evidence.is_notebook:
            return
        process = last[1]
        trimmable = process.trimmable or 0
        if _is_much(evidence, process, trimmable):
            most = max(MUCH * evidence.config.min_bytes, int(DOMINATES * (process.rss or 0)))
            left = trimmable >= most and not worked_lately(evidence)
            status: Status = "suspect" if left else "advice"
            yield self._of_trim(evidence, process, trimmable, status)
            return
        kept = process.buckets.get(buckets.MALLOC_RETAINED, 0)
        free = process.buckets.get(buckets.PYTHON_FREE, 0)
        if process.trimmable is not None and _is_much(evidence, process, kept + free - trimmable):
            yield self._stuck(evidence, kept, free, trimmable)

    def _of_trim(
        self, evidence: Evidence, process: ProcessMemory, trimmable: int, status: Status
    ) -> Finding:
        kept = process.buckets.get(buckets.MALLOC_RETAINED, trimmable)
        stays = max(0, kept - trimmable)
        why = f"{size(max(kept, trimmable))} were freed and are kept by glibc's malloc"
        if stays > trimmable // 20:
            why += f"; {size(stays)} of it lie between blocks in use, and stay"
        return self._finding(
            evidence, MALLOC, status, f"malloc keeps {size(trimmable)} of freed memory", why, TRIM,
            Reclaim(bytes=trimmable, low=trimmable, high=trimmable, basis="simulated"),
        )  # fmt: skip

    def _stuck(self, evidence: Evidence, kept: int, free: int, trimmable: int) -> Finding:
        where = MALLOC if kept >= free else ARENAS
        why = (
            f"{size(kept)} are free in malloc's heaps and {size(free)} in Python's arenas, between "
            f"blocks that are in use: a trim would give {size(trimmable)} back. New objects use it"
        )
        fix = "load what is short-lived in a process that ends, or in few large arrays"
        nothing = Reclaim(bytes=trimmable, low=0, high=trimmable, basis="simulated")
        title = "much memory is free between objects that are in use"
        return self._finding(evidence, where, "advice", title, why, fix, nothing)

    def _finding(
        self, evidence: Evidence, where: str, status: Status, title: str, why: str, fix: str,
        reclaim: Reclaim,
    ) -> Finding:  # fmt: skip
        path = [PathStep(type="allocator", edge=where, cut=True)]
        return Finding(
            code=self.code, name=self.name, status=status, title=title,
            context=evidence.recording.header.context,
            object=HeldObject(type="allocator", name=where),
            holders=[Holding(root=ALLOCATOR, expr=where)],
            exclusive_bytes=reclaim.bytes, shared_bytes=0, reclaim=reclaim, path=path, why=why,
            fix=fix, fingerprint=fingerprint(self.code, ALLOCATOR, where, path, ""),
        )  # fmt: skip


def _is_much(evidence: Evidence, process: ProcessMemory, nbytes: int) -> bool:
    least = max(MUCH * evidence.config.min_bytes, int(SHARE * (process.rss or 0)))
    return nbytes >= least
