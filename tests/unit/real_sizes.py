"""What the native walk counts for objects of many kinds, and what Python was asked for them.

A program: ``python real_sizes.py PROBES`` prints for each kind the bytes per object that the
allocators handed out (by ``tracemalloc``), the bytes and objects that the walk found, and where
the walker's size of a built-in object is not the one that ``sys.getsizeof`` tells.
"""

from __future__ import annotations

import array
import collections
import ctypes
import dataclasses
import functools
import gc
import io
import json
import pathlib
import queue
import sys
import tracemalloc
import types
import uuid
import weakref
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

from memprobe_probes import native, native_kinds, native_walker, roots
from memprobe_probes.roots import Root

COUNT = 200
LONG = 60_000_000_000  # ns
KEYS = [f"key {number}" for number in range(5000)]
INSIDE = sys.version_info >= (3, 13)  # attributes of an object lie in it, and count there
# What Python leaves out: the slots that the first instances of a class have beside those of its
# keys, and what lies before them; the one digit that a zero has.
SPARE = {dict: 30 * 8 + 32, int: 4}
LEAF = ElementTree.Element("leaf")


class Plain: ...


class Slotted:
    __slots__ = ("a", "b", "c")


class Weak(Slotted):
    __slots__ = ("__weakref__",)


class Both(Slotted): ...


class MyDict(dict[Any, Any]): ...


class MyList(list[Any]): ...


class MyTuple(tuple[Any, ...]): ...


class MyText(str): ...


class MyNumber(int): ...


class MyBytes(bytes): ...


class MyDeque(collections.deque[Any]): ...


class MyError(Exception): ...


@dataclasses.dataclass
class Record:
    a: int
    b: int
    c: int


Pair = collections.namedtuple("Pair", "a b")


def having(cls: type, attributes: int, *, opened: bool = False, without: int = 0) -> Any:
    made = cls()
    for number in range(attributes):
        setattr(made, f"x{number}", None)
    for number in range(without):
        delattr(made, f"x{number}")
    if opened:
        vars(made)
    return made


def ordered(length: int, without: int = 0) -> Any:
    made = collections.OrderedDict.fromkeys(KEYS[:length])
    for key in KEYS[:without]:
        del made[key]
    return made


def shrunk() -> Any:
    made = dict.fromkeys(KEYS[:100])
    for key in KEYS[:90]:
        del made[key]
    return made


def appended(length: int, without: int) -> Any:
    made: list[Any] = []
    for _ in range(length):
        made.append(None)
    del made[length - without :]
    return made


def written(file: Any, content: Any) -> Any:
    for number in range(10):
        file.write(content * (500 + number))
    return file


def children() -> Any:
    made = ElementTree.Element("parent", {})
    made.extend([LEAF] * 20)
    return made


def values() -> Any:
    data = [1]
    yield data


def started() -> Any:
    made = values()
    next(made)
    return made


def closure() -> Any:
    data = [None]
    return lambda: data


KINDS: dict[str, Callable[[], Any]] = {
    "plain, no attribute": Plain,
    "plain, one": lambda: having(Plain, 1),
    "plain, six": lambda: having(Plain, 6),
    "plain, twenty": lambda: having(Plain, 20),
    "plain, opened": lambda: having(Plain, 3, opened=True),
    "plain, fifty": lambda: having(Plain, 50),
    "plain, one less": lambda: having(Plain, 6, without=1),
    "slotted": Slotted,
    "weak": Weak,
    "slots and none": Both,
    "slots and three": lambda: having(Both, 3),
    "dataclass": lambda: Record(1, 2, 3),
    "namedtuple": lambda: Pair(1, 2),
    "own dict": lambda: MyDict.fromkeys(KEYS[:5]),
    "own list": lambda: MyList([None] * 10),
    "own tuple": lambda: MyTuple([None] * 10),
    "own number": lambda: MyNumber(5),
    "own text": lambda: MyText("abcdefghij" * 5),
    "own wide text": lambda: MyText("ü" * 40),
    "own bytes": lambda: MyBytes(100),
    "own deque": lambda: MyDeque([None] * 100),
    "dict, empty": dict,
    "dict, texts": lambda: dict.fromkeys(KEYS[:5]),
    "dict, 5000": lambda: dict.fromkeys(KEYS),
    "dict, numbers": lambda: dict.fromkeys(range(100)),
    "dict, shrunk": shrunk,
    "dict, copied": lambda: dict.fromkeys(KEYS[:100]).copy(),
    "ordered, empty": lambda: ordered(0),
    "ordered": lambda: ordered(100),
    "ordered, shrunk": lambda: ordered(100, 90),
    "defaultdict": lambda: collections.defaultdict(list, dict.fromkeys(KEYS[:20])),
    "list": lambda: [None] * 10,
    "list, appended": lambda: appended(1000, 0),
    "list, cut": lambda: appended(1000, 600),
    "tuple": lambda: (None,) * int("3"),
    "set, few": lambda: set(KEYS[:4]),
    "set, 5000": lambda: set(KEYS),
    "frozenset": lambda: frozenset(KEYS[:100]),
    "deque": lambda: collections.deque([None] * 10),
    "deque, 1000": lambda: collections.deque([None] * 1000),
    "bytearray": lambda: bytearray(1000),
    "array": lambda: array.array("d", [0.0]) * 1000,
    "BytesIO": lambda: io.BytesIO(b"x" * 5000),
    "BytesIO, written": lambda: written(io.BytesIO(), b"x"),
    "StringIO": lambda: io.StringIO("x" * 5000),
    "StringIO, written": lambda: written(io.StringIO(), "x"),
    "text": lambda: "a" * int("100"),
    "latin text": lambda: "ü" * int("100"),
    "wide text": lambda: "日" * int("100"),
    "widest text": lambda: "😀" * int("100"),
    "number": lambda: int("1234567"),
    "long number": lambda: int("9" * 100),
    "float": lambda: float("1.5"),
    "bytes": lambda: bytes(100),
    "exception": lambda: MyError("x"),
    "function": closure,
    "generator": started,
    "partial": lambda: functools.partial(print, 1, a=2),
    "slice": lambda: slice(None, None, LEAF),
    "range": lambda: range(10**6, 10**7),
    "memoryview": lambda: memoryview(b"abc"),
    "uuid": uuid.uuid4,
    "path": lambda: pathlib.PurePosixPath("/a/b"),
    "namespace": lambda: types.SimpleNamespace(a=1, b=2),
    "weak dict": weakref.WeakKeyDictionary,
    "queue": queue.Queue,
    "ctypes, one": lambda: ctypes.c_int(5),
    "ctypes, many": lambda: (ctypes.c_double * 1000)(),
    "element": lambda: ElementTree.Element("a", {"x": "1"}),
    "element, empty": lambda: ElementTree.Element("a"),
    "element, children": children,
}


def measure(make: Callable[[], Any]) -> tuple[list[Any], float]:
    """Return so many objects, and the bytes that each of them has taken."""
    made: list[Any] = [None] * COUNT
    for _ in range(3):
        make()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(COUNT):
        made[at] = make()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] - sys.getsizeof(at)
    tracemalloc.stop()
    return made, (after - before) / COUNT


def walked(walker: native.Native, made: list[Any]) -> tuple[float, float]:
    """Return bytes and objects of each, as the walk counts them. Empties the list."""
    own = sys.getsizeof(made)
    names = {"made": list(made)}
    made.clear()
    found = [Root("module", "made", names["made"])]
    tables = walker.here(found, roots.stop_ids() | {id(names)}, (), LONG)
    number = next(row["id"] for row in tables["holders"] if row["expr"] == "made")
    alone = [group for group in tables["groups"] if group["holders"] == [number]]
    return (
        (sum(group["bytes"] for group in alone) - own) / COUNT,
        sum(group["objects"] for group in alone) / COUNT,
    )


def disagreements(module: Any, walker: native.Native) -> dict[str, tuple[int, int]]:
    """Return what ``sys.getsizeof`` and the walker say of built-in objects where that differs."""
    seen: dict[int, Any] = {}
    for one in gc.get_objects():
        seen[id(one)] = one
        seen.update((id(below), below) for below in gc.get_referents(one))
    found = {}
    for one in list(seen.values()):
        sizer = native_kinds._SIZERS.get(id(type(one)))
        if sizer is None or one is seen:
            continue
        told, python = module.size(one, sizer), sys.getsizeof(one)
        spare = SPARE.get(type(one), 0)
        if not python <= told <= python + spare and not (type(one) is dict and INSIDE):
            found[type(one).__name__] = (told, python)
    return found


def main() -> None:
    """Measure every kind."""
    module, reason = native_walker.load()
    assert module is not None, reason
    native.LEAST_GROUP = 1
    walker = native.Native(module)
    rows = {}
    for name, make in KINDS.items():
        made, real = measure(make)
        rows[name] = (real, *walked(walker, made))
    told = {"kinds": rows, "mistaken": sorted(walker.classes.mistaken)}
    print(json.dumps({**told, "disagreements": disagreements(module, walker)}))


if __name__ == "__main__":
    main()
