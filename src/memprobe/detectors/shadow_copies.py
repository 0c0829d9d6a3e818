"""MP203: a chain of near-identical frames, of which only the last is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from memprobe.analysis.describe import finding, ordered
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.frames import alike, is_frame
from memprobe.analysis.left_names import bundles_of
from memprobe.analysis.retention import Bundle
from memprobe.analysis.versions import Versions
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Holder, Snapshot

CELLS_SINCE = 2  # cells that went on without the earlier frames
LEAST_FRAMES = 3
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class ShadowCopies:
    """A chain of near-identical frames, of which only the last is used

    ## What it means
    `df`, `df2`, `df_clean`: each frame was computed from the one before, has about the same rows
    and columns, and owns a copy of the data. The notebook went on with the last one. The earlier
    ones were not used since their successor was bound, and at least two cells ran since.

    ## Why it matters
    Each step of a clean-up costs the whole frame once more, and it stays: three steps need four
    times the memory. In a chain of methods, or in a function, each intermediate frame ends as
    soon as the next one is there.

    ## Example
    ```python
    df = pd.read_parquet("orders.parquet")     # 2 GiB
    df2 = df.drop_duplicates()                 # 2 GiB more
    df_clean = df2[df2.amount > 0]             # and again
    ...                                        # everything below works on df_clean
    ```

    ## Use instead
    ```python
    df = (
        pd.read_parquet("orders.parquet")
        .drop_duplicates()
        .query("amount > 0")
    )
    ```
    or bind one name again and again (`df = df.drop_duplicates()`), or `del df, df2` once the
    last frame is right.

    ## When it does not fire
    An earlier frame was used after its successor was bound, for a plot or a comparison; the last
    frame was bound just now; the frames differ in rows by more than a fifth, or in columns; each
    holds other values than the one before (`returns = prices.pct_change()`) and the names do not
    say that they are versions of one frame; or they share their buffers, as pandas'
    copy-on-write makes `rename` and `assign` do, so that nothing would come back.
    """

    code = "MP203"
    name = "shadow-copies"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per chain, and one more per bundle of its names that is stale."""
        if evidence.snapshot is None or not evidence.is_notebook:
            return
        for chain in _chains(evidence, evidence.snapshot):
            wanted = {holder.id for frame in chain[:-1] for holder in frame.holders}
            for bundle in bundles_of(evidence, wanted):
                yield self._finding(evidence, bundle, chain)

    def _finding(self, evidence: Evidence, bundle: Bundle, chain: list[_Frame]) -> Finding:
        names = [holder for holder in ordered(bundle.holders) if holder.root == NAMESPACE]
        names.sort(key=lambda holder: _created(evidence, holder.expr))
        last, steps = chain[-1].name, " → ".join(f"`{frame.name}`" for frame in chain)
        kept = ", ".join(f"`{holder.expr}`" for holder in names)
        verb = "keeps a version" if len(names) == 1 else "keep versions"
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=names[0],
            title=f"{kept} {verb} of `{last}` that nothing uses any more",
            why=f"{steps}: each frame was computed from the one before and copied its data; "
            f"the cells since cell {_made_in(evidence, last)} used none but `{last}`",
            fix="\n".join([
                *display_deletions(bundle.holders), *deletions(names),
                "chain the steps, or bind one name again, and each version ends with the next",
            ]),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame and the names of it."""

    holders: tuple[Holder, ...]

    @property
    def name(self) -> str:
        return self.holders[0].expr


def _chains(evidence: Evidence, snapshot: Snapshot) -> Iterator[list[_Frame]]:
    """Yield chains of at least three frames: superseded ones, in order, and what came of them."""
    frames = _frames(snapshot)
    later = _successors(evidence, snapshot, frames)
    chains = sorted((_chain(frame, later) for frame in frames), key=len, reverse=True)
    ends: set[_Frame] = set()
    for chain in chains:
        if len(chain) >= LEAST_FRAMES and chain[-1] not in ends:
            ends.add(chain[-1])
            yield chain


def _chain(frame: _Frame, later: dict[_Frame, _Frame]) -> list[_Frame]:
    chain = [frame]
    while chain[-1] in later and later[chain[-1]] not in chain:
        chain.append(later[chain[-1]])
    return chain


def _frames(snapshot: Snapshot) -> list[_Frame]:
    by_object: dict[int, list[Holder]] = {}
    for holder in snapshot.holders:
        if holder.root == NAMESPACE and is_frame(holder):
            by_object.setdefault(holder.object, []).append(holder)
    return [_Frame(tuple(holders)) for holders in by_object.values()]


def _successors(
    evidence: Evidence, snapshot: Snapshot, frames: list[_Frame]
) -> dict[_Frame, _Frame]:
    """Return for each superseded frame the near copy that took its place."""
    versions = Versions(evidence.liveness.runs)
    by_name = {holder.expr: frame for frame in frames for holder in frame.holders}
    later: dict[_Frame, _Frame] = {}
    for frame in frames:
        for holder in frame.holders:
            for link in versions.ancestors(holder.expr, set(by_name)):
                source = by_name[link.source.name]
                copied = not link.recomputed or _same_words(link.source.name, holder.expr)
                if source is frame or not copied or not alike(source.holders[0], holder):
                    continue
                if _superseded(evidence, source, frame) and _apart(snapshot, source, frame):
                    later[source] = frame
    return later


def _superseded(evidence: Evidence, source: _Frame, successor: _Frame) -> bool:
    """Whether no cell used ``source`` since its successor was bound, and enough cells ran."""
    bound = max(_created(evidence, holder.expr) for holder in successor.holders)
    for holder in source.holders:
        life = evidence.liveness.life(holder.expr)
        if evidence.is_awaited(holder.expr) or life.last is None or life.last.order > bound:
            return False
    return len(evidence.liveness.runs) - 1 - bound >= CELLS_SINCE


def _created(evidence: Evidence, name: str) -> int:
    run = evidence.liveness.life(name).created
    return -1 if run is None else run.order


def _made_in(evidence: Evidence, name: str) -> int | None:
    run = evidence.liveness.life(name).created
    return None if run is None else run.cell


def _apart(snapshot: Snapshot, one: _Frame, other: _Frame) -> bool:
    """Whether each of two frames has most of its bytes in buffers of its own."""
    ones = {holder.id for holder in one.holders}
    others = {holder.id for holder in other.holders}
    groups = [(set(group.holders), group.bytes) for group in snapshot.groups]
    shared = sum(size for held, size in groups if held & ones and held & others)
    least = min(sum(size for held, size in groups if held & ids) for ids in (ones, others))
    return shared <= least / 2


def _same_words(one: str, other: str) -> bool:
    """Whether two names share a word: ``df`` and ``df2``, ``orders`` and ``clean_orders``."""
    words = [{word.lower() for word in _WORD.findall(name)} for name in (one, other)]
    return bool(words[0] & words[1])
