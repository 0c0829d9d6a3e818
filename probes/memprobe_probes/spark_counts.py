"""How much a driver and this process remember: executions, jobs, stages, accumulators, objects."""

from __future__ import annotations

import sys

from . import sizes
from .jvm_wire import Foreign, JvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .jvm_wire import Gateway, Handle
    from .spark_session import Driver

_SERVER = "GATEWAY_SERVER"  # py4j's own name for the server that answers us
_TABLE = "bindings"
_STORED = {
    "jobs": "org.apache.spark.status.JobDataWrapper",
    "stages": "org.apache.spark.status.StageDataWrapper",
}


def read(driver: Driver, session: Handle | None) -> dict[str, int | None]:
    """Return the counters of a reading; None where a number cannot be had. Raises JvmGone."""
    parts: dict[str, Callable[[], int | None]] = {
        "jobs": lambda: _stored(driver, "jobs"),
        "stages": lambda: _stored(driver, "stages"),
        "executions": lambda: _executions(driver.gateway, session),
        "accumulators": accumulators,
        "python_objects": python_objects,
        "jvm_objects": lambda: _jvm_objects(driver.gateway),
    }
    return {name: _told(part) for name, part in parts.items()}


def accumulators() -> int | None:
    """Return how many accumulators this process holds: PySpark's table keeps each until the end.

    Those of its own profilers have negative ids.
    """
    found = _module("pyspark.accumulators").get("_accumulatorRegistry")
    if type(found) is not dict:
        return None
    return sum(1 for number in list(found) if type(number) is int and number >= 0)


def python_objects() -> int | None:
    """Return how many references into the JVM this process holds by py4j."""
    cls = _module("py4j.finalizer").get("ThreadSafeFinalizer")
    found = sizes.class_namespace(cls).get("finalizers") if isinstance(cls, type) else None
    return len(found) if type(found) is dict else None


def _jvm_objects(gateway: Gateway) -> int:
    """Return how many objects the JVM keeps for its clients, without those it keeps for us."""
    (size,), held = gateway.calls_at_once([(bindings(gateway), "size")])
    if isinstance(size, JvmError):
        raise size
    return int(size) - held


def bindings(gateway: Gateway) -> Handle:
    """Return the table of all objects that the JVM keeps for its clients; raises as ``call``."""
    found: Handle | None = gateway.remembered.get(_TABLE)
    if found is None:
        with gateway.scope():
            table = gateway.call(gateway.call(Foreign(_SERVER), "getGateway"), "getBindings")
            found = gateway.remembered[_TABLE] = gateway.keep(table)
    return found


def _stored(driver: Driver, name: str) -> int:
    gateway = driver.gateway
    store = gateway.call(gateway.call(driver.context(), "statusStore"), "store")
    cls = gateway.static("java.lang.Class", "forName", _STORED[name])
    return int(gateway.call(store, "count", cls))


def _executions(gateway: Gateway, session: Handle | None) -> int | None:
    if session is None:
        return None
    store = gateway.call(gateway.call(session, "sharedState"), "statusStore")
    return int(gateway.call(store, "executionsCount"))


def _told(part: Callable[[], int | None]) -> int | None:
    try:
        return part()
    except JvmError:
        return None


def _module(name: str) -> dict[str, Any]:
    module = sys.modules.get(name)
    return vars(module) if module is not None else {}
