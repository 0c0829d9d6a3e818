"""The snapshot driver and its in-process fallback walker.

The walk starts at named roots only and is cut at modules, classes and namespaces, so its cost
follows the user's data and not the size of the libraries. Bytes are attributed to *sets* of
holders, and an object whose reference count is larger than the references the walk has met is
held by something unnamed as well: its bytes are then never promised to anybody.

Big containers are not enumerated: a random sample of their elements is walked and scaled, each
object divided by its share of its own reference count, so that strings and frames that elements
share are not counted once per element. Such sums carry an interval.

A native walker can replace ``Walk`` behind ``tables``: the record stays the same.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import buffers, frames, sizes
from .roots import Root

BIG_CONTAINER = 4096  # elements from which on a container is sampled
SAMPLE = 400  # elements walked of a big container
MAX_NODES = 600_000
LEAST_GROUP = 64 * 1024  # bytes below which a group is not worth a row
MAX_GROUPS = 300
MAX_SUBTREE = 3000  # objects below one sampled element
NS_PER_OBJECT = 2_500  # first guess of the walk's cost; replaced by what was measured

_STOP_TYPES = (
    types.ModuleType,
    type,
    types.CodeType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
# Instances of these packages lead back to the whole interpreter, not to the user's data.
_STOP_PACKAGES = frozenset(
    {"IPython", "ipykernel", "traitlets", "zmq", "tornado", "jupyter_client", "comm", "logging",
     "memprobe", "memprobe_probes", "py4j", "debugpy", "pydevd", "_pydevd_bundle", "importlib",
     "_frozen_importlib", "_frozen_importlib_external", "selectors", "_thread", "ast"}
)  # fmt: skip
_LEAVES = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), range})
_UNNAMED = "a reference that memprobe cannot name"


class TooLong(Exception):
    """The walk would take, or took, longer than the pause that is allowed."""


class Walk:
    """The graph below the roots as parallel lists: objects, sizes, edges and parents.

    ``deadline`` is in monotonic ns. Native buffers are nodes of their own, keyed by address, so
    a buffer that is reached twice counts once.
    """

    def __init__(self, stop_ids: set[int], deadline: int) -> None:
        self.stop_ids = stop_ids
        self.deadline = deadline
        self.index: dict[int, int] = {}
        self.objects: list[Any] = []
        self.sizes: list[float] = []
        self.spread: dict[int, float] = {}  # variance of a sampled node's size
        self.counts: dict[int, int] = {}  # objects that a sampled node stands for
        self.edges: list[tuple[int, ...]] = []
        self.parents: list[int] = []
        self.incoming: list[int] = []
        self.blind: set[str] = set()
        self._kinds: dict[type, _Kind] = {}
        self._seed = 0x9E3779B9

    def add(self, obj: Any, parent: int) -> int:
        """Return the node of ``obj``, made if it is new, or -1 where the walk is cut."""
        known = self.index.get(id(obj))
        if known is not None:
            return known
        if id(obj) in self.stop_ids:
            return -1
        kind = self.kind(type(obj))
        if kind.stop:
            return -1
        node = self._append(id(obj), obj, parent)
        self.sizes[node] = kind.size(obj)
        return node

    def expand_all(self) -> None:
        """Walk breadth first until no object is left."""
        node = 0
        while node < len(self.objects):
            if not node & 255:
                self.check()
            if self.edges[node] is _PENDING:
                self._expand(node)
            node += 1

    def check(self) -> None:
        """Raise ``TooLong`` past the deadline or the largest number of nodes."""
        if time.monotonic_ns() > self.deadline:
            raise TooLong("it took longer than the pause that is allowed")
        if len(self.objects) > MAX_NODES:
            raise TooLong(f"more than {MAX_NODES:,} objects below the named holders")

    def kind(self, cls: type) -> _Kind:
        """Return what is to be done with instances of ``cls``."""
        found = self._kinds.get(cls)
        if found is None:
            found = self._kinds[cls] = _Kind(cls)
            blind = buffers.blind_spot(cls)
            if blind:
                self.blind.add(blind)
        return found

    def random_positions(self, length: int, count: int) -> list[int]:
        """Return ``count`` random positions below ``length``, sorted, some perhaps twice."""
        positions = []
        for _ in range(count):
            self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            positions.append((self._seed >> 33) * length >> 31)
        return sorted(positions)

    def _append(self, key: int, obj: Any, parent: int) -> int:
        node = len(self.objects)
        self.index[key] = node
        self.objects.append(obj)
        self.sizes.append(0)
        self.edges.append(_PENDING)
        self.parents.append(parent)
        self.incoming.append(0)
        return node

    def _add_buffer(self, address: int, nbytes: int, parent: int) -> int:
        node = self.index.get(-address)
        if node is None:
            node = self._append(-address, None, parent)
            self.edges[node] = ()
            self.sizes[node] = nbytes
        return node

    def _expand(self, node: int) -> None:
        obj = self.objects[node]
        kind = self.kind(type(obj))
        native: list[tuple[int, int]] = []
        children: Iterable[Any] = ()
        if kind.leaf:
            pass
        elif kind.elements is not None and kind.length(obj) > BIG_CONTAINER:
            self._estimate(node, kind, obj)
        else:
            children, native = self._parts(kind, obj)
        targets = [self.add(child, node) for child in children]
        targets += [self._add_buffer(address, nbytes, node) for address, nbytes in native]
        linked = tuple(target for target in targets if target >= 0)
        self.edges[node] = linked
        for target in linked:
            self.incoming[target] += 1

    def _parts(self, kind: _Kind, obj: Any) -> tuple[Iterable[Any], list[tuple[int, int]]]:
        if kind.adapter is None:
            return gc.get_referents(obj), []
        children, native = kind.adapter(obj)
        children = children + [child for child in gc.get_referents(obj) if child is not obj]
        if buffers.is_object_array(obj):
            if buffers.object_array_length(obj) > BIG_CONTAINER:
                self._estimate(self.index[id(obj)], _OBJECT_ARRAY, obj)
            else:
                children += buffers.object_array_elements(obj, None)
        return children, native

    def _estimate(self, node: int, kind: _Kind | _ObjectArray, obj: Any) -> None:
        """Add to the node's own size what a random sample says its elements keep."""
        length = kind.length(obj)
        assert kind.elements is not None
        drawn = kind.elements(obj, self.random_positions(length, SAMPLE))
        per_element, objects = _sample_sizes(self, drawn)
        if not per_element:
            return
        mean = sum(per_element) / len(per_element)
        variance = sum((one - mean) ** 2 for one in per_element) / max(1, len(per_element) - 1)
        self.sizes[node] += mean * length
        self.spread[node] = variance / len(per_element) * length * length
        self.counts[node] = int(objects / len(per_element) * length)


_PENDING: tuple[int, ...] = (-1,)


class _Kind:
    """What the walk does with the instances of one class."""

    def __init__(self, cls: type) -> None:
        package = sizes.module_of(cls).partition(".")[0]
        ancestry = sizes.mro(cls)
        self.stop = any(stop in ancestry for stop in _STOP_TYPES) or package in _STOP_PACKAGES
        self.leaf = cls in _LEAVES
        self.adapter = None if self.leaf or self.stop else buffers.adapter_for(cls)
        self.size: Callable[[Any], int] = (
            _array_shell_size if self.adapter else sizes.shallow_sizer(cls)
        )
        self.elements: Callable[[Any, list[int]], list[Any]] | None = None
        self.length: Callable[[Any], int] = len
        for container, elements, length in _CONTAINERS:
            if container in ancestry:
                self.elements, self.length = elements, length


def _array_shell_size(obj: Any) -> int:
    """Return about the size of an array object without its data, which is a node of its own."""
    return 112


def _picked(iterable: Iterable[Any], positions: list[int]) -> list[Any]:
    """Return the items of ``iterable`` at the sorted ``positions``, in one pass of C code."""
    iterator = iter(iterable)
    found, at = [], 0
    for position in dict.fromkeys(positions):
        found.extend(itertools.islice(iterator, position - at, position - at + 1))
        at = position + 1
    return found


def _list_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[list.__getitem__(obj, position)] for position in positions]


def _tuple_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[tuple.__getitem__(obj, position)] for position in positions]


def _dict_items(obj: Any, positions: list[int]) -> list[Any]:
    return [list(pair) for pair in _picked(dict.items(obj), positions)]


def _set_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(set.__iter__(obj), positions)]


def _frozenset_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(frozenset.__iter__(obj), positions)]


def _deque_items(obj: Any, positions: list[int]) -> list[Any]:
    return [[one] for one in _picked(deque.__iter__(obj), positions)]


_CONTAINERS: tuple[tuple[type, Any, Any], ...] = (
    (list, _list_items, list.__len__),
    (tuple, _tuple_items, tuple.__len__),
    (dict, _dict_items, dict.__len__),
    (set, _set_items, set.__len__),
    (frozenset, _frozenset_items, frozenset.__len__),
    (deque, _deque_items, deque.__len__),
)


class _ObjectArray:
    """An object ndarray seen as a container."""

    length = staticmethod(buffers.object_array_length)

    @staticmethod
    def elements(obj: Any, positions: list[int]) -> list[Any]:
        """Return the elements at ``positions``, each in a list of its own."""
        return [[one] for one in buffers.object_array_elements(obj, positions)]


_OBJECT_ARRAY = _ObjectArray()


def _sample_sizes(walk: Walk, drawn: list[Any]) -> tuple[list[float], int]:
    """Return what each drawn element keeps, in bytes, and how many objects were met.

    ``drawn`` holds one list per element (an item, or a key and a value) and is emptied: its own
    references would count.
    """
    per_element, objects = [], 0
    drawn.reverse()
    while drawn:
        if not len(drawn) & 15:
            walk.check()
        size, met = _kept_by(walk, drawn.pop())
        per_element.append(size)
        objects += met
    return per_element, objects


def _kept_by(walk: Walk, objects: list[Any]) -> tuple[float, int]:
    """Return the bytes one sampled element answers for, and the number of objects below it.

    An object counts by the share of its references that come from this subtree: one that a
    hundred elements share counts a hundredth for each.
    """
    met: dict[int, int] = {id(one): 1 for one in objects}
    native: dict[int, tuple[int, int]] = {}
    at = 0
    while at < len(objects) < MAX_SUBTREE:
        kind = walk.kind(type(objects[at]))
        if not (kind.leaf or kind.stop or id(objects[at]) in walk.stop_ids):
            children, found = walk_parts(kind, objects[at])
            native.update((address, (at, nbytes)) for address, nbytes in found)
            _meet(walk, children, met, objects)
        at += 1
    children = []
    shares = _shares(objects, met)
    total = sum(share * walk.kind(type(one)).size(one) for one, share in zip(objects, shares))
    return total + sum(shares[owner] * nbytes for owner, nbytes in native.values()), len(objects)


def _meet(walk: Walk, children: list[Any], met: dict[int, int], objects: list[Any]) -> None:
    for child in children:
        if id(child) in met:
            met[id(child)] += 1
        elif not walk.kind(type(child)).stop:
            met[id(child)] = 1
            objects.append(child)


def walk_parts(kind: _Kind, obj: Any) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return children and native buffers of one object inside a sampled element."""
    if kind.adapter is None:
        return gc.get_referents(obj), []
    children, native = kind.adapter(obj)
    if buffers.is_object_array(obj) and buffers.object_array_length(obj) <= SAMPLE:
        children = children + buffers.object_array_elements(obj, None)
    return children, native


def _shares(objects: list[Any], met: dict[int, int]) -> list[float]:
    counts = list(map(sys.getrefcount, objects))
    return [
        min(1.0, met[id(one)] / max(1, count - _OWN_REFERENCES))
        for one, count in zip(objects, counts)
    ]


def _own_references() -> int:
    """Count what ``map(sys.getrefcount, objects)`` sees of an object only that list holds."""
    objects = [object()]
    return list(map(sys.getrefcount, objects))[0]


_OWN_REFERENCES = _own_references()


def attribute(walk: Walk, roots: Sequence[Root], nodes: Sequence[int]) -> list[int]:
    """Return per node the set of roots that reach it, as a bit mask; bit ``len(roots)`` is
    "something unnamed".

    A node with more references than the walk has met is reached by something unnamed too.
    """
    masks = [0] * len(walk.objects)
    for position, node in enumerate(nodes):
        if node >= 0:
            walk.incoming[node] += 1
            _spread_mask(walk, masks, node, 1 << position)
    unnamed = 1 << len(roots)
    counts = list(map(sys.getrefcount, walk.objects))
    for node, count in enumerate(counts):
        if walk.objects[node] is None:
            continue
        if count - _OWN_REFERENCES > walk.incoming[node]:
            _spread_mask(walk, masks, node, unnamed)
    return masks


def _spread_mask(walk: Walk, masks: list[int], node: int, mask: int) -> None:
    pending = [node]
    edges = walk.edges
    while pending:
        node = pending.pop()
        if masks[node] & mask == mask:
            continue
        masks[node] |= mask
        pending.extend(edges[node])


def tables(
    roots: list[Root], stop_ids: set[int], max_pause_ns: int, ns_per_object: float
) -> dict[str, Any]:
    """Walk from ``roots`` and return the snapshot's tables.

    ``roots`` is emptied: its own references would count. Raises ``TooLong``.
    """
    started = time.monotonic_ns()
    estimate = int(estimate_objects(roots) * ns_per_object)
    if estimate > max_pause_ns:
        raise TooLong(f"it would pause for about {estimate / 1e6:.0f} ms")
    walk = Walk(stop_ids, started + max_pause_ns)
    nodes = [walk.add(root.take(), -1) for root in roots]
    walk.expand_all()
    masks = attribute(walk, roots, nodes)
    groups = _group(walk, masks)
    result = _rows(walk, roots, nodes, groups)
    result["objects"] = len(walk.objects) + sum(walk.counts.values())
    result["estimate_ns"] = estimate
    result["took_ns"] = time.monotonic_ns() - started
    result["nodes"] = len(walk.objects)
    return result


def estimate_objects(roots: Iterable[Root]) -> int:
    """Return about how many objects a walk from ``roots`` would touch."""
    total = 0
    for root in roots:
        obj = root.obj
        total += 30
        for container, _, length in _CONTAINERS:
            if container in sizes.mro(type(obj)):
                size = length(obj)
                total += SAMPLE * 8 if size > BIG_CONTAINER else size * 4
    return total


class _Group:
    """Bytes that share one set of holders."""

    def __init__(self) -> None:
        self.bytes = 0.0
        self.variance = 0.0
        self.objects = 0
        self.largest = -1
        self.sampled = False


def _group(walk: Walk, masks: list[int]) -> dict[int, _Group]:
    groups: dict[int, _Group] = {}
    for node, mask in enumerate(masks):
        if not mask:
            continue
        group = groups.get(mask)
        if group is None:
            group = groups[mask] = _Group()
        group.bytes += walk.sizes[node]
        group.objects += 1 + walk.counts.get(node, 0)
        if node in walk.spread:
            group.variance += walk.spread[node]
            group.sampled = True
        if group.largest < 0 or walk.sizes[node] > walk.sizes[group.largest]:
            group.largest = node
    return groups


def _rows(
    walk: Walk, roots: list[Root], nodes: list[int], groups: dict[int, _Group]
) -> dict[str, Any]:
    kept = sorted(groups.items(), key=lambda item: -item[1].bytes)[:MAX_GROUPS]
    kept = [(mask, group) for mask, group in kept if group.bytes >= LEAST_GROUP]
    used: set[int] = set()
    rows = []
    for mask, group in kept:
        holders = [bit for bit in range(len(roots) + 1) if mask >> bit & 1]
        used.update(holders)
        rows.append(_group_row(walk, nodes, holders, group))
    return {
        "holders": _holder_rows(walk, roots, nodes, sorted(used)),
        "groups": rows,
        "types": _type_rows(walk),
        "unmeasured": [
            {"what": name, "why": "its native data has no adapter in this version"}
            for name in sorted(walk.blind)
        ],
    }


def _group_row(
    walk: Walk, nodes: list[int], holders: list[int], group: _Group
) -> dict[str, Any]:
    path, via = path_to(walk, group.largest)
    margin = int(2 * group.variance**0.5)
    nbytes = int(group.bytes)
    largest = walk.objects[group.largest]
    return {
        "holders": holders,
        "bytes": nbytes,
        "low": max(0, nbytes - margin) if group.sampled else None,
        "high": nbytes + margin if group.sampled else None,
        "objects": group.objects,
        "top": "native buffer" if largest is None else sizes.type_name(type(largest)),
        "path": path,
        "via": via,
    }


def _holder_rows(
    walk: Walk, roots: list[Root], nodes: list[int], used: list[int]
) -> list[dict[str, Any]]:
    rows = []
    for number in used:
        if number == len(roots):
            rows.append(
                {"id": number, "root": "interpreter", "expr": _UNNAMED, "object": -1, "type": ""}
            )
            continue
        root, node = roots[number], nodes[number]
        row = {"id": number, "root": root.kind, "expr": root.expr, "object": node}
        row["type"] = sizes.type_name(type(walk.objects[node]))
        row.update(buffers.describe(walk.objects[node]))
        row.update(root.facts)
        rows.append(row)
    return rows


def _type_rows(walk: Walk, most: int = 30) -> list[dict[str, Any]]:
    totals: dict[str, list[float]] = {}
    names: dict[type, str] = {}
    for obj, size in zip(walk.objects, walk.sizes):
        cls = type(obj)
        name = "native buffer" if obj is None else names.get(cls)
        if name is None:
            name = names[cls] = sizes.type_name(cls)
        row = totals.setdefault(name, [0, 0])
        row[0] += 1
        row[1] += size
    largest = sorted(totals.items(), key=lambda item: -item[1][1])[:most]
    return [{"type": name, "count": row[0], "bytes": int(row[1])} for name, row in largest]


_VIA = {types.TracebackType: "traceback", types.FrameType: "frame", types.CellType: "closure",
        types.GeneratorType: "suspended-frame", types.CoroutineType: "suspended-frame"}  # fmt: skip


def path_to(walk: Walk, node: int) -> tuple[list[dict[str, str]], list[str]]:
    """Return the steps from a root to ``node`` and the kinds of holder met on the way."""
    chain = [node]
    while walk.parents[chain[-1]] >= 0 and len(chain) < 60:
        chain.append(walk.parents[chain[-1]])
    chain.reverse()
    steps, via = [], []
    for above, below in itertools.pairwise(chain):
        child = walk.objects[below]
        name = "buffer" if child is None else sizes.type_name(type(child))
        steps.append({"edge": edge_name(walk.objects[above], child), "type": name})
    for step in chain:
        kind = _VIA.get(type(walk.objects[step]))
        if kind and kind not in via:
            via.append(kind)
    return steps, via


def edge_name(above: Any, below: Any) -> str:
    """Return how ``above`` refers to ``below``: names, indices, never keys of user dicts."""
    if below is None:
        return "data"
    cls = type(above)
    if cls in (list, tuple):
        position = next((i for i, one in enumerate(above) if one is below), None)
        return "[*]" if position is None else f"[{position}]"
    if cls is types.FrameType:
        return frames.name_of_local(above, below) or "local"
    if cls is types.CellType:
        return "cell_contents"
    if cls is types.FunctionType:
        return "closure" if type(below) is tuple else "function"
    if dict in sizes.mro(cls):
        return _attribute_name(above, below, "[key]")
    return _attribute_name(above, below)


def _attribute_name(above: Any, below: Any, unknown: str = "·") -> str:
    held = sizes.instance_dict(above)
    if held is below:
        return "__dict__"
    for name, value in (held or {}).items():
        if value is below and type(name) is str:
            return "." + name
    slot = sizes.slot_named(above, below)
    if slot:
        return "." + slot
    for owner in sizes.mro(type(above)):
        for name in _BUILT_IN_EDGES.get(owner, ()):
            if vars(owner)[name].__get__(above) is below:
                return "." + name
    return unknown


_BUILT_IN_EDGES: dict[type, tuple[str, ...]] = {
    BaseException: ("__traceback__", "__cause__", "__context__", "args"),
    types.TracebackType: ("tb_next", "tb_frame"),
}
