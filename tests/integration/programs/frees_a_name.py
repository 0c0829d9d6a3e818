"""Take a native snapshot of one name, let go of it, and say what came back.

    frees_a_name.py PROBES CASE   → {"bytes", "true", "predicted": […], "measured": […]}

PROBES is where memprobe_probes lies. "true": the bytes as sys.getsizeof tells them, None where it
does not. The amounts are as in frees.py.
"""

from __future__ import annotations

import array
import collections
import ctypes
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, sys.argv[1])

from memprobe_probes import native_walker
from memprobe_probes.native import Native
from memprobe_probes.roots import Root

numbers = array.array("q", [0] * 8)  # bytes, predictions, RSS


class Instance:
    def __init__(self, number: int) -> None:
        self.half = number + 0.5
        self.text = str(number)
        self.values = [number]


def nested() -> dict[str, Any]:
    return {
        str(number): {"half": number + 0.5, "inner": {"text": str(number)}}
        for number in range(80_000)
    }


def small_arrays() -> list[Any]:
    import numpy

    return [numpy.arange(number % 7 + 1) for number in range(200_000)]


def partly_unknown() -> Any:
    return collections.OrderedDict((str(number), None) for number in range(100_000))


CASES: dict[str, Callable[[], Any]] = {
    "keys": lambda: {f"the key of number {number}": None for number in range(300_000)},
    "nested": nested,
    "instances": lambda: [Instance(number) for number in range(100_000)],
    "deques": lambda: [collections.deque(range(n, n + 200)) for n in range(1000, 6000)],
    "small arrays": small_arrays,
    "partly unknown": partly_unknown,
}


def size(obj: Any) -> int:
    return sys.getsizeof(obj) + 15 & ~15


def measure(slot: int) -> None:
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                numbers[slot] = int(line.split()[1]) * 1024


def snapshot(engine: Native) -> None:
    """Note what the engine says of the global ``data``."""
    root = Root("module", "data", globals()["data"])
    group = engine.here([root], {id(globals())}, (), 20_000_000_000)["groups"][0]
    numbers[0] = group["bytes"]
    for slot, name in ((1, "returned"), (2, "returned_untrimmed")):
        numbers[slot] = -1 if group[name] is None else group[name]


def main() -> None:
    global data
    walker, why = native_walker.load()
    assert walker is not None, why
    engine = Native(walker)
    data = [str(number) for number in range(50_000)]
    snapshot(engine)  # what the first one needs stays
    measure(3)
    data = CASES[sys.argv[2]]()
    true = sum(map(size, data)) + size(data) if sys.argv[2] == "keys" else None
    snapshot(engine)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    measure(3)
    del data
    gc.collect()
    measure(4)
    ctypes.CDLL(None).malloc_trim(0)
    measure(5)
    known = numbers[1] >= 0
    found = {
        "bytes": numbers[0],
        "true": true,
        "predicted": [numbers[1], numbers[2]] if known else None,
        "measured": [numbers[3] - numbers[5], numbers[3] - numbers[4]],
    }
    print(json.dumps(found))


data: Any = None
if __name__ == "__main__":
    main()
