"""What comes back if given names are let go, told apart by what MP202 says of them already."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import Evidence, State
from memprobe.analysis.retention import Bundle, bundle_around
from memprobe.recording.schema import Group, Holder


def bundles_of(evidence: Evidence, wanted: set[int]) -> Iterator[Bundle]:
    """Yield the bundles of the holders with the ids ``wanted``, of ``min_bytes`` and more.

    Those that are stale come first, in exactly the bundles that MP202 reports, so that both rules
    speak of one finding. The rest is one bundle, with what IPython keeps of it beside the names.
    """
    if evidence.snapshot is None:
        return
    left = set(wanted)
    for bundle in evidence.reclaimable:
        members = {holder.id for holder in bundle.holders}
        if members & left:
            left -= members
            yield bundle

    def left_behind(holder: Holder, group: Group) -> bool:
        return evidence.state(holder, group) in (State.STALE, State.LEFT)

    rest = bundle_around(evidence.snapshot, left, left_behind) if left else None
    if rest is not None and rest.exclusive >= evidence.config.min_bytes:
        yield rest
