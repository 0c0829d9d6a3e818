"""MP204: running the same cell again keeps more."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.grown import KINDS, Kept, kept_by, round_words, with_growth
from memprobe.analysis.growth import CellGrowth, Rounds
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Holder, Snapshot

# A holder explains the process's growth where its bytes are about as many.
ABOUT = (0.6, 1.4)


class RerunGrowth:
    """Running the same cell again keeps more

    ## What it means
    Each of at least three equal runs of one cell (`growth-rounds`) left more memory behind than
    there was before, and a holder that you can name keeps it: a frame that is joined to itself,
    an object that registers one more callback, versions of a class that something remembers.

    ## Why it matters
    Cells are run again: that is what a notebook is for. A cell that is not safe to run twice
    fills the driver while you are looking for a bug in it, and what it computes is wrong as well:
    the same rows are counted once more each time.

    ## Example
    ```python
    orders = pd.concat([orders, load(day)])    # run again: the day is in it twice
    figure.canvas.mpl_connect("draw_event", partial(report, orders))   # one more callback
    ```

    ## Use instead
    ```python
    orders = pd.concat([history, load(day)])   # from a name that this cell does not bind
    connection = figure.canvas.mpl_connect(...)          # and disconnect it before
    ```

    ## When it does not fire
    A run replaces what the run before left; the cell's inputs were changed in between, or it
    reads on in an iterator; the process grew, but no holder with a name grew with it; a run left
    less than `min-bytes`. A list or dict that grows is [MP101](MP101.md).
    """

    code = "MP204"
    name = "rerun-growth"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per holder that keeps more after every run of one cell."""
        if not evidence.is_notebook or evidence.snapshot is None:
            return
        growth = CellGrowth(evidence.liveness.runs, evidence.config.growth_rounds)
        seen: set[str] = set()
        for expr, rounds in growth.containers.items():
            kept = kept_by(evidence, expr, growth.final.get(expr))
            if kept is not None and kept.holder.expr not in seen:
                seen.add(kept.holder.expr)
                yield with_growth(self._finding(evidence, kept, rounds), rounds, kept)
        for rounds in growth.resident(evidence.config.min_bytes):
            kept = _grown_with(evidence, evidence.snapshot, growth, rounds)
            if kept is not None and kept.holder.expr not in seen:
                seen.add(kept.holder.expr)
                found = self._finding(evidence, kept, rounds)
                yield with_growth(found, rounds, kept, per_item=1.0)

    def _finding(self, evidence: Evidence, kept: Kept, rounds: Rounds) -> Finding:
        expr = kept.holder.expr
        return finding(
            evidence, kept.bundle, code=self.code, name=self.name, status="suspect",
            first=kept.holder, title=f"every run of one cell leaves more in `{expr}`",
            why=f"{round_words(rounds)}, and `{expr}` kept more after each of them",
            fix=_fix(kept),
        )  # fmt: skip


def _grown_with(
    evidence: Evidence, snapshot: Snapshot, growth: CellGrowth, rounds: Rounds
) -> Kept | None:
    """Return the holder used in every round whose bytes are what the process grew by."""
    total = rounds.items * len(rounds.runs)
    found: list[Kept] = []
    for holder in snapshot.holders:
        if not _may_grow(holder, growth, rounds) or _was_large(evidence, holder, rounds):
            continue
        kept = kept_by(evidence, holder.expr)
        if kept is not None and ABOUT[0] * total <= kept.bundle.exclusive <= ABOUT[1] * total:
            found.append(kept)
    return max(found, key=lambda kept: kept.bundle.exclusive, default=None)


def _may_grow(holder: Holder, growth: CellGrowth, rounds: Rounds) -> bool:
    """Whether a name that the rounds use, and do not bind, holds what can grow unseen."""
    if holder.root != NAMESPACE or holder.shape is not None or holder.root not in KINDS:
        return False
    if holder.expr in growth.final and holder.expr not in growth.containers:
        return False
    return all(holder.expr in run.used and holder.expr not in run.bound for run in rounds.runs)


def _was_large(evidence: Evidence, holder: Holder, rounds: Rounds) -> bool:
    """Whether a snapshot of before the last round shows the holder as large as it is now."""
    for snapshot in evidence.recording.snapshots:
        if snapshot.t > rounds.last.started or snapshot.skipped is not None:
            continue
        then = next((one for one in snapshot.holders if one.expr == holder.expr), None)
        if then is not None and _alone(snapshot, then) > 0.9 * _alone(evidence.snapshot, holder):
            return True
    return False


def _alone(snapshot: Snapshot | None, holder: Holder) -> int:
    groups = snapshot.groups if snapshot is not None else []
    return sum(group.bytes for group in groups if group.holders == [holder.id])


def _fix(kept: Kept) -> str:
    same = [kept.holder, *kept.aliases] if "." not in kept.holder.expr else []
    inside = [f"{kept.holder.expr} = None"] if not same else []
    held = [*same, *kept.others]
    return "\n".join([*inside, *display_deletions(held), *deletions(held)])
