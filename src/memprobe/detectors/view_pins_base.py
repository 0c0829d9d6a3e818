"""MP301: a small view keeps a large buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from memprobe.analysis.describe import finding, ordered, subject_of
from memprobe.analysis.evidence import NAMESPACE, OUTPUT, Evidence
from memprobe.analysis.retention import Bundle, bundle_around, bundles
from memprobe.detectors.copying import copies
from memprobe.detectors.letting_go import display_deletions
from memprobe.findings import Finding, Reclaim
from memprobe.recording.schema import Group, Holder, Snapshot

# Who holds something by a name that the user can bind again to a copy.
_COPIED = frozenset({NAMESPACE, OUTPUT, "module", "class-attribute"})


class ViewPinsBase:
    """A small view keeps a large buffer

    ## What it means
    A slice, a row or a column is a view: it shows a part of a buffer and keeps all of it. The
    frame, array or table that the buffer was made for is gone, nobody can reach the rest of the
    data any more, and it stays in memory for as long as the view does.

    ## Why it matters
    Five rows of each file, collected for a look, keep every file. The list has a few hundred
    rows, and nothing in it says what it weighs. It makes no difference how much you use the view:
    what is pinned is the part that no view shows.

    ## Example
    ```python
    samples = []
    for path in paths:
        df = pd.read_parquet(path)     # 1 GiB each
        samples.append(df[:5])         # keeps all of it
    ```

    ## Use instead
    ```python
    samples.append(df[:5].copy())      # five rows
    ```
    For what is there already: `samples = [one.copy() for one in samples]`, `row = row.copy()`.
    Arrow data is not copied by `copy()`: `table = table.take(list(range(len(table))))`, and for
    frames with Arrow strings, as pandas 3 makes them, `df = df.astype(object).astype(df.dtypes)`.

    ## When it does not fire
    The frame or array itself is still alive under some name; the views together show more than
    half of the buffer; or what they hide is smaller than `min-bytes`.
    """

    code = "MP301"
    name = "view-pins-base"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per set of holders that pin buffers together, in use or not."""
        if evidence.snapshot is None:
            return
        for bundle, pinned in _pinning(evidence.snapshot, evidence.config.min_bytes):
            yield self._finding(evidence, bundle, pinned)

    def _finding(self, evidence: Evidence, bundle: Bundle, pinned: int) -> Finding:
        first = _first(bundle)
        subject = subject_of(bundle, first)
        names = [holder for holder in bundle.holders if holder.root != OUTPUT]
        shown = ", ".join(f"`{holder.expr}`" for holder in ordered(bundle.holders)[:3])
        found = finding(
            evidence, bundle, code=self.code, name=self.name, status="leaking", first=first,
            title=f"{shown} pins buffers that nobody can reach any more",
            why=f"{shown} shows a part of what it keeps (as {subject.type}): the frame or array "
            "that the memory was made for is gone, and the view keeps all of it",
            fix="\n".join([*display_deletions(bundle.holders), *copies(names, bundle)]),
        )  # fmt: skip
        found.reclaim = Reclaim(bytes=pinned, low=pinned, high=pinned)
        return found


def _first(bundle: Bundle) -> Holder:
    return next(one for one in ordered(bundle.holders) if one.id in bundle.largest.holders)


def _pinning(snapshot: Snapshot, least: int) -> Iterator[tuple[Bundle, int]]:
    """Yield holders that pin buffers together, and the bytes that none of their views shows."""
    for bundle in bundles(snapshot, _pins, least):
        members = {holder.id for holder in bundle.holders}
        pinned = sum(group.pinned or 0 for group in bundle.groups)
        whole = bundle_around(snapshot, members, lambda holder, group: False)
        if pinned >= least and whole is not None:
            yield replace(bundle, exclusive=whole.exclusive, shared=whole.shared), pinned


def _pins(holder: Holder, group: Group) -> bool:
    """Whether views hide at least half of the group, and a copy can take their place."""
    return holder.root in _COPIED and bool(group.pinned) and 2 * (group.pinned or 0) >= group.bytes
