"""What the contrast rules judge beside the notebook's own evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from memprobe.contrasts import HolderRow, RoundGrowth
from memprobe.recording.schema import Holder


@dataclass(frozen=True)
class ContrastEvidence:
    """Growth over rounds where fresh processes show none, and every holder's life in both.

    ``naming`` calls a holder alike in every round; ``wall`` is the first round's length in
    seconds, None where it is not known.
    """

    growth: tuple[RoundGrowth, ...]
    holders: tuple[HolderRow, ...]
    naming: Callable[[Holder], str]
    wall: float | None
