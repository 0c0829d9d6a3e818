"""What a context has outside of its own heap: processes that it started, and shared memory.

The names that lead there are looked for only where there is something that they could lead to.
"""

from __future__ import annotations

from . import child_processes, process_owners, segment_owners
from .roots import named_roots
from .shared_segments import Segment, Segments, users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Beside:
    """Reads it for one probe, which remembers the segments it has seen."""

    def __init__(self) -> None:
        self._segments = Segments()

    def read(self, shell: Any) -> dict[str, Any]:
        """Return the fields of a snapshot; a table is None where it could not be read."""
        processes = child_processes.rows()
        segments = self._segments.read()
        found: dict[str, Any] = {"processes": processes}
        if processes:
            pids = [row["pid"] for row in processes]
            found["process_holders"] = process_owners.holders(pids, named_roots(shell))
        found["segments"] = None if segments is None else _rows(segments, shell)
        return found


def _rows(segments: list[Segment], shell: Any) -> list[dict[str, Any]]:
    if not segments:
        return []
    owners = segment_owners.Owners(segments)
    owners.look(named_roots(shell))
    others = users(segments)
    return [
        {
            "name": one.told, "bytes": one.bytes, "linked": one.linked,
            "registered": one.registered, "mapped": bool(one.spans), "open": one.open,
            "made": one.made or None, "users": others[one.identity],
            "holders": owners.rows[number], "unnamed": owners.unnamed[number],
        }
        for number, one in enumerate(segments)
    ]  # fmt: skip
