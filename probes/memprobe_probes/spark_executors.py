"""The executors of a Spark application: storage memory, tasks, and how large their processes are.

From the driver's own store of states, which is there without the UI too, and from the block
manager's master. Sizes are bytes.
"""

from __future__ import annotations

from .jvm_lists import asked, of_seq
from .spark_spill import Spilled
from .spark_workers import ExecutorProcesses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .jvm_wire import Gateway
    from .spark_session import Driver

MOST = 200
MOST_GONE = 20  # the last ones

_FIELDS = {
    "hostPort": "host", "isActive": "active", "totalCores": "cores", "maxMemory": "max",
    "memoryUsed": "used", "diskUsed": "disk", "rddBlocks": "blocks",
    "failedTasks": "failed_tasks", "totalDuration": "task_ms", "totalGCTime": "gc_ms",
}  # fmt: skip
_PEAKS = {
    "JVMHeapMemory": "heap_peak", "ProcessTreeJVMRSSMemory": "jvm_rss",
    "ProcessTreePythonRSSMemory": "python_rss",
}  # fmt: skip
# What a reason says, and the word that is recorded for it: the first that matches.
_REASONS = (
    ("decommission", "decommissioned"), ("heartbeat", "heartbeat timed out"),
    ("memory limit", "out of memory"), ("outofmemory", "out of memory"), ("idle", "idle"),
    ("exclud", "excluded"), ("kill", "killed"), ("disassociat", "lost"), ("lost", "lost"),
    ("disconnect", "lost"),
)  # fmt: skip


class Executors:
    """Reads the executors of one application, those that are gone included."""

    def __init__(self, app: str) -> None:
        self.left_out = 0  # executors that the last reading had no room for
        self._gone: dict[str, dict[str, Any]] = {}  # nothing changes about these any more
        self._processes = ExecutorProcesses(app)
        self._spilled = Spilled()

    def read(self, driver: Driver, pid: int | None) -> list[dict[str, Any]]:
        """Return one row each; ``pid`` is the driver's JVM where that is on this host.

        Raises JvmError and JvmGone.
        """
        gateway = driver.gateway
        store = gateway.call(driver.context(), "statusStore")
        listed = gateway.call(store, "executorList", False)
        found = of_seq(gateway, listed, MOST)
        self.left_out = max(gateway.call(listed, "size") - MOST, 0)
        names = asked(gateway, ((one, "id") for one in found))
        new = {name: one for name, one in zip(names, found) if name not in self._gone}
        rows = _rows(gateway, new)
        status = gateway.call(driver.context(), "getExecutorMemoryStatus")
        _add_rooms(rows, rooms(gateway.call(status, "mkString", "\n")))
        _add_reasons(gateway, [(row, new[row["id"]]) for row in rows if not row["active"]])
        alive = [row for row in rows if row["active"]]
        self._processes.measure(alive, pid)
        self._spilled.add(rows, driver, store)
        self._gone.update((row["id"], row) for row in rows if not row["active"])
        return [*alive, *list(self._gone.values())[-MOST_GONE:]]

    def unmeasured(self) -> Iterator[tuple[str, str]]:
        """Yield what the last reading left out, and why."""
        if self.left_out:
            yield f"{self.left_out} more executors", f"{MOST} are listed"
        if not self._spilled.complete:
            yield "what earlier stages have spilled", "Spark had forgotten them when memprobe came"


def rooms(text: str) -> dict[str, tuple[int, int]]:
    """Return host:port → (largest, remaining) storage memory, from what Scala prints of the map."""
    found = {}
    for line in text.split("\n"):
        place, _, pair = line.partition(" -> ")
        largest, _, remaining = pair.strip("()").partition(",")
        if largest.isdigit() and remaining.isdigit():
            found[place] = (int(largest), int(remaining))
    return found


def reason_word(text: str) -> str:
    """Return why an executor is gone in one of our own words: the text may tell addresses."""
    text = text.lower()
    for mark in ("exit code ", "exited with code ", "exit status "):
        code = text.partition(mark)[2].split(maxsplit=1)[:1]
        digits = code[0].rstrip(".,;:)") if code else ""
        if digits.lstrip("-").isdigit():
            return f"exited {digits}"
    return next((word for mark, word in _REASONS if mark in text), "other")


def _rows(gateway: Gateway, found: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = [*_FIELDS, "peakMemoryMetrics"]
    answers = iter(asked(gateway, ((one, name) for one in found.values() for name in wanted)))
    rows = []
    for name in found:
        row = {"id": name, **{field: next(answers) for field in _FIELDS.values()}}
        row["place"], row["peak"] = row["host"], next(answers)
        row["host"] = row["host"].rpartition(":")[0]
        rows.append(row)
    _add_peaks(gateway, rows)
    return rows


def _add_peaks(gateway: Gateway, rows: list[dict[str, Any]]) -> None:
    """Replace the optional ``peak`` of each row by what it says; 0 is "not measured" there."""
    options = [row.pop("peak") for row in rows]
    told = asked(gateway, ((one, "isDefined") for one in options))
    known = [(row, one) for row, one, is_told in zip(rows, options, told) if is_told]
    peaks = asked(gateway, ((one, "get") for _, one in known))
    names = list(_PEAKS)
    values = iter(
        asked(gateway, ((one, "getMetricValue", name) for one in peaks for name in names))
    )
    for row, _ in known:
        row.update((field, next(values) or None) for field in _PEAKS.values())
        if row["jvm_rss"] or row["python_rss"]:
            row["rss_by"] = "peak"


def _add_rooms(rows: list[dict[str, Any]], found: dict[str, tuple[int, int]]) -> None:
    for row in rows:
        largest, remaining = found.get(row.pop("place"), (None, None))
        row["remaining"] = remaining
        if largest is not None and remaining is not None:
            row["max"], row["used"] = largest, largest - remaining


def _add_reasons(gateway: Gateway, gone: list[tuple[dict[str, Any], Any]]) -> None:
    """Say why executors are gone; what they had stored is gone with them."""
    for row, one in gone:
        row.update(used=0, disk=0, blocks=0)
        reason = gateway.call(one, "removeReason")
        if gateway.call(reason, "isDefined"):
            row["removed"] = reason_word(str(gateway.call(reason, "get")))
