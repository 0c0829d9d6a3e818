"""What allocators keep of what was freed, and whether the last cells had a use for it."""

from __future__ import annotations

from memprobe.analysis.account import current, target
from memprobe.analysis.evidence import Evidence
from memprobe.recording.schema import Account, ProcessMemory

IDLE_SECONDS = 0.01  # CPU of one cell: less does not fill and free tens of megabytes
ARROW_NAMES = frozenset({
    "pyarrow", "pa", "pc", "pq", "ds", "feather", "pandas", "pd", "polars", "pl",
})  # fmt: skip
_ARROW_TYPES = ("pyarrow.", "pandas.", "polars.")


def last_account(evidence: Evidence) -> tuple[Account, ProcessMemory] | None:
    """Return the account of the last snapshot with the row of the target, or None."""
    account = current(evidence.recording)
    process = target(account) if account is not None else None
    return (account, process) if account is not None and process is not None else None


def worked_lately(evidence: Evidence) -> bool:
    """Whether one of the last cells used CPU as allocating much does, or that is not known.

    What an allocator keeps is there to be used again: who works with it has a use for it.
    """
    runs = evidence.liveness.runs[-evidence.config.stale_cells :]
    if len(runs) < evidence.config.stale_cells or not all(run.observed for run in runs):
        return True
    spent = _cpu_by_cell(evidence)
    return any(spent.get(run.started, IDLE_SECONDS) >= IDLE_SECONDS for run in runs)


def arrow_lately(evidence: Evidence) -> bool:
    """Whether one of the last cells used Arrow: a module, or a name that holds such data."""
    runs = evidence.liveness.runs[-evidence.config.stale_cells :]
    if len(runs) < evidence.config.stale_cells:
        return True
    holding = {one.expr for one in evidence.holders.values() if one.type.startswith(_ARROW_TYPES)}
    return any(run.used & (ARROW_NAMES | holding) or run.running for run in runs)


def _cpu_by_cell(evidence: Evidence) -> dict[int, float]:
    """Return when a cell started → CPU seconds that the process used while it ran."""
    found: dict[int, float] = {}
    started = None
    for marker in evidence.recording.markers:
        if marker.marker != "cell":
            continue
        if marker.phase == "start":
            started = marker
        elif started is not None and marker.cell == started.cell:
            if marker.cpu is not None and started.cpu is not None:
                found[started.t] = marker.cpu - started.cpu
            started = None
    return found
