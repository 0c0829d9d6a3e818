"""What counts as a cache, for the rules that speak of one."""

from __future__ import annotations

import re

from memprobe.analysis.evidence import Evidence
from memprobe.recording.schema import Holder

_NAMED_SO = re.compile(r"cache|memo(?!ry)", re.IGNORECASE)
DICTS = ("dict", "collections.defaultdict", "collections.OrderedDict")


def is_cache(evidence: Evidence, holder: Holder) -> bool:
    """Whether a holder is an ``lru_cache``, or a dict that code uses or names as a cache."""
    if holder.cache is not None:
        return True
    if holder.type not in DICTS or evidence.snapshot is None:
        return False
    named = _NAMED_SO.search(holder.expr.rpartition(".")[2]) is not None
    return named or holder.expr in evidence.snapshot.memos
