"""Blocks that a Spark application has stored, by kind, by RDD and by broadcast."""

from __future__ import annotations

import time

from .jvm_lists import asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .spark_session import Driver

MOST_BLOCKS = 20_000
MOST_EXECUTORS = 1000
REST = 200  # times what listing took, until the blocks are listed again

_KINDS = {
    "rdd": "rdd", "broadcast": "broadcast", "shuffle": "shuffle", "shuffleMerged": "shuffle",
    "shuffleChunk": "shuffle", "input": "stream", "taskresult": "task",
}  # fmt: skip


class TooMany(Exception):
    """There are more blocks than are listed; the text says how many."""


class Blocks:
    """What ``listed`` found: (executor, name of the block, bytes in memory, bytes on disk) each."""

    def __init__(self, rows: list[tuple[str, str, int, int]]) -> None:
        self.rows = rows
        self.t = time.monotonic_ns()  # when they were listed

    def by_kind(self) -> list[dict[str, Any]]:
        """Return one row per kind of block, the largest first; sizes are bytes."""
        kinds: dict[str, dict[str, Any]] = {}
        for _, name, memory, disk in self.rows:
            kind = _KINDS.get(name.partition("_")[0].partition("-")[0], "other")
            row = kinds.setdefault(kind, {"kind": kind, "count": 0, "memory": 0, "disk": 0})
            row["count"] += 1
            row["memory"] += memory
            row["disk"] += disk
        return sorted(kinds.values(), key=lambda row: -row["memory"] - row["disk"])

    def on_disk(self) -> dict[str, int]:
        """Return executor → bytes on its disk."""
        found: dict[str, int] = {}
        for executor, _, _, disk in self.rows:
            found[executor] = found.get(executor, 0) + disk
        return found

    def of(self, kind: str) -> dict[int, dict[str, list[int]]]:
        """Return number → executor → [memory, disk] for blocks ``rdd_N_…`` or ``broadcast_N…``."""
        found: dict[int, dict[str, list[int]]] = {}
        start = f"{kind}_"
        for executor, name, memory, disk in self.rows:
            number = name[len(start) :].partition("_")[0] if name.startswith(start) else ""
            if number.isdigit():
                sizes = found.setdefault(int(number), {}).setdefault(executor, [0, 0])
                sizes[0] += memory
                sizes[1] += disk
        return found


class BlockReader:
    """Lists the blocks now and then: the more there are, the less often.

    Listing costs the driver time as well, so what took long is not done again at once.
    """

    def __init__(self) -> None:
        self._not_before = 0.0

    def listed(self, driver: Driver) -> Blocks | None:
        """Return the blocks; None where it is too soon. Raises TooMany, JvmError and JvmGone."""
        started = time.monotonic()
        if started < self._not_before:
            return None
        try:
            return listed(driver)
        finally:
            now = time.monotonic()
            cost = now - started
            self._not_before = now + cost * REST if cost > 0.025 else 0.0


def listed(driver: Driver, most: int = MOST_BLOCKS) -> Blocks:
    """Return every block that the block manager's master knows of; raises TooMany."""
    gateway = driver.gateway
    statuses = gateway.call(driver.block_manager_master(), "getStorageStatus")
    found = gateway.elements(statuses, MOST_EXECUTORS)
    ids = asked(gateway, ((one, "blockManagerId") for one in found))
    maps = asked(gateway, ((one, "blocks") for one in found))
    executors = asked(gateway, ((one, "executorId") for one in ids))
    total = sum(asked(gateway, ((one, "size") for one in maps)))
    if total > most:
        raise TooMany(f"{total} blocks are stored")
    texts = asked(gateway, ((one, "mkString", "\n") for one in maps))
    return Blocks([row for pair in zip(executors, texts) for row in parsed(*pair)])


def parsed(executor: str, text: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield the rows of one executor's blocks, from what Scala prints of the map of them."""
    for line in text.split("\n"):
        name, _, status = line.partition(" -> ")
        # BlockStatus(StorageLevel(memory, 1 replicas),6380,0)
        rest, _, disk = status.rstrip(")").rpartition(",")
        memory = rest.rpartition(",")[2]
        if memory.isdigit() and disk.isdigit():
            yield executor, name, int(memory), int(disk)
