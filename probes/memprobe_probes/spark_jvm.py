"""The driver's JVM by its own management beans: heap, pools, collections, threads, classes.

Sizes are bytes. Nothing here makes the JVM collect.
"""

from __future__ import annotations

import os

from .jvm_lists import asked, of_list
from .jvm_wire import JvmError
from .spark_workers import command, parent, rss, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .jvm_wire import Gateway, Handle

_FACTORY = "java.lang.management.ManagementFactory"
_BUFFERS = "java.lang.management.BufferPoolMXBean"
_ARRAYS = "java.lang.reflect.Array"
_CLOCKS_DIFFER = 60.0  # seconds by which the two times of a start may differ
_MOST_BEANS = 50
_BEANS = "beans"


def read(gateway: Gateway) -> dict[str, Any]:
    """Return the fields of a ``jvm`` record, without ``t`` and ``cell``; raises as ``call``.

    What the JVM does not tell is None. The JVM's beans, which live as long as it does, are kept
    with the gateway for the next reading and are released when that is closed.
    """
    try:
        known = beans(gateway)
        with gateway.scope():
            return known.read(gateway)
    except JvmError:
        gateway.remembered.pop(_BEANS, None)
        raise


def beans(gateway: Gateway) -> Beans:
    """Return the beans of a JVM, looked up once per connection; raises as ``call``."""
    found: Beans | None = gateway.remembered.get(_BEANS)
    if found is None:
        with gateway.scope():
            found = gateway.remembered[_BEANS] = Beans(gateway)
    return found


class Beans:
    """The management beans of a JVM, and what about them does not change."""

    def __init__(self, gateway: Gateway) -> None:
        names = ("Memory", "Thread", "ClassLoading", "Runtime")
        single = asked(gateway, ((_FACTORY, f"get{name}MXBean") for name in names))
        self._memory, self._threads, self._classes, self.runtime = map(gateway.keep, single)
        self._pools = _kept(gateway, gateway.static(_FACTORY, "getMemoryPoolMXBeans"))
        self.collectors = _kept(gateway, gateway.static(_FACTORY, "getGarbageCollectorMXBeans"))
        buffers = gateway.static("java.lang.Class", "forName", _BUFFERS)
        found = gateway.static(_FACTORY, "getPlatformMXBeans", buffers)
        self._buffers = _kept(gateway, found)
        self._pool_names = asked(gateway, ((one, "getName") for one in self._pools))
        self._buffer_names = asked(gateway, ((one, "getName") for one in self._buffers))
        kinds = asked(gateway, ((one, "getType") for one in self._pools))
        self._kinds = asked(gateway, ((one, "name") for one in kinds))
        self.pid = pid_on_this_host(gateway)

    def read(self, gateway: Gateway) -> dict[str, Any]:
        """Return the fields of one reading."""
        counts = [(self._threads, "getThreadCount"), (self._classes, "getLoadedClassCount")]
        times = [(one, "getCollectionTime") for one in self.collectors]
        collected = [(one, "getCollectionCount") for one in self.collectors]
        buffers = [(one, "getMemoryUsed") for one in self._buffers]
        numbers = iter(asked(gateway, [*counts, *times, *collected, *buffers]))
        return {
            "pid": self.pid, "rss": None if self.pid is None else rss(self.pid),
            "threads": next(numbers), "classes": next(numbers),
            "gc_ms": sum(max(next(numbers), 0) for _ in times),
            "collections": sum(max(next(numbers), 0) for _ in collected),
            "buffers": _by_kind(self._buffer_names, numbers),
            "heap_after_gc": self._after_collection(gateway),
            **self._sizes(gateway),
        }  # fmt: skip

    def _sizes(self, gateway: Gateway) -> dict[str, Any]:
        wanted = [(self._memory, "getHeapMemoryUsage"), *((one, "getUsage") for one in self._pools)]
        found = asked(gateway, wanted)
        known = [one for one in found if one is not None]  # a pool may have become invalid
        texts = iter(asked(gateway, ((one, "toString") for one in known)))
        heap, *pools = [None if one is None else usage(next(texts)) for one in found]
        heap = heap or {}
        most = heap.get("max", -1)
        return {
            "heap_used": heap.get("used"), "heap_committed": heap.get("committed"),
            "heap_max": most if most >= 0 else None,
            "pools": {name: one["used"] for name, one in zip(self._pool_names, pools) if one},
        }  # fmt: skip

    def _after_collection(self, gateway: Gateway) -> int | None:
        """Return the heap in use after the last collection; None where there was none."""
        try:
            found = asked(gateway, ((one, "getLastGcInfo") for one in self.collectors))
        except JvmError:
            return None  # a JVM of another maker
        last = self.last_collection(gateway, [one for one in found if one is not None])
        return None if last is None else last[0]

    def last_collection(self, gateway: Gateway, reports: list[Handle]) -> tuple[int, int] | None:
        """Return the heap in use after the last of some collections, and when that ended.

        Milliseconds since the JVM began; None where there is none.

        Of the collectors' own reports, and not each pool's ``getCollectionUsage``: that of G1's
        old generation is 0 until it was collected as a whole, which may never happen.
        """
        try:
            ends = asked(gateway, ((one, "getEndTime") for one in reports))
            if not ends:
                return None
            last = reports[ends.index(max(ends))]
            after = gateway.call(gateway.call(last, "getMemoryUsageAfterGc"), "toString")
        except JvmError:
            return None  # a JVM of another maker
        heap = {name for name, kind in zip(self._pool_names, self._kinds) if kind == "HEAP"}
        used = sum(size for name, size in after_collection(after).items() if name in heap)
        return used, int(max(ends))


def histogram(gateway: Gateway, most: int = 50) -> list[dict[str, Any]]:
    """Return the classes with the most bytes on the heap: ``type``, ``count`` and ``bytes``.

    Only on request: the JVM stops for it, half a second per half a GB. With ``-all`` it counts
    what waits for a collection as well, and so does not collect before. Raises JvmError.
    """
    server = gateway.static(_FACTORY, "getPlatformMBeanServer")
    interface = gateway.static("java.lang.Class", "forName", "javax.management.MBeanServer")
    methods = gateway.elements(gateway.call(interface, "getMethods"), 200)
    names = asked(gateway, ((one, "getName") for one in methods))
    bean = gateway.static(
        "javax.management.ObjectName", "getInstance", "com.sun.management:type=DiagnosticCommand"
    )
    options = _array(gateway, "java.lang.String", ["-all"])
    args = _array(gateway, "java.lang.Object", [options])
    signature = _array(gateway, "java.lang.String", ["[Ljava.lang.String;"])
    sent = _array(gateway, "java.lang.Object", [bean, "gcClassHistogram", args, signature])
    text = gateway.call(methods[names.index("invoke")], "invoke", server, sent)
    return classes(str(text))[:most]


def classes(text: str) -> list[dict[str, Any]]:
    """Return the rows of a class histogram: ``   1:   136035   32854392  [B (java.base@17)``."""
    rows = []
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= 4 and words[0].rstrip(":").isdigit() and words[1].isdigit():
            rows.append({"type": words[3], "count": int(words[1]), "bytes": int(words[2])})
    return rows


def usage(text: str | None) -> dict[str, int]:
    """Return the numbers of a ``MemoryUsage`` that was printed: init, used, committed, max.

    ``init = 2555904(2496K) used = 1709312(1669K) committed = …``; without a limit max is -1.
    """
    words = (text or "").replace("=", " ").split()
    pairs = zip(words[::2], words[1::2])
    return {name: int(value.partition("(")[0]) for name, value in pairs}


def after_collection(text: str) -> dict[str, int]:
    """Return pool → bytes in use, from a map of pools to memory usages that was printed.

    ``{G1 Old Gen=init = 0(0K) used = 10(0K) committed = 20(0K) max = -1(-1K), …}``
    """
    found = {}
    for entry in text.strip("{}").split("), "):
        name, mark, rest = entry.partition("=init = ")
        size = rest.partition(" used = ")[2].partition("(")[0]
        if mark and size.isdigit():
            found[name] = int(size)
    return found


def pid_on_this_host(gateway: Gateway) -> int | None:
    """Return the JVM's pid where that is one of this host's, else None; raises as ``call``."""
    runtime = gateway.static(_FACTORY, "getRuntimeMXBean")
    name, begun = asked(gateway, ((runtime, "getName"), (runtime, "getStartTime")))
    text = str(name).partition("@")[0]
    return int(text) if text.isdigit() and _is_here(int(text), begun / 1000) else None


def _is_here(pid: int, begun: float) -> bool:
    """Whether the process of that number is the JVM: kin to this one, or of the same age."""
    if b"java" not in command(pid)[0].rpartition(b"/")[2]:
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


def _by_kind(names: list[str], values: Iterator[int]) -> dict[str, int]:
    """Return ``direct`` and ``mapped`` → bytes: a JVM has two pools of mapped buffers."""
    found: dict[str, int] = {}
    for name, size in zip(names, values):
        kind = name.partition(" ")[0]
        found[kind] = found.get(kind, 0) + max(size, 0)
    return found


def _kept(gateway: Gateway, found: Handle) -> list[Handle]:
    return [gateway.keep(one) for one in of_list(gateway, found, _MOST_BEANS)]


def _array(gateway: Gateway, of: str, values: list[Any]) -> Handle:
    """Return a Java array of ``values``."""
    cls = gateway.static("java.lang.Class", "forName", of)
    array: Handle = gateway.static(_ARRAYS, "newInstance", cls, len(values))
    for index, value in enumerate(values):
        gateway.static(_ARRAYS, "set", array, index, value)
    return array
