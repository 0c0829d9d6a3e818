"""The driver's JVM by its own management beans: heap, pools, collections, threads, classes.

Sizes are bytes. Nothing here makes the JVM collect.
"""

from __future__ import annotations

import os

from .jvm_lists import asked, of_list
from .jvm_wire import JvmError
from .spark_workers import parent, rss, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jvm_wire import Gateway, Handle

_FACTORY = "java.lang.management.ManagementFactory"
_BUFFERS = "java.lang.management.BufferPoolMXBean"
MOST_BEANS = 50
_CLOCKS_DIFFER = 60.0  # seconds by which the two times of a start may differ


def read(gateway: Gateway) -> dict[str, Any]:
    """Return the fields of a ``jvm`` record, without ``t`` and ``cell``. Raises JvmGone.

    A part that the JVM refuses is None and listed in ``unmeasured``.
    """
    row: dict[str, Any] = {"unmeasured": []}
    parts = (_heap, _pools, _buffers, _collections, _counts, _process)
    for part, what in zip(parts, ("heap", "pools", "buffers", "collections", "threads", "process")):
        try:
            with gateway.scope():
                row.update(part(gateway))
        except JvmError as error:
            row["unmeasured"].append({"what": f"the JVM's {what}", "why": error.java_class})
    return row


def usage(text: str | None) -> dict[str, int]:
    """Return the numbers of a ``MemoryUsage`` that was printed: init, used, committed, max.

    ``init = 2555904(2496K) used = 1709312(1669K) committed = …``; without a limit max is -1.
    """
    words = (text or "").replace("=", " ").split()
    pairs = zip(words[::2], words[1::2])
    return {name: int(value.partition("(")[0]) for name, value in pairs}


def pid_on_this_host(gateway: Gateway) -> int | None:
    """Return the JVM's pid where that is one of this host's, else None; raises as ``call``."""
    bean = gateway.static(_FACTORY, "getRuntimeMXBean")
    name, begun = asked(gateway, ((bean, "getName"), (bean, "getStartTime")))
    text = str(name).partition("@")[0]
    return int(text) if text.isdigit() and _is_here(int(text), begun / 1000) else None


def _is_here(pid: int, begun: float) -> bool:
    """Whether the process of that number is the JVM: kin to this one, or of the same age."""
    if not started(pid):
        return False
    if os.getpid() in (pid, parent(pid)) or os.getppid() == pid:
        return True
    at = _started_at(pid)
    return at is not None and abs(at - begun) < _CLOCKS_DIFFER


def _started_at(pid: int) -> float | None:
    """Return when a process started, in unix seconds."""
    try:
        with open("/proc/stat", "rb") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
        return boot + int(started(pid)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration):
        return None


def _heap(gateway: Gateway) -> dict[str, Any]:
    bean = gateway.static(_FACTORY, "getMemoryMXBean")
    found = usage(gateway.call(gateway.call(bean, "getHeapMemoryUsage"), "toString"))
    most = found["max"]
    return {
        "heap_used": found["used"], "heap_committed": found["committed"],
        "heap_max": most if most >= 0 else None,
    }  # fmt: skip


def _pools(gateway: Gateway) -> dict[str, Any]:
    pools = of_list(gateway, gateway.static(_FACTORY, "getMemoryPoolMXBeans"), MOST_BEANS)
    names = asked(gateway, ((one, "getName") for one in pools))
    types = asked(gateway, ((one, "getType") for one in pools))
    kinds = asked(gateway, ((one, "name") for one in types))
    now = _printed(gateway, pools, "getUsage")
    left = _printed(gateway, pools, "getCollectionUsage")
    heap = [after for kind, after in zip(kinds, left) if kind == "HEAP"]
    known = [usage(after)["used"] for after in heap if after is not None]
    return {
        "pools": {name: usage(text)["used"] for name, text in zip(names, now) if text is not None},
        "heap_after_gc": sum(known) if known and len(known) == len(heap) else None,
    }


def _printed(gateway: Gateway, pools: list[Handle], method: str) -> list[str | None]:
    """Return each pool's memory usage as text; None for a pool that does not tell."""
    found = asked(gateway, ((one, method) for one in pools))
    texts = iter(asked(gateway, ((one, "toString") for one in found if one is not None)))
    return [None if one is None else next(texts) for one in found]


def _buffers(gateway: Gateway) -> dict[str, Any]:
    cls = gateway.static("java.lang.Class", "forName", _BUFFERS)
    beans = of_list(gateway, gateway.static(_FACTORY, "getPlatformMXBeans", cls), MOST_BEANS)
    names = asked(gateway, ((one, "getName") for one in beans))
    sizes = asked(gateway, ((one, "getMemoryUsed") for one in beans))
    return {"buffers": {name: size for name, size in zip(names, sizes) if size >= 0}}


def _collections(gateway: Gateway) -> dict[str, Any]:
    found = gateway.static(_FACTORY, "getGarbageCollectorMXBeans")
    beans = of_list(gateway, found, MOST_BEANS)
    times = asked(gateway, ((one, "getCollectionTime") for one in beans))
    counts = asked(gateway, ((one, "getCollectionCount") for one in beans))
    return {
        "gc_ms": sum(one for one in times if one >= 0),
        "collections": sum(one for one in counts if one >= 0),
    }


def _counts(gateway: Gateway) -> dict[str, Any]:
    threads = gateway.static(_FACTORY, "getThreadMXBean")
    classes = gateway.static(_FACTORY, "getClassLoadingMXBean")
    wanted = ((threads, "getThreadCount"), (classes, "getLoadedClassCount"))
    return dict(zip(("threads", "classes"), asked(gateway, wanted)))


def _process(gateway: Gateway) -> dict[str, Any]:
    pid = pid_on_this_host(gateway)
    return {"pid": pid, "rss": None if pid is None else rss(pid)}
