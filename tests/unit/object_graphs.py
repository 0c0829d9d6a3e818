"""Random object graphs, and what each set of names keeps of them by plain bookkeeping.

Nothing here knows the engines: while the objects are made, a ``Ledger`` writes down their bytes
and who refers to whom. Standard library only (numpy where it is imported), so that every Python
can make the same graph from the same plan.
"""

from __future__ import annotations

import collections
import gc
import itertools
import random
import sys
import types
from dataclasses import dataclass
from typing import Any

SHELL = 112  # bytes that an array or a view is taken for, without its data
STEP = 16  # of Python's allocator
ATTRIBUTES = 352  # bytes that attributes of an object take beside it, at most: 30 places
PLACES = 8  # in an instance, in an object array
UNNAMED = "?"

LEAVES = ("text", "latin", "wide", "bytes", "number", "float", "bytearray", "numbers")
CONTAINERS = ("list", "dict", "instance", "opened", "slotted", "both", "deque", "set", "ordered",
              "objects", "default")  # fmt: skip
AT_ONCE = ("tuple", "frozenset", "cell", "iterator", "memoryview", "view", "method")
KINDS = LEAVES + CONTAINERS + AT_ONCE

Groups = dict[frozenset[str], tuple[int, int, int]]  # bytes from, to; objects
_fresh = itertools.count()
_TEXTS = {"text": "x", "latin": "é", "wide": "日"}
_NAMES = (
    ("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"),  # of attributes
    ("s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"),  # of slots
)


class Plain:
    pass


class Slotted:
    __slots__ = ("__weakref__", *_NAMES[True])


class Both(Slotted):
    pass  # slots, and a dict as well


_EMPTY: dict[str, Any] = {
    "list": list, "dict": dict, "instance": Plain, "opened": Plain, "slotted": Slotted,
    "both": Both, "set": set, "deque": collections.deque, "ordered": collections.OrderedDict,
    "default": collections.defaultdict,
}  # fmt: skip


@dataclass
class Plan:
    """What to make: kinds of objects, references by number, names, and what else refers to them.

    ``outside``: objects that somebody unnamed holds. ``garbage``: objects that a cycle refers to
    which nobody reaches any more.
    """

    kinds: list[str]
    links: list[tuple[int, int]]
    names: list[int]
    outside: list[int]
    garbage: list[int]

    def without_garbage(self) -> Plan:
        """Return the same plan but for references of garbage."""
        return Plan(self.kinds, self.links, self.names, self.outside, [])


def random_plan(seed: int, size: int = 60) -> Plan:
    """Return a plan made by chance, the same for one seed on every Python."""
    chance = random.Random(seed)
    kinds = [chance.choice(KINDS) for _ in range(chance.randint(1, size))]

    def some(least: int, most: int) -> list[int]:
        return [chance.randrange(len(kinds)) for _ in range(chance.randint(least, most))]

    links = list(zip(some(0, 3 * size), some(3 * size, 3 * size)))
    return Plan(kinds, links, some(1, 7), some(0, 2), some(0, 2))


class Ledger:
    """Bytes of objects, references between them, and who refers to them from elsewhere."""

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self.slack: list[int] = []  # how much more it may be
        self.below: list[list[int]] = []
        self.holders: list[set[str]] = []

    def add(self, nbytes: int, *holders: str) -> int:
        """Write down one more object; return its number."""
        self.bytes.append(nbytes)
        self.slack.append(0)
        self.below.append([])
        self.holders.append(set(holders))
        return len(self.bytes) - 1

    def groups(self) -> Groups:
        """Return bytes and objects per set of names that reach them; "?" is somebody unnamed."""
        reached: list[set[str]] = [set() for _ in self.bytes]
        for start, names in enumerate(self.holders):
            for name in names:
                self._spread(start, name, reached)
        found: Groups = {}
        for number, names in enumerate(reached):
            if names - {UNNAMED}:
                least, most, objects = found.get(frozenset(names), (0, 0, 0))
                least += self.bytes[number]
                most += self.bytes[number] + self.slack[number]
                found[frozenset(names)] = least, most, objects + 1
        return found

    def _spread(self, start: int, name: str, reached: list[set[str]]) -> None:
        pending = [start]
        while pending:
            at = pending.pop()
            if name not in reached[at]:
                reached[at].add(name)
                pending.extend(self.below[at])


class Made:
    """The objects of a plan: ``names`` and ``outside`` refer to them, garbage does, nobody else.

    The objects of a plan have the first numbers of the ledger. ``leaf_bytes``: how much larger
    each leaf is.
    """

    def __init__(self, plan: Plan, leaf_bytes: int = 0) -> None:
        self.ledger = Ledger()
        self.names: dict[str, Any] = {}
        self.outside: list[Any] = []
        self._leaf_bytes = leaf_bytes
        self._objects: list[Any] = []
        self._filled = collections.Counter[int]()  # places of slots and arrays
        for _ in plan.kinds:
            self.ledger.add(0)
        for number, kind in enumerate(plan.kinds):
            earlier = [to for source, to in plan.links if source == number and to < number]
            self._objects.append(self._new(kind, number, earlier))
        for source, target in plan.links:
            if plan.kinds[source] in CONTAINERS:
                self._put(source, target)
        self._measure()
        self._hold(plan)
        del self._objects

    def _new(self, kind: str, number: int, earlier: list[int]) -> Any:
        if kind in LEAVES:
            return self._leaf(kind, number)
        if kind in AT_ONCE:
            found = _over(kind, [self._objects[to] for to in earlier])
            if found is None:
                return self._leaf("text", number)
            obj, referred = found
            self._refer_to(kind, number, referred)
            return obj
        if kind == "objects":
            return self._object_array(number)
        made = _EMPTY[kind]()
        if kind == "opened":
            vars(made)
        return made

    def _leaf(self, kind: str, number: int) -> Any:
        length = 300 + next(_fresh) % 5000 + self._leaf_bytes
        if kind in _TEXTS:
            return _TEXTS[kind] * length
        if kind == "number":
            return 1 << length
        if kind == "numbers" and _numpy():
            self.ledger.below[number].append(self.ledger.add(8 * length))
            return _numpy().zeros(length)
        return {"float": float, "bytearray": bytearray}.get(kind, bytes)(length)

    def _object_array(self, number: int) -> Any:
        if not _numpy():
            return []
        filler = [next(_fresh) + 0.5]
        self.ledger.below[number] += [
            self.ledger.add(8 * PLACES + 8),
            self.ledger.add(_rounded(filler[0])),
        ]
        made = _numpy().full(PLACES + 1, None, object)
        made[:] = filler * (PLACES + 1)  # the last of them stays
        return made

    def _refer_to(self, kind: str, number: int, referred: list[Any]) -> None:
        source = number
        if kind == "memoryview":
            source = self.ledger.add(SHELL)  # what is between it and the memory
            self.ledger.below[number].append(source)
            self.ledger.slack[number] = self.ledger.slack[source] = 2 * SHELL
        self.ledger.below[source] += [self._number(obj) for obj in referred]

    def _number(self, obj: Any) -> int:
        return next(at for at, one in enumerate(self._objects) if one is obj)

    def _put(self, source: int, target: int) -> None:
        """Let one container refer to one more object, where it can."""
        holder, obj = self._objects[source], self._objects[target]
        kind = type(holder)
        below = self.ledger.below[source]
        if kind in (list, collections.deque):
            holder.append(obj)
        elif kind is set:
            if not _hashes(obj) or obj in holder:
                return
            holder.add(obj)
        elif isinstance(holder, dict):
            # A dict with only texts for keys does not show them to the garbage collector.
            key: Any = next(_fresh) + 0.5 if kind is collections.defaultdict else _text()
            holder[key] = obj
            below.append(self.ledger.add(_rounded(key)))
        else:
            if kind not in (Plain, Both, Slotted) and not isinstance(obj, (str, bytes, int)):
                return  # a cycle through an array is never collected
            place, self._filled[source] = self._filled[source], self._filled[source] + 1
            if place >= PLACES:
                return
            if kind in (Plain, Both, Slotted):
                setattr(holder, _NAMES[kind is Slotted][place], obj)
            else:
                holder[place] = obj
        below.append(target)

    def _measure(self) -> None:
        for number, obj in enumerate(self._objects):
            array = type(obj).__module__ == "numpy" or type(obj) is memoryview
            self.ledger.bytes[number] = SHELL if array else _rounded(obj)
            if type(obj) in (Plain, Both):
                self._measure_attributes(number, obj)

    def _measure_attributes(self, number: int, obj: Any) -> None:
        """Where attributes are kept differs by version, and Python does not tell all of it."""
        self.ledger.slack[number] = ATTRIBUTES
        own = set(map(id, self._objects))
        for found in gc.get_referents(obj):
            if type(found) is dict and id(found) not in own:
                self.ledger.below[number].append(self.ledger.add(_rounded(found)))

    def _hold(self, plan: Plan) -> None:
        for place, number in enumerate(plan.names):
            self.names[f"name{place}"] = self._objects[number]
            self.ledger.holders[number].add(f"name{place}")
        for number in plan.outside:
            self.outside.append(self._objects[number])
            self.ledger.holders[number].add(UNNAMED)
        for number in plan.garbage:
            cycle: list[Any] = [self._objects[number]]
            cycle.append(cycle)


def _over(kind: str, objects: list[Any]) -> tuple[Any, list[Any]] | None:
    """Return something that refers to ``objects`` from the start, and to which of them."""
    if kind == "tuple":
        return (tuple(objects), objects) if objects else None
    if kind == "frozenset":
        fits = [one for one in objects if _hashes(one)]
        return frozenset(fits), list({id(one): one for one in fits}.values())
    wanted: Any = {
        "cell": object, "iterator": (list, tuple), "memoryview": (bytes, bytearray),
        "method": (list, dict, set, collections.deque), "view": _array(),
    }[kind]  # fmt: skip
    for one in objects:
        if isinstance(one, wanted):
            break
    else:
        return None
    if kind == "view":
        return one[:1], [one if one.base is None else one.base]
    make: Any = {"cell": types.CellType, "iterator": iter, "memoryview": memoryview,
                 "method": lambda obj: obj.copy}[kind]  # fmt: skip
    return make(one), [one]


def _hashes(obj: Any) -> bool:
    return isinstance(obj, (Plain, Slotted))  # by identity


def _text() -> str:
    return f"key number {next(_fresh)}"


def _rounded(obj: Any) -> int:
    return (sys.getsizeof(obj) + STEP - 1) // STEP * STEP


def _numpy() -> Any:
    return sys.modules.get("numpy")


def _array() -> Any:
    return _numpy().ndarray if _numpy() else ()
