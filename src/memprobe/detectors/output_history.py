"""MP201: IPython's output caches keep a displayed object."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered, subject_of
from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK, Evidence
from memprobe.analysis.retention import Bundle
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding, Status
from memprobe.recording.schema import Holder


class OutputHistory:
    """IPython's output caches keep a displayed object

    ## What it means
    A cell that ends in an expression displays its value, and IPython keeps the value itself, not
    the picture of it: as `Out[7]`, `_7`, for a while as `_`, `__` and `___`, and in places
    without a name. The object lives on after you delete or rebind the variable it came from.

    ## Why it matters
    `df` at the end of a cell looks harmless, and `del df` then frees nothing. Run the cell again
    after changing `df`, and both versions stay. A displayed slice keeps the whole frame that it
    is a view of.

    ## Example
    ```python
    df = pd.read_parquet("orders.parquet")
    df                       # Out[2] keeps this frame
    # next cell
    df = df[df.amount > 0]   # two frames are alive now
    ```

    ## Use instead
    ```python
    df.head()                # a small copy is displayed and kept
    df;                      # nothing is displayed, nothing is kept
    display(df)              # displayed, but not kept
    ```
    To let go of what is kept already: `%xdel _2` (it finds every hiding place of the object),
    or `%reset -f out` for all outputs.

    ## When it does not fire
    The object is smaller than `min-bytes`; a recent cell read `_`, `_7` or `Out`; or a name
    that is in use reaches the same data, so that cutting the output would free nothing. Right
    after the cell that displayed it, it is only advice.
    """

    code = "MP201"
    name = "output-history"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that an output keeps."""
        for bundle in evidence.reclaimable:
            if OUTPUT in bundle.roots():
                named = NAMESPACE in bundle.roots() and TRACEBACK not in bundle.largest.via
                yield self._finding(evidence, bundle, "suspect" if named else "leaking")
        known = {holder.id for bundle in evidence.reclaimable for holder in bundle.holders}
        for bundle in evidence.perhaps:
            if OUTPUT in bundle.roots() and known.isdisjoint(h.id for h in bundle.holders):
                yield self._finding(evidence, bundle, "advice")

    def _finding(self, evidence: Evidence, bundle: Bundle, status: Status) -> Finding:
        first = _first(bundle)
        subject = subject_of(bundle, first)
        outputs = [holder for holder in bundle.holders if holder.root == OUTPUT]
        cell = f"cell {first.cell}" if first.cell is not None else "a cell"
        names = [h.expr for h in ordered(bundle.holders) if h.root == NAMESPACE]
        also = f", and {_listed(names)} beside it" if names else ""
        return finding(
            evidence, bundle, code=self.code, name=self.name, status=status, first=first,
            title=f"{cell} displayed a {subject.type}, and IPython keeps it",
            why=f"{cell} ended in an expression: IPython keeps every displayed object, this one "
            f"under {len(outputs)} names{also}",
            fix="\n".join([*display_deletions(outputs), *deletions(bundle.holders)]),
        )  # fmt: skip


def _first(bundle: Bundle) -> Holder:
    outputs = [h for h in ordered(bundle.holders) if h.root == OUTPUT]
    inside = [h for h in outputs if h.id in bundle.largest.holders]
    shown = [h for h in inside if h.expr.startswith("Out[")]
    return (shown or inside or outputs)[0]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
