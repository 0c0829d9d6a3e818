"""The streaming queries that run on a driver, of all its sessions, and how much state they keep."""

from __future__ import annotations

from .jvm_lists import asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jvm_wire import Gateway, Handle

MOST = 50
MOST_OPERATORS = 20


def read(gateway: Gateway, session: Handle) -> list[dict[str, Any]]:
    """Return one row per running query, without its name; raises JvmError and JvmGone.

    ``session`` is any session of the driver's JVM: what they share knows the queries of all.
    """
    table = gateway.call(gateway.call(session, "sharedState"), "activeStreamingQueries")
    if gateway.call(table, "isEmpty"):
        return []
    queries = gateway.elements(gateway.call(gateway.call(table, "values"), "toArray"), MOST)
    return [_row(gateway, query) for query in queries]


def _row(gateway: Gateway, query: Handle) -> dict[str, Any]:
    number, active, progress = asked(
        gateway, ((query, "id"), (query, "isActive"), (query, "lastProgress"))
    )
    row = {"id": gateway.call(number, "toString"), "active": active}
    if progress is None:  # no batch has ended yet
        return row
    batch, found = asked(gateway, ((progress, "batchId"), (progress, "stateOperators")))
    row["batches"] = batch
    operators = gateway.elements(found, MOST_OPERATORS)
    if operators:
        row["state_rows"] = sum(asked(gateway, ((one, "numRowsTotal") for one in operators)))
        row["state_bytes"] = sum(asked(gateway, ((one, "memoryUsedBytes") for one in operators)))
    return row
