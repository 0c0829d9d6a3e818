"""MP205: figures that pyplot keeps because nobody closed them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import FIGURE, NAMESPACE, OUTPUT, Evidence, State
from memprobe.analysis.retention import Bundle, bundle_around
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Group, Holder, Snapshot

TOO_MANY = 20  # matplotlib itself warns above this number
FEW = 5  # fewer than these are left open in the course of work
_PYPLOT = frozenset({"plt", "pyplot", "pylab"})


class OpenFigures:
    """Figures that nobody closed

    ## What it means
    `plt.figure()` and `plt.subplots()` register every figure with pyplot, which keeps it until
    `plt.close()`. With a backend that draws in the background (`agg`), nothing else ever closes
    one: saving it does not, and binding its name to the next figure does not either.

    ## Why it matters
    A figure keeps its canvas (width × height × dpi² × 4 bytes), a copy of the data it shows and
    a few thousand objects for its axes. A loop that saves one chart per station keeps all of
    them; matplotlib warns from the 21st on.

    ## Example
    ```python
    for station in stations:
        fig, ax = plt.subplots()
        ax.plot(readings[station])
        fig.savefig(f"{station}.png")
    ```

    ## Use instead
    ```python
    for station in stations:
        fig, ax = plt.subplots()
        ax.plot(readings[station])
        fig.savefig(f"{station}.png")
        plt.close(fig)
    ```
    or `matplotlib.figure.Figure()`, which pyplot does not know of. For those that are open
    already: `plt.close("all")`, and `del fig, ax` for the last of them.

    ## When it does not fire
    The inline backend closes figures at the end of their cell; the last cell opened them; a name
    of theirs was used since; they hold less than `min-bytes` and are 20 at most. In a script,
    fewer than five figures at its end are part of its work.
    """

    code = "MP205"
    name = "open-figures"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield one finding over all figures that were left open."""
        snapshot = evidence.snapshot if evidence.is_notebook else _last_with_figures(evidence)
        if snapshot is None:
            return
        bundle = _left_open(evidence, snapshot)
        if bundle is None:
            return
        count = len(_figures(bundle.holders))
        if count > TOO_MANY or bundle.exclusive >= evidence.config.min_bytes:
            yield self._finding(evidence, snapshot, bundle)

    def _finding(self, evidence: Evidence, snapshot: Snapshot, bundle: Bundle) -> Finding:
        figures = _figures(bundle.holders)
        everything = len(figures) == len(_figures(snapshot.holders))
        kept = "figure is" if len(figures) == 1 else "figures are"
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=figures[0],
            title=f"{len(figures)} {kept} open",
            why=f"pyplot keeps a figure until it is closed: {len(figures)} {kept} open that "
            "nothing drew on since",
            fix="\n".join([
                _closing(figures, everything=everything),
                *display_deletions(bundle.holders), *deletions(bundle.holders),
            ]),
        )  # fmt: skip


def _last_with_figures(evidence: Evidence) -> Snapshot | None:
    """Return a script's last look at figures: matplotlib closes all before the very end.

    Where a later snapshot of the running program shows none, the program closed them itself.
    """
    measured = [one for one in evidence.recording.snapshots if one.skipped is None]
    at_exit = [one for one in measured if one.reason == "exit"]
    looked = at_exit or measured[-1:]
    return next((one for one in reversed(looked) if _figures(one.holders)), None)


def _left_open(evidence: Evidence, snapshot: Snapshot) -> Bundle | None:
    """Return the figures that were left open, with the names and outputs that hold them too."""
    figures = _figures(snapshot.holders)
    if not evidence.is_notebook and len(figures) < FEW:
        return None
    opened = {holder.id: _opened(evidence, holder, snapshot) for holder in figures}
    last = max(opened.values(), default=-1)
    since = len(evidence.liveness.runs) - 1
    left = {
        holder.id
        for holder in figures
        if not evidence.is_notebook
        or since - opened[holder.id] >= (1 if len(figures) >= FEW else 2)
    }  # fmt: skip
    if not left:
        return None
    found = bundle_around(
        snapshot, left, lambda holder, group: _goes_along(evidence, holder, group, last)
    )
    if found is None:
        return None
    held = {one for group in found.groups for one in group.holders}
    return replace(found, holders=tuple(one for one in found.holders if one.id in held))


def _opened(evidence: Evidence, figure: Holder, snapshot: Snapshot) -> int:
    """Return the order of the execution after which nothing drew on the figure, as far as known.

    Where it is not known who opened it, or where it is the only one, every cell that used pyplot
    may have drawn on it.
    """
    run = evidence.created(figure)
    drew = [one.order for one in evidence.liveness.runs if one.used & _PYPLOT]
    if run is None or len(_figures(snapshot.holders)) == 1:
        return max(drew, default=-1)
    return run.order


def _goes_along(evidence: Evidence, holder: Holder, group: Group, last: int) -> bool:
    """Whether another holder of a figure was left behind with it: no cell used it since."""
    if holder.root == NAMESPACE:
        life = evidence.liveness.life(holder.expr)
        unused = life.last is None or life.last.order <= last
        return unused and not evidence.is_awaited(holder.expr)
    if holder.root == OUTPUT:
        return evidence.state(holder, group) is State.LEFT
    return holder.root == "module" and not evidence.is_notebook


def _figures(holders: tuple[Holder, ...] | list[Holder]) -> list[Holder]:
    return [holder for holder in holders if holder.root == FIGURE]


def _closing(figures: list[Holder], *, everything: bool) -> str:
    numbers = [re.sub(r"\D", "", holder.expr) for holder in figures]
    if everything or not all(numbers):
        return 'plt.close("all")'
    if len(numbers) == 1:
        return f"plt.close({numbers[0]})"
    return f"for number in ({', '.join(numbers)}): plt.close(number)"
