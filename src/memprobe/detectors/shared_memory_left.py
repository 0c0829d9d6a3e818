"""MP504: segments of shared memory that nobody uses and nobody let go of."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.process_groups import expression, is_long_ago, is_used, run_at
from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    Holding,
    LastUse,
    PathStep,
    Reclaim,
    fingerprint,
)
from memprobe.recording.schema import Segment, SegmentHolder, Snapshot
from memprobe.reporters.amounts import counted, size

PLACE = "shared-memory"
TEXT = "str"
SHARED = "multiprocessing.shared_memory.SharedMemory"


class SharedMemoryLeft:
    """Shared memory that nobody uses and nobody let go of

    ## What it means
    The notebook made a segment of shared memory: a `SharedMemory`, an array of `multiprocessing`,
    a file in `/dev/shm`. No recent cell used what leads to it, no other process maps it, and it is
    still there: mapped, or as a name alone.

    ## Why it matters
    Such memory is no object: `del`, the collector and `close()` do not free it. A segment lives
    until its name is unlinked and the last process has let go of it, and counts against the
    container until then. When the process dies without having unlinked it, it may outlive it.

    ## Example
    ```python
    shm = SharedMemory(create=True, size=table.nbytes)
    np.ndarray(table.shape, table.dtype, buffer=shm.buf)[:] = table
    shm.close()                    # unmapped, and still there under /dev/shm
    ```

    ## Use instead
    ```python
    shm = SharedMemory(create=True, size=table.nbytes)
    try:
        work(shm.name)
    finally:
        shm.close()
        shm.unlink()               # once, by who made it
    ```
    or a `SharedMemoryManager`, which unlinks what it made: `with SharedMemoryManager() as manager`.

    ## When it does not fire
    A recent cell used a name that leads to it, be it the object, an array over its buffer, or a
    text that is its name; another process maps it, as workers do; something without a name uses
    it too, as a frame does that shows its data; it was there before this process, or this process
    was only attached to it; it is smaller than `min-bytes`. A file on a disk that is mapped is
    none: the system takes its pages back by itself. In a script: at its end, where a name is left.
    Tensors of torch are followed through arrays only.
    """

    code = "MP504"
    name = "shared-memory-left"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per segment, the largest first."""
        snapshots = reversed(evidence.recording.snapshots)
        snapshot = next((one for one in snapshots if one.segments is not None), None)
        if snapshot is None:
            return
        for one in sorted(snapshot.segments or (), key=lambda one: -(one.bytes or 0)):
            large = (one.bytes or 0) >= evidence.config.min_bytes
            if large and _is_left(evidence, one, snapshot):
                yield self._finding(evidence, one)

    def _finding(self, evidence: Evidence, one: Segment) -> Finding:
        held = _holdings(one)
        first = one.holders[0] if one.holders else None
        run = run_at(evidence, one.made) if one.made is not None else None
        subject = first.type if first is not None and first.type != TEXT else "shared memory"
        path = [PathStep(type=subject, edge=held[0].expr, cut=True)]
        stable = [PathStep(type=subject, edge=held[0].expr if one.mapped else "segment")]
        nbytes = one.bytes or 0
        return Finding(
            code=self.code, name=self.name, status="suspect", title=_title(one, held),
            context=evidence.recording.header.context,
            object=HeldObject(type=subject, name=held[0].expr), holders=held,
            exclusive_bytes=nbytes, shared_bytes=0,
            reclaim=Reclaim(bytes=nbytes, low=nbytes, high=nbytes, where="shared-memory",
                            basis="exact"),
            created=Created(cell=run.cell, cell_id=run.cell_id) if run is not None else None,
            last_used=_last_use(evidence, one), path=path, why=_why(evidence, one),
            fix=_fix(one),
            fingerprint=fingerprint(
                self.code, held[0].root, subject, stable, run.hash if run is not None else ""
            ),
        )  # fmt: skip


def _is_left(evidence: Evidence, one: Segment, snapshot: Snapshot) -> bool:
    if one.users != 0 or one.unnamed:
        return False  # somebody else has it, or nobody can tell
    if not evidence.is_notebook:
        # What has no name any more ends with the process.
        return snapshot.reason == "exit" and one.linked
    if any(is_used(evidence, holder) for holder in one.holders):
        return False
    objects = [holder for holder in one.holders if holder.type != TEXT]
    if one.mapped or one.open:
        return bool(objects) and not all(holder.made is False for holder in objects)
    return one.made is not None and is_long_ago(evidence, one.made)


def _holdings(one: Segment) -> list[Holding]:
    rows = sorted(one.holders, key=lambda row: (row.type == TEXT, len(row.path)))
    typed = {expression(row)[0]: row.root for row in rows}
    found = [Holding(root=root, expr=expr) for expr, root in typed.items()]
    if one.linked:
        found.append(Holding(root=PLACE, expr=one.name))
    return sorted(found, key=lambda row: not one.mapped and row.root != PLACE)


def _title(one: Segment, held: list[Holding]) -> str:
    if one.mapped or one.open:
        return f"`{held[0].expr}` keeps shared memory that no recent cell used"
    return f"shared memory is left under its name `{one.name}`"


def _why(evidence: Evidence, one: Segment) -> str:
    parts = [size(one.bytes or 0)]
    if one.linked:
        unlinked = "nobody unlinked it: it stays until then"
        parts.append(unlinked if one.mapped else f"nothing maps it, and {unlinked}")
    else:
        parts.append("its name is gone, and it is still mapped")
    for name in dict.fromkeys(row.expr for row in one.holders if row.root == NAMESPACE):
        life = evidence.liveness.life(name)
        last = f"last used in cell {life.last.cell}" if life.last else "used by no cell"
        parts.append(f"`{name}` was {last}: {counted(life.cells_since, 'cell')} ran since")
    return "; ".join(parts)


def _fix(one: Segment) -> str:
    objects = [row for row in one.holders if row.type != TEXT]
    texts = [row.expr for row in one.holders if row.type == TEXT and not row.path]
    shared = [expression(row)[0] for row in objects if row.type == SHARED]
    others = [row for row in objects if row.type != SHARED]
    lines = _deletions(others)
    lines += [f"{expr}.close()" for expr in dict.fromkeys(shared)]
    if one.linked and shared:
        return "\n".join([*lines, f"{shared[0]}.unlink()"])
    if one.linked and not one.registered:
        path = texts[0] if texts else repr(one.name)
        return "\n".join([*lines, f"import os; os.unlink({path})"])
    if one.linked and texts:
        how = "from multiprocessing.shared_memory import SharedMemory"
        return "\n".join([*lines, how, f"SharedMemory(name={texts[0]}).unlink()"])
    if one.linked:
        name = one.name.rpartition("/")[2]
        lines.append(f'SharedMemory("{name}").unlink()  (of multiprocessing.shared_memory)')
    return "\n".join(lines)


def _deletions(rows: list[SegmentHolder]) -> list[str]:
    """Return what deletes arrays and maps: names, attributes, or the container around them."""
    typed = [expression(row)[0] for row in rows if row.root == NAMESPACE]
    return [f"del {', '.join(dict.fromkeys(typed))}"] if typed else []


def _last_use(evidence: Evidence, one: Segment) -> LastUse | None:
    names = [row.expr for row in one.holders if row.root == NAMESPACE]
    lives = [life for life in map(evidence.liveness.life, names) if life.last is not None]
    if not lives:
        return None
    last = min(lives, key=lambda life: life.cells_since)
    return LastUse(cell=last.last.cell if last.last else None, seconds_ago=last.seconds_since)
