"""Tables by their extent: which holders are frames, and which of them are alike."""

from __future__ import annotations

from collections.abc import Mapping

from memprobe.recording.schema import Holder

ALIKE = 0.8  # share of rows and of columns that two near-identical frames have in common
_FRAMES = ("DataFrame", "Table")


def is_frame(holder: Holder) -> bool:
    """Whether a holder's object has rows and columns of a data library."""
    kind = holder.type.rpartition(".")[2]
    return "." in holder.type and kind in _FRAMES and len(holder.shape or ()) == 2


def alike(one: Holder, other: Holder) -> bool:
    """Whether two frames have about the same rows, and mostly columns of the same dtypes."""
    if one.type != other.type or not one.shape or not other.shape:
        return False
    rows = _share(one.shape[0], other.shape[0])
    # One column more or less is no other frame, however few there are.
    close = abs(one.shape[1] - other.shape[1]) <= 1
    columns = _share(one.shape[1], other.shape[1])
    return rows >= ALIKE and (close or columns >= ALIKE) and _same_dtypes(one.dtypes, other.dtypes)


def _same_dtypes(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether more than half of the columns have a counterpart; True where dtypes are unknown."""
    common = sum(min(count, other.get(dtype, 0)) for dtype, count in one.items())
    most = max(sum(one.values()), sum(other.values()))
    return not one or not other or common > most / 2


def _share(one: int, other: int) -> float:
    return min(one, other) / max(one, other, 1)
