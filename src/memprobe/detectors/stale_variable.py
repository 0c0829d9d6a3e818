"""MP202: a large name that no cell has used for long."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered, subject_of
from memprobe.analysis.evidence import NAMESPACE, TRACEBACK, Evidence
from memprobe.analysis.liveness import NameLife
from memprobe.analysis.retention import Bundle
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Holder


class StaleVariable:
    """A large variable that no cell has used for long

    ## What it means
    A name in the notebook's namespace holds a large object, and the last cells neither read nor
    bound it: five executed cells, or ten minutes while other cells ran (`stale-cells`,
    `stale-seconds`). Functions that a cell calls count as readers of every name they mention.

    ## Why it matters
    In a script this variable would be a local of a function that has returned. In a notebook
    every name lives until you delete it or the driver dies.

    ## Example
    ```python
    raw = spark.table("orders").toPandas()     # cell 2: 3 GiB
    clean = raw.dropna()                       # cell 3: the last use of raw
    ...                                        # cells 4 to 20 work on clean
    ```

    ## Use instead
    ```python
    def load():
        raw = spark.table("orders").toPandas()
        return raw.dropna()                    # raw ends here

    clean = load()
    ```
    or `del raw` where its work is done.

    ## When it does not fire
    The object is smaller than `min-bytes`; another name that is in use reaches the same data; a
    function, method or query text of a recent cell mentions the name; a callback, timer, running
    thread or exit handler may read it without any cell; or nothing ran since.
    It is a suspicion, never a certainty: only you know whether a later cell needs the name.
    """

    code = "MP202"
    name = "stale-variable"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that stale names keep."""
        for bundle in evidence.reclaimable:
            if NAMESPACE in bundle.roots() and TRACEBACK not in bundle.largest.via:
                yield self._finding(evidence, bundle)

    def _finding(self, evidence: Evidence, bundle: Bundle) -> Finding:
        names = [h for h in ordered(bundle.holders) if h.root == NAMESPACE]
        first = _first(names, bundle)
        life = evidence.liveness.life(first.expr)
        subject = subject_of(bundle, first)
        others = [f"`{holder.expr}`" for holder in names if holder is not first]
        together = f" (with {', '.join(others)})" if others else ""
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=first,
            title=f"`{first.expr}` keeps a {subject.type} that no recent cell used",
            why=f"`{first.expr}`{together} {_idle(life)}",
            fix="\n".join([*display_deletions(bundle.holders), *deletions(names)]),
        )  # fmt: skip


def _first(names: list[Holder], bundle: Bundle) -> Holder:
    inside = [holder for holder in names if holder.id in bundle.largest.holders]
    return (inside or names)[0]


def _idle(life: NameLife) -> str:
    if life.last is None:
        return "was used by none of the cells that were seen"
    cells = "cell has" if life.cells_since == 1 else "cells have"
    idle = f"was last used in cell {life.last.cell}: {life.cells_since} {cells} run since"
    if life.seconds_since is not None and life.seconds_since >= 60:
        idle += f", {life.seconds_since / 60:.0f} min ago"
    return idle
