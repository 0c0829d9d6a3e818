"""MP206: a context idle for T holds G on the driver."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import NAMESPACE, OUTPUT, Evidence
from memprobe.analysis.idleness import idle_seconds
from memprobe.analysis.retention import Bundle, bundle_around
from memprobe.findings import Finding
from memprobe.recording.schema import Group, Holder
from memprobe.reporters.amounts import duration, size

MOST_NAMES = 5  # in the fix


class IdleContext:
    """A context idle for long holds much on the driver

    ## What it means
    Nobody has run a cell in this notebook for a long time, and its names still hold a lot of
    memory. An open notebook is never over: what it holds stays until somebody shuts it down.

    ## Why it matters
    Notebooks of one driver share its memory. What yesterday's notebooks hold is missing today,
    and the one that is killed for it is the one that works.

    ## Example
    ```python
    features = build_features(orders)   # 6 GiB, yesterday at five
    ```

    ## Use instead
    Shut the kernel down when the work is done, or save what is worth keeping and let go of it:
    ```python
    features.to_parquet("features.parquet")
    del features
    ```
    On a server, culling does it for everybody: `MappingKernelManager.cull_idle_timeout`. On a
    Databricks cluster, detach the notebook: the cluster's auto-termination waits until *nobody*
    uses it, and on a shared one that may be never.

    ## When it does not fire
    It needs `idle-seconds` (30 minutes) since the kernel was last asked for anything, and
    `idle-bytes` (100 MB) that would come back. It does not fire while a cell runs, while the
    process computes in a thread of its own, or while a Spark stream is active, and not for names
    that a timer, thread or callback may still read. What other rules report of the notebook is
    not counted twice.
    """

    code = "MP206"
    name = "idle-context"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield one finding for the whole context."""
        idle = idle_seconds(evidence)
        if evidence.snapshot is None or idle is None or idle < evidence.config.idle_seconds:
            return
        bundle = _kept(evidence)
        if bundle is None or bundle.exclusive < evidence.config.idle_bytes:
            return
        largest = _largest_first(bundle)
        yield finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=largest[0],
            title=f"a notebook idle for {duration(idle)} holds {size(bundle.exclusive)}",
            why=f"nothing was asked of it for {duration(idle)}, and it computes nothing"
            + _of_cluster(evidence, idle),
            fix=f"{_ending(evidence)}, or let go of it:\ndel " + ", ".join(_names(largest)),
        )  # fmt: skip


def _ending(evidence: Evidence) -> str:
    """Return how a notebook like this one is ended."""
    if evidence.recording.header.databricks is None:
        return "shut the kernel down"
    return "detach the notebook from its cluster"


def _of_cluster(evidence: Evidence, idle: float) -> str:
    """Return when the cluster would end by itself and take all of this with it; as far as known."""
    place = evidence.recording.header.databricks
    if place is None or place.autotermination is None:
        return ""
    if place.autotermination == 0:
        return "; its cluster never ends by itself"
    after = duration(place.autotermination * 60.0)
    if idle > place.autotermination * 60.0:
        return f"; its cluster would have ended after {after}: others keep it running"
    return f"; its cluster ends by itself only when nobody has used it for {after}"


def _kept(evidence: Evidence) -> Bundle | None:
    """Return what comes back if all names and outputs go that no other rule speaks of."""
    assert evidence.snapshot is not None
    told = {holder.id for bundle in evidence.reclaimable for holder in bundle.holders}

    def ours(holder: Holder, group: Group) -> bool:
        return holder.id in cuttable

    cuttable = {
        holder.id
        for holder in evidence.snapshot.holders
        if holder.root in (NAMESPACE, OUTPUT)
        and holder.id not in told
        and not evidence.is_awaited(holder.expr)
    }
    return bundle_around(evidence.snapshot, cuttable, ours) if cuttable else None


def _largest_first(bundle: Bundle) -> list[Holder]:
    """Return the names by what their groups hold."""
    weights: dict[int, int] = {}
    for group in bundle.groups:
        for one in group.holders:
            weights[one] = weights.get(one, 0) + group.bytes
    return sorted(bundle.holders, key=lambda holder: -weights.get(holder.id, 0))


def _names(largest: list[Holder]) -> list[str]:
    names = [holder.expr for holder in largest if holder.root == NAMESPACE]
    plain = [name for name in dict.fromkeys(names) if name.isidentifier()]
    return [*plain[:MOST_NAMES], *(["…"] if len(plain) > MOST_NAMES else [])]
