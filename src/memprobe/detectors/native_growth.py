"""MP502: memory grows with every run of a cell, and no Python object owns it."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.account import amount, full_accounts, target
from memprobe.analysis.evidence import FIGURE, Evidence
from memprobe.analysis.growth import CellGrowth, Rounds
from memprobe.analysis.kept_by_allocators import last_account
from memprobe.findings import (
    Created,
    Finding,
    Growth,
    HeldObject,
    Holding,
    PathStep,
    Reclaim,
    fingerprint,
)
from memprobe.reporters.amounts import size
from memprobe_probes import account_buckets as buckets

NATIVE = "native"
EXPR = "native memory"
PARTS = 5  # each round leaves at least this part of ``min-bytes``
LEAST_SHARE = 0.7  # of the growth, that memory without an owner explains
ALIKE = 3.0  # the largest round against the smallest


class NativeGrowth:
    """Memory grows with every run of a cell, and no Python object owns it

    ## What it means
    The same cell ran several times, each run left more resident memory behind, and what grew is in
    use of `malloc`, or mapped by a library: neither Python objects, nor data of arrays, frames and
    columns, nor freed memory that an allocator keeps. Something in C or C++ allocates and does not
    free.

    ## Why it matters
    Nothing that you can delete in Python gives it back, and nothing in Python shows it. It ends
    with the process, or when the library frees it.

    ## Example
    ```python
    for path in paths:
        handle = library.open(path)      # a ctypes or C++ object
        use(handle)                      # never closed: its memory stays in the library
    ```

    ## Use instead
    Close what has a `close()`, and find out who allocates:
    ```
    memprobe run --memray notebook.ipynb
    ```
    records each allocation with the native stack that made it. Where the library itself leaks, run
    that work in a process that ends.

    ## When it does not fire
    Fewer than `growth-rounds` runs, or one of them left nothing behind; the first run, as imports
    and caches are; a container or figures that grew in the same runs own the memory; what grew
    is freed and kept by an allocator (MP501, MP304); the account could not tell.
    """

    code = "MP502"
    name = "native-growth"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield at most one finding: who allocates cannot be told apart."""
        if not evidence.is_notebook or last_account(evidence) is None:
            return
        growth = CellGrowth(evidence.liveness.runs, evidence.config.growth_rounds)
        owned = {one.last.hash for one in growth.containers.values()}
        for rounds in growth.resident(evidence.config.min_bytes // PARTS):
            total = int(rounds.items * len(rounds.runs))
            if rounds.last.hash in owned or not _is_steady(rounds) or _has_figures(evidence):
                continue
            if total >= evidence.config.min_bytes and _is_unowned(evidence, total):
                yield self._finding(evidence, rounds, total)
                return

    def _finding(self, evidence: Evidence, rounds: Rounds, total: int) -> Finding:
        path = [PathStep(type="malloc", edge=EXPR, cut=True)]
        number = len(rounds.runs)
        return Finding(
            code=self.code, name=self.name, status="suspect",
            title="memory that no Python object owns grows with every run of a cell",
            context=evidence.recording.header.context, object=HeldObject(type="malloc", name=EXPR),
            holders=[Holding(root=NATIVE, expr=EXPR)], exclusive_bytes=total, shared_bytes=0,
            reclaim=Reclaim(bytes=total, low=0, high=total, basis="estimate"),
            created=Created(cell=rounds.last.cell, cell_id=rounds.last.cell_id),
            growth=Growth(bytes_per_round=int(rounds.items), rounds=number), path=path,
            why=f"{number} runs of one cell left {size(int(rounds.items))} each behind, in use of "
            "malloc or mapped by a library, and no array, frame or object accounts for it",
            fix="run it with `memprobe run --memray` to see which native code allocates; close "
            "what has a close(), or do that work in a process that ends",
            fingerprint=fingerprint(self.code, NATIVE, "malloc", path, rounds.last.hash),
        )  # fmt: skip


def _is_steady(rounds: Rounds) -> bool:
    left = [(run.rss or 0) - (run.rss_before or 0) for run in rounds.runs]
    return min(left) > 0 and max(left) <= ALIKE * min(left)


def _has_figures(evidence: Evidence) -> bool:
    return any(holder.root == FIGURE for holder in evidence.holders.values())


def _is_unowned(evidence: Evidence, total: int) -> bool:
    """Whether memory that nobody known owns grew by about as much, since the first account."""
    last = last_account(evidence)
    # What a Python object leads to in a library is not accounted for by that object either; and
    # maps to which only an address in Python leads are of nobody known.
    grows = (*buckets.NATIVE, buckets.NATIVE_OBJECTS, buckets.UNKNOWN)
    now = amount(last[1], *grows) if last is not None else None
    if last is None or now is None:
        return False
    first = target(full_accounts(evidence.recording)[0])
    before = amount(first, *grows) if first is not None else None
    begun = (
        before if before is not None and last[0] is not full_accounts(evidence.recording)[0] else 0
    )
    # Where the first account came after some of the rounds, it has a part of their growth.
    return now >= LEAST_SHARE * total and now - begun >= LEAST_SHARE * total / 2
