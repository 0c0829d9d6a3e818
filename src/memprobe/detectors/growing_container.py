"""MP101: a container grows in every equal round."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import Evidence
from memprobe.analysis.grown import FRAMES, Kept, kept_by, round_words, with_growth
from memprobe.analysis.growth import CellGrowth, Rounds, base, windows_grown
from memprobe.detectors.caching import is_cache
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding, Status

# A script that ends before anything could be measured twice: so many items are no accident.
MANY_ITEMS = 5


class GrowingContainer:
    """A container grows in every equal round

    ## What it means
    A list, dict, set or deque that lives as long as the program does (a global name, a class
    attribute, an attribute of an object you keep) got more items in every one of at least three
    equal rounds (`growth-rounds`), and never lost any.

    In a notebook a round is one run of a cell: the same source, while nothing that it uses was
    changed by another cell in between. In a script it is a part of the run, for containers that
    the code only ever adds to and never reads.

    ## Why it matters
    Memory that grows with the number of runs, messages or requests has no upper end: the
    notebook that was re-run once too often dies, and the job that handled a day's data last
    month does not handle this month's.

    ## Example
    ```python
    frames = []
    # next cell, run again and again while you work on it
    orders = load()
    frames.append(orders)      # run it four times: four copies of the same rows
    ```
    ```python
    _SEEN = []

    def handle(message):
        _SEEN.append(message)  # nobody ever reads it
    ```

    ## Use instead
    ```python
    frames = [load(day) for day in days]       # starts over in the cell that fills it
    latest = collections.deque(maxlen=100)     # a bound
    counts[type(message)] += 1                 # the number instead of the thing
    ```

    ## When it does not fire
    What the container alone keeps is smaller than `min-bytes`; a run did not add to it, or items
    were taken out; the cell reads on in an iterator or file, works off another list, or counts a
    name on (`page += 1`); another cell changed a name the cell uses between two runs (another
    parameter is other work); the container has a bound. In a script: the code reads, iterates,
    returns, passes on or empties it anywhere, or hands the object that it belongs to to others.
    """

    code = "MP101"
    name = "growing-container"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per container that grew in every round."""
        if evidence.snapshot is None:
            return
        rows = self._cells(evidence) if evidence.is_notebook else self._script(evidence)
        seen: set[str] = set()
        for kept, rounds, found in rows:
            if kept.holder.expr not in seen:
                seen.add(kept.holder.expr)
                yield with_growth(found, rounds, kept)

    def _cells(self, evidence: Evidence) -> Iterator[tuple[Kept, Rounds | None, Finding]]:
        growth = CellGrowth(evidence.liveness.runs, evidence.config.growth_rounds)
        for expr, rounds in growth.containers.items():
            kept = kept_by(evidence, expr, growth.final.get(expr))
            if kept is None or not _is_plain(kept) or is_cache(evidence, kept.holder):
                continue
            status: Status = "suspect" if _read_since(evidence, rounds) else "leaking"
            why = (
                f"{round_words(rounds)}, and each run left {_count(rounds.items)} more in "
                f"`{kept.holder.expr}`: {kept.items} now"
            )
            yield kept, rounds, self._finding(evidence, kept, status, why)

    def _script(self, evidence: Evidence) -> Iterator[tuple[Kept, Rounds | None, Finding]]:
        assert evidence.snapshot is not None
        recording = evidence.recording
        for expr in evidence.snapshot.grown:
            lengths = [s.lengths[expr] for s in recording.samples if expr in s.lengths]
            grew = windows_grown(
                recording.samples, recording.header.t, expr, evidence.config.growth_rounds
            )
            enough = bool(lengths) and lengths[-1] >= MANY_ITEMS
            kept = kept_by(evidence, expr, lengths[-1] if lengths else None)
            if kept is None or not _is_plain(kept) or not (enough if grew is None else grew):
                continue
            why = (
                f"the code adds to `{expr}` and never reads, empties or hands it on: "
                f"{kept.items} items at the end"
            )
            yield kept, None, self._finding(evidence, kept, "leaking", why)

    def _finding(self, evidence: Evidence, kept: Kept, status: Status, why: str) -> Finding:
        expr = kept.holder.expr
        return finding(
            evidence, kept.bundle, code=self.code, name=self.name, status=status,
            first=kept.holder, title=f"`{expr}` only grows", why=why, fix=_fix(evidence, kept),
        )  # fmt: skip


def _is_plain(kept: Kept) -> bool:
    """Whether it is neither a cache with counters nor a frame: their lengths are known too."""
    return kept.holder.root != "lru-cache" and not kept.holder.type.startswith(FRAMES)


def _read_since(evidence: Evidence, rounds: Rounds) -> bool:
    """Whether a cell with another source used the container after the last round."""
    later = evidence.liveness.runs[rounds.last.order + 1 :]
    name = base(rounds.expr or "")
    return any(name in run.used and run.hash != rounds.last.hash for run in later)


def _count(items: float) -> str:
    number = f"{items:.0f}" if items >= 10 or items == int(items) else f"{items:.1f}"
    return f"{number} item" if number == "1" else f"{number} items"


def _fix(evidence: Evidence, kept: Kept) -> str:
    expr = kept.holder.expr
    if not evidence.is_notebook:
        return f"{expr}.clear()  # or keep what you need of an item, or collections.deque(maxlen=N)"
    lines = [f"{expr}.clear()  # and start it anew in the cell that fills it"]
    others = [one for one in kept.others if one.object != kept.holder.object]
    return "\n".join([*lines, *display_deletions(others), *deletions(others)])
