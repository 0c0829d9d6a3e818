"""What a context has outside of its own process: the processes that it started.

The names that lead there are looked for only where there is something that they could lead to.
"""

from __future__ import annotations

from . import child_processes, process_owners
from .roots import named_roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(shell: Any) -> dict[str, Any]:
    """Return the fields of a snapshot; a table is None where it could not be read."""
    processes = child_processes.rows()
    found: dict[str, Any] = {"processes": processes}
    if processes:
        pids = [row["pid"] for row in processes]
        found["process_holders"] = process_owners.holders(pids, named_roots(shell))
    return found
