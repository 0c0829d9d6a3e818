"""Broadcast variables that Python made: their blocks, their file, and the value in this process.

Spark's own (of joins, tasks and configurations) are left alone.
"""

from __future__ import annotations

import os

from .jvm_wire import Foreign, JvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .jvm_wire import Gateway
    from .spark_blocks import Blocks
    from .spark_frames import Frames
    from .spark_holders import Name, Names

KIND = "TorrentBroadcast"  # the JVM's class of every broadcast
MOST = 500
MOST_HOLDERS = 20
UNNAMED = {"expr": "?", "root": "interpreter"}


class Held:
    """A reference of this process to a broadcast: its id in the JVM, and what Python knows of it.

    ``file`` is the size of the pickled value, ``value`` whether the value is in memory as well.
    """

    __slots__ = ("file", "holders", "java", "value")

    def __init__(
        self, java: str, holders: list[dict[str, Any]], file: int | None = None, value: bool = False
    ) -> None:
        self.java = java
        self.holders = holders
        self.file = file
        self.value = value


def held(frames: Frames, names: Names | None) -> list[Held]:
    """Return every live reference to a broadcast, with the names that lead to it."""
    found = []
    for java in frames.of_kind(KIND):
        named = [] if names is None else names.by_java.get(java, [])
        rows = [_reach(one) for one in named[:MOST_HOLDERS]]
        path, value = (None, False) if names is None else names.broadcasts.get(java, (None, False))
        if not rows and frames.is_held(java):
            rows = [dict(UNNAMED)]
        found.append(Held(java, rows, _file_size(path), value))
    return found


class Broadcasts:
    """Knows the broadcasts of one application that Python made, also when their names are gone."""

    def __init__(self, from_start: bool) -> None:
        self._from_start = from_start  # the first reading saw all that was ever made
        self._first = True
        self._seen: dict[int, dict[str, Any]] = {}  # id → cell and since

    def read(
        self, gateway: Gateway, handles: Iterable[Held], blocks: Blocks | None, t: int,
        cell: int | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return one row each, the largest first; sizes are None where ``blocks`` is.

        Blocks of an earlier reading count as none: a new broadcast is not among them.
        ``cell`` is the one that has just run. Raises JvmGone.
        """
        rows = _merged(_with_id(gateway, list(handles)[:MOST]))
        self._remember(rows, t, cell)
        stored = None if blocks is None or blocks.t < t else blocks.of("broadcast")
        for number in self._seen:
            if number not in rows and (stored is None or number in stored):
                rows[number] = {"id": number, "file": None, "value": False, "holders": []}
        if stored is not None:
            self._seen = {number: facts for number, facts in self._seen.items() if number in rows}
        done = [
            {**row, **self._seen[number], **_sizes(number, stored)} for number, row in rows.items()
        ]
        return sorted(done, key=lambda row: -(row["memory"] or 0) - (row["disk"] or 0))

    def _remember(self, rows: Iterable[int], t: int, cell: int | None) -> None:
        known = not self._first or self._from_start
        for number in rows:
            facts = {"cell": cell if known else None, "since": t if known else None}
            self._seen.setdefault(number, facts)
        self._first = False


def _with_id(gateway: Gateway, handles: list[Held]) -> list[tuple[int, bool, Held]]:
    """Return (id, destroyed, handle) of those that the JVM knows."""
    known = [(one, Foreign(one.java)) for one in handles]
    ids = gateway.calls((java, "id") for _, java in known)
    valid = gateway.calls((java, "isValid") for _, java in known)
    found = []
    for (handle, _), number, is_valid in zip(known, ids, valid):
        if type(number) is int and not isinstance(is_valid, JvmError):
            found.append((number, not is_valid, handle))
    return found


def _merged(found: list[tuple[int, bool, Held]]) -> dict[int, dict[str, Any]]:
    """Return one row per broadcast: several Python objects may stand for the same one."""
    rows: dict[int, dict[str, Any]] = {}
    for number, destroyed, handle in found:
        row = rows.setdefault(number, {"id": number, "file": None, "value": False, "holders": []})
        row["destroyed"] = destroyed
        row["file"] = row["file"] if handle.file is None else handle.file
        row["value"] = row["value"] or handle.value
        row["holders"] = row["holders"] + handle.holders
    return rows


def _sizes(number: int, stored: dict[int, dict[str, list[int]]] | None) -> dict[str, Any]:
    if stored is None:
        return {"memory": None, "disk": None, "executors": {}}
    executors = stored.get(number, {})
    memory = sum(one[0] for one in executors.values())
    disk = sum(one[1] for one in executors.values())
    return {"memory": memory, "disk": disk, "executors": executors}


def _reach(name: Name) -> dict[str, Any]:
    row: dict[str, Any] = {"expr": name.expr, "root": name.kind}
    if name.cell is not None:
        row["cell"] = name.cell
    return row


def _file_size(path: str | None) -> int | None:
    if path is None:
        return None
    try:
        return os.stat(path).st_size
    except OSError:
        return None
