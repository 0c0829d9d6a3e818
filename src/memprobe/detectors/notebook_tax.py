"""MP601: what a persistent context still holds where a script has let go."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered
from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK, Evidence
from memprobe.analysis.retention import Bundle
from memprobe.analysis.round_growth import Naming
from memprobe.contrasts import RoundGrowth
from memprobe.detectors.letting_go import assignments, deletions, display_deletions
from memprobe.findings import Finding, Growth, Status
from memprobe.recording.schema import Snapshot
from memprobe.reporters.amounts import size


class NotebookTax:
    """What a persistent context still holds where a script has let go

    ## What it means
    The same work was done twice: in a notebook's kernel and by a script. When it is done the
    script's process ends and everything is given back. The kernel stays, and with it what no
    later cell needs: results that IPython keeps because they were displayed, the locals of a
    cell that failed, names that nobody has used for long. Or the kernel keeps more after every
    round of the same cells, while fresh processes of the script all end alike.

    ## Why it matters
    It is the price of the notebook, paid from the driver's memory for as long as the context
    lives. It adds up: each cell that is run again leaves its former result behind.

    ## Example
    ```python
    daily = pd.read_parquet(today())
    daily                            # Out[2], next time also Out[5], Out[8], …
    history.append(daily)            # a list of before, never emptied
    ```

    ## Use instead
    ```python
    daily = pd.read_parquet(today())
    daily.head().copy()              # a few rows are kept; without copy, all they are a view of
    history = [daily]                # begins anew in every round
    ```
    Or run the work as a script: `memprobe contrast` writes one with `--keep`.

    ## When it does not fire
    Only `memprobe contrast` can see it. It does not fire for a name that both contexts hold and
    that the last cells use, for less than `min-bytes`, for growth that is missing in one of at
    least three rounds, or in the first round only: imports and caches fill there. Displayed
    results that add less than `min-bytes` in each round are only advice.
    """

    code = "MP601"
    name = "notebook-tax"
    contrast_only = True

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that the context still keeps when the work is done."""
        if evidence.contrast is None:
            return
        for bundle in evidence.reclaimable:
            yield self._left(evidence, bundle, "suspect")
        known = {holder.id for bundle in evidence.reclaimable for holder in bundle.holders}
        for bundle in evidence.perhaps:
            if known.isdisjoint(holder.id for holder in bundle.holders):
                yield self._left(evidence, bundle, "advice")

    def growing(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per holder that keeps more after every round; evidence of all rounds."""
        for growth in evidence.contrast.growth if evidence.contrast is not None else ():
            yield from self._growth(evidence, growth)

    def _left(self, evidence: Evidence, bundle: Bundle, status: str) -> Finding:
        first = ordered(bundle.holders)[0]
        return finding(
            evidence, bundle, code=self.code, name=self.name,
            status="advice" if status == "advice" else "suspect", first=first,
            title=f"the notebook still holds `{first.expr}` when the work is done",
            why=f"the script lets go of it by ending; the kernel {_keeper(bundle)}",
            fix="\n".join(_fix(bundle)),
        )  # fmt: skip

    def _growth(self, evidence: Evidence, growth: RoundGrowth) -> Iterator[Finding]:
        if evidence.snapshot is None or growth.rounds < evidence.config.growth_rounds:
            return
        assert evidence.contrast is not None
        bundle = _of_all_rounds(evidence.snapshot, evidence.contrast.naming, set(growth.names))
        if bundle is not None and bundle.exclusive >= evidence.config.min_bytes:
            yield self._grown(evidence, bundle, growth)

    def _grown(self, evidence: Evidence, bundle: Bundle, growth: RoundGrowth) -> Finding:
        first = ordered(bundle.holders)[0]
        steps = ", ".join(size(one) for one in growth.bytes)
        shown = " and ".join(f"`{one}`" for one in growth.names)
        made = finding(
            evidence, bundle, code=self.code, name=self.name, first=first,
            status=_graveness(growth, bundle, evidence.config.min_bytes),
            title=f"{shown} keeps {size(growth.per_round)} more after every round",
            why=f"running the cells again makes it grow every time: {steps}; "
            "each fresh process of the script ends with the same",
            fix="\n".join(_fix(bundle, grows=True)),
        )  # fmt: skip
        made.growth = Growth(bytes_per_round=growth.per_round, rounds=growth.rounds)
        return made


def _of_all_rounds(snapshot: Snapshot, name: Naming, wanted: set[str]) -> Bundle | None:
    """Return the references that all rounds left behind as one bundle: together they grow."""
    members = {holder.id: holder for holder in snapshot.holders if name(holder) in wanted}
    groups = [one for one in snapshot.groups if members.keys() >= set(one.holders)]
    if not groups:
        return None
    used = {number for group in groups for number in group.holders}
    return Bundle(
        holders=tuple(members[number] for number in sorted(used)),
        groups=tuple(sorted(groups, key=lambda group: -group.bytes)),
        exclusive=sum(group.bytes for group in groups),
        low=sum(group.bytes if group.low is None else group.low for group in groups),
        high=sum(group.bytes if group.high is None else group.high for group in groups),
        shared=0,
    )


def _graveness(growth: RoundGrowth, bundle: Bundle, least: int) -> Status:
    """Outputs that are small in each round are advice: nobody runs a cell again for ever."""
    shown = bundle.roots() == {OUTPUT}
    return "advice" if shown and growth.per_round < least else "leaking"


def _keeper(bundle: Bundle) -> str:
    roots = bundle.roots()
    if TRACEBACK in roots:
        return "remembers the cell that failed, and its frames keep it"
    if OUTPUT in roots:
        return "remembers every displayed result"
    return "keeps the name, and no recent cell used it"


def _fix(bundle: Bundle, *, grows: bool = False) -> list[str]:
    names = [holder for holder in bundle.holders if holder.root == NAMESPACE]
    if grows and names and OUTPUT not in bundle.roots():
        shown = ", ".join(f"`{holder.expr}`" for holder in names)
        return [f"empty {shown} where the round begins, or make it inside a function"]
    tracebacks = [holder for holder in bundle.holders if holder.root == TRACEBACK]
    return [*display_deletions(bundle.holders), *deletions(names), *assignments(tracebacks)] or [
        "restart the kernel, or run the work as a script"
    ]
