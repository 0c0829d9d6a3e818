"""Build a heap, say what the simulation expects of its end, end it, and say what came back.

    frees.py WALKER CASE   → {"predicted": [trimmed, untrimmed], "measured": [trimmed, untrimmed]}

What was free before is trimmed away before the first measurement, and not before the prediction:
that has to tell it from what is freed. Everything that is written while the simulation's answer is
compared lies in memory that was there before: what this program itself takes in between would hold
an arena, or the end of a heap.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

ROOM = 1_500_000
HEADER = bytes.__basicsize__ - 1
libc = ctypes.CDLL(None)
blocks_bytes, buffers_bytes = bytes(ROOM * 8), bytes(ROOM * 16)
blocks = (ctypes.c_uint64 * ROOM).from_address(id(blocks_bytes) + HEADER)
buffers = (ctypes.c_uint64 * (ROOM * 2)).from_address(id(buffers_bytes) + HEADER)
numbers = array.array("q", [0] * 8)  # blocks, buffers, predictions, RSS
kept: list[Any] = []


def word(address: int) -> int:
    return int(ctypes.c_uint64.from_address(address).value)


def before_the_object(cls: type) -> int:
    """Return the bytes between an allocation's begin and the object."""
    flags = type.__dict__["__flags__"].__get__(cls)
    collected = 16 if flags & 1 << 14 else 0
    if sys.version_info >= (3, 12):
        return collected + (16 if flags & (1 << 3 | 1 << 4) else 0)
    return collected + (16 if sys.version_info >= (3, 11) and flags & 1 << 4 else 0)


def tell(obj: Any) -> None:
    """Tell the simulation that an object is freed, its items' or keys' table too."""
    blocks[numbers[0]] = id(obj) - before_the_object(type(obj))
    numbers[0] += 1
    if type(obj) is list:
        tell_buffer(word(id(obj) + 24), 8 * word(id(obj) + 32))
    elif type(obj) is dict:
        tell_buffer(word(id(obj) + 32), 1)


def tell_buffer(address: int, nbytes: int) -> None:
    buffers[2 * numbers[1]], buffers[2 * numbers[1] + 1] = address, nbytes
    numbers[1] += 1


def tell_all(objects: Iterable[Any]) -> None:
    for obj in objects:
        tell(obj)
    tell(objects)


def tell_records(records: list[dict[str, Any]]) -> None:
    for record in records:
        for value in (record["id"], record["name"], *record["values"], record["values"]):
            tell(value)
    tell_all(records)


def tell_every_second(numbered: dict[int, bytes]) -> None:
    """Half of the values stay in use: kept by a list that was there before."""
    for number, value in numbered.items():
        if number % 2:
            tell(value)
        else:
            kept.append(value)
        if number > 256:
            tell(number)
    tell(numbered)


def tell_arrays(arrays: list[Any]) -> None:
    for one in arrays:
        tell(one)
        tell_buffer(one.__array_interface__["data"][0], one.nbytes)
        tell_buffer(word(id(one) + 32), 16)  # its extent and strides
    tell(arrays)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: float) -> None:
        self.left = left
        self.right = None


def slotted() -> list[Slotted]:
    return [Slotted(number + 0.5) for number in range(500_000)]


def tell_slotted(objects: list[Slotted]) -> None:
    for obj in objects:
        tell(obj.left)
    tell_all(objects)


def strings() -> list[str]:
    return [f"text number {number}" for number in range(400_000)]


def records() -> list[dict[str, Any]]:
    return [
        {"id": number, "name": f"text {number}", "values": [number + 0.5, number + 0.25]}
        for number in range(1000, 150_000)
    ]


def numbered(size: int) -> dict[int, bytes]:
    return {number: bytes(size) for number in range(90_000_000 // size)}


def filled(size: int, step: int, count: int) -> list[bytes]:
    return [b"x" * (size + number * 7919 % step) for number in range(count)]


def end_and_larger_block() -> list[bytes]:
    """Return what is freed from its end: glibc's thresholds follow the large block at once."""
    return [*filled(20_000, 5000, 2000), b"x" * 30_000_000]


def half_of_it_freed() -> list[bytes]:
    """Return every second of two objects; the memory of the others is free, and still resident."""
    objects = filled(20_000, 5000, 4000)
    return objects[::2]


def of_threads() -> list[bytes]:
    """Return objects that lie in heaps of other threads."""
    made: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: made.extend(filled(700, 5000, 20_000))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
        thread.join()
    return made


def arrays(read: bool = False, part: int = 0) -> list[Any]:
    import numpy

    made = [numpy.zeros(3_000_000) for _ in range(6)]
    for one in made:
        one[:part] = 1.5
        if read:
            one.sum()
    return made


def small_arrays() -> list[Any]:
    import numpy

    return [numpy.arange(number % 900 + 8) for number in range(40_000)]


CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "slotted": (slotted, tell_slotted),
    "strings": (strings, tell_all),
    "records": (records, tell_records),
    "every second of 200 bytes": (lambda: numbered(200), tell_every_second),
    "every second of 9000 bytes": (lambda: numbered(9000), tell_every_second),
    "bytes in the heap": (lambda: filled(20_000, 5000, 4000), tell_all),
    "small and larger bytes": (lambda: filled(513, 60_000, 4000), tell_all),
    "bytes mapped for themselves": (lambda: filled(34_000_000, 9000, 3), tell_all),
    "a small end of the heap": (lambda: filled(20_000, 5000, 600), tell_all),
    "the end of a heap after a larger block": (end_and_larger_block, tell_all),
    "beside memory that was free before": (half_of_it_freed, tell_all),
    "of threads": (of_threads, tell_all),
    "arrays": (lambda: arrays(part=3_000_000), tell_arrays),
    "arrays of which a part was written": (lambda: arrays(part=1_000_000), tell_arrays),
    "arrays that nobody touched": (arrays, tell_arrays),
    "small arrays": (small_arrays, tell_arrays),
}


def measure(slot: int) -> None:
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Rss:"):
                numbers[slot] = int(line.split()[1]) * 1024


def main() -> None:
    spec = importlib.util.spec_from_file_location("walker", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    walker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walker)
    walker._returned(b"", b"")  # raises where it refuses
    make, tell_of = CASES[sys.argv[2]]
    kept.extend([None] * ROOM)
    kept.clear()
    measure(4)
    data = make()
    tell_of(data)
    gc.collect()
    numbers[2], numbers[3] = walker._returned(blocks_bytes, buffers_bytes)
    libc.malloc_trim(0)
    measure(4)
    del data
    gc.collect()
    measure(5)
    libc.malloc_trim(0)
    measure(6)
    found = {
        "predicted": [numbers[2], numbers[3]],
        "measured": [numbers[4] - numbers[6], numbers[4] - numbers[5]],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
