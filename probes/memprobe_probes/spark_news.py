"""Whether a reading of an application says something new, and is worth a record."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COUNTERS = ("t", "took_ns", "user_ns", "python_objects", "jvm_objects", "accumulators",
             "executions", "jobs", "stages", "blocks", "streams", "unmeasured")  # fmt: skip
_SIZES = ("jvm_rss", "python_rss")
_SMALL = 16 << 20  # bytes
_SHARE = 0.1  # by which a size of an executor's processes changes that is worth a record


class News:
    """Remembers the last reading that was written."""

    def __init__(self) -> None:
        self._written: tuple[dict[str, Any], float] | None = None

    def worth_writing(self, fields: dict[str, Any], *, forced: bool, after: float) -> bool:
        """Whether a reading says something new, or the last one is older than ``after`` seconds."""
        now = time.monotonic()
        before, since = self._written or ({}, now - after)
        new = {name: value for name, value in fields.items() if name not in _COUNTERS}
        rows = fields.get("executors")
        new["executors"] = rows and _told(rows, before.get("executors") or {})
        if not forced and before == new and now - since < after:
            return False
        self._written = new, now
        return True


def _told(rows: list[dict[str, Any]], before: dict[Any, Any]) -> dict[Any, Any]:
    """Return which executors there are and their sizes, as they were where they hardly moved.

    What executors count goes on at rest, too.
    """
    told = {}
    for row in rows:
        former = before.get(row.get("id"), {})
        sizes = {name: _steady(row.get(name), former.get(name)) for name in _SIZES}
        told[row.get("id")] = {"active": row.get("active"), **sizes}
    return told


def _steady(now: int | None, before: int | None) -> int | None:
    if now is None or before is None or abs(now - before) > max(_SMALL, _SHARE * before):
        return now
    return before
