"""The in-process walk over what named roots reach: a graph as parallel lists.

It starts at named roots only and is cut at modules, classes and namespaces, so its cost follows
the user's data and not the size of the libraries. Big containers are not enumerated: a random
sample of their elements is walked and scaled, each object divided by its share of its own
reference count, so that strings and frames that elements share are not counted once per element.
"""

from __future__ import annotations

import gc
import sys
import time
import types as types  # also for modules that are loaded later, beside a program's types.py
from _collections import OrderedDict  # type: ignore[import-not-found]

from . import artists, buffers, sizes, tasks, user_signals
from .containers import CONTAINERS, OBJECT_ARRAY, ObjectArray, own_keys
from .giants import excess
from .old_classes import outlived
from .parts import NOTHING
from .python_buffers import is_map, is_view, map_size
from .sampling import SAMPLE, sample_sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .parts import Parts

BIG_CONTAINER = 4096  # elements from which on a container is sampled
MAX_NODES = 600_000

_STOP_TYPES = (
    types.ModuleType,
    type,
    types.CodeType,
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
# IPython's record of a failed cell hangs in the frames behind its own exception and refers to
# that exception: were it not walked, the exception would seem to be held by something unnamed.
# A log record keeps what was to be logged, for as long as a handler keeps the record.
_PASSED_THROUGH = frozenset({"ExecutionResult", "LogRecord"})
_LEAVES = sizes.ids(int, float, complex, bool, str, bytes, bytearray, type(None), range)


class TooLong(Exception):
    """The walk would take, or took, longer than the pause that is allowed."""


def _bound(deadline: int) -> Callable[[], None]:
    """Return a function that raises ``TooLong`` past the deadline.

    Adapters keep it: a method of the walk would make the walk, and all it holds, a cycle.
    """

    def in_time() -> None:
        if time.thread_time_ns() > deadline:
            raise TooLong("it took longer than the pause that is allowed")

    return in_time


class Walk:
    """The graph below the roots as parallel lists: objects, sizes, edges and parents.

    ``deadline`` is in ns of this thread's own CPU time: what the walk can cost the user. Native
    buffers are nodes of their own, keyed by address, so a buffer that is reached twice counts
    once.
    """

    def __init__(self, stop_ids: set[int], deadline: int) -> None:
        self.stop_ids = stop_ids
        self.deadline = deadline
        self.in_time = _bound(deadline)
        self.index: dict[int, int] = {}
        self.objects: list[Any] = []
        self.sizes: list[float] = []
        self.spread: dict[int, float] = {}  # variance of a sampled node's size
        self.counts: dict[int, int] = {}  # objects that a sampled node stands for
        self.edges: list[tuple[int, ...]] = []
        self.parents: list[int] = []
        self.incoming: list[int] = []
        self.adapted: list[int] = []  # nodes whose data an adapter found
        self.native: dict[int, int] = {}  # address → bytes of native buffers
        self.addresses: dict[int, int] = {}  # node → address of a native buffer
        self.lent: set[int] = set()  # addresses that others than arrays told
        self.pinned_in_samples: dict[int, float] = {}  # node → bytes that only views keep
        self.explained: set[int] = set()  # those whose reference to an array is accounted for
        self.blind: set[str] = set()  # types whose data cannot be seen
        self.changed: set[str] = set()  # types of containers that changed while they were read
        self._kinds: dict[int, Kind] = {}  # by the id of a class
        self._expanded = 0
        self._seed = 0x9E3779B9

    def add(self, obj: Any, parent: int) -> int:
        """Return the node of ``obj``, made if it is new, or -1 where the walk is cut."""
        known = self.index.get(id(obj))
        if known is not None:
            return known
        if id(obj) in self.stop_ids:
            return -1
        kind = self.kind(type(obj))
        if kind.stop and not (kind.is_class and outlived(obj)):
            return -1
        node = self._append(id(obj), obj, parent)
        self.sizes[node] = sizes.allocated(kind.size(obj))
        if kind.leaf:
            self.edges[node] = ()
        return node

    def expand_all(self) -> None:
        """Walk breadth first until no object is left; can be called again after ``add``."""
        node = self._expanded
        while node < len(self.objects):
            if not node & 255:
                self.check()
            if self.edges[node] is _PENDING:
                self._expand(node)
            node += 1
            self._expanded = node

    def affords(self, cost: int) -> bool:
        """Whether ``cost`` ns more stay within the deadline."""
        return time.thread_time_ns() + cost < self.deadline

    def give_up(self) -> None:
        """Leave what has not been expanded without edges."""
        self.edges = [() if edges is _PENDING else edges for edges in self.edges]

    def check(self) -> None:
        """Raise ``TooLong`` past the deadline or the largest number of nodes."""
        self.in_time()
        if len(self.objects) > MAX_NODES:
            raise TooLong(f"more than {MAX_NODES:,} objects below the named holders")

    def kind(self, cls: type) -> Kind:
        """Return what is to be done with instances of ``cls``."""
        found = self._kinds.get(id(cls))
        if found is None:
            found = self._kinds[id(cls)] = Kind(cls, self.in_time, self.blind.add)
            blind = buffers.blind_spot(cls)
            if blind:
                self.blind.add(blind)
        return found

    def kinds(self) -> list[type]:
        """Return the classes met so far."""
        return [kind.cls for kind in self._kinds.values()]

    def random_positions(self, length: int, count: int) -> list[int]:
        """Return up to ``count`` random positions below ``length``, sorted, each one once.

        An element drawn twice would have a reference more than it has by itself.
        """
        positions = []
        for _ in range(count):
            self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            positions.append((self._seed >> 33) * length >> 31)
        return sorted(set(positions))

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
            self.addresses[node] = address
        if nbytes > self.native.get(address, 0):
            self.native[address] = nbytes
            self.sizes[node] = nbytes
        return node

    def _expand(self, node: int) -> None:
        obj = self.objects[node]
        kind = self.kind(type(obj))
        native: list[tuple[int, int]] = []
        children: Iterable[Any] = ()
        if kind.elements is not None and kind.length(obj) > BIG_CONTAINER:
            self._estimate(node, kind, obj)
        elif kind.plain:
            children = gc.get_referents(obj)
            if kind.is_dict and children:
                children += own_keys(obj, len(children), ordered=kind.is_ordered)
        else:
            children, native = self._parts(kind, obj)
        known, linked = self.index.get, []
        for child in children:
            target = known(id(child))
            if target is None:
                target = self.add(child, node)
            if target >= 0:
                linked.append(target)
        linked += [self._add_buffer(address, nbytes, node) for address, nbytes in native]
        self.edges[node] = tuple(linked)
        incoming = self.incoming
        for target in linked:
            incoming[target] += 1

    def _parts(self, kind: Kind, obj: Any) -> tuple[Iterable[Any], list[tuple[int, int]]]:
        if kind.is_task:
            return tasks.kept_by(obj, gc.get_referents(obj)), []
        if kind.adapter is None:
            woken = kind.may_wake and tasks.is_wakeup(obj)
            return () if woken else gc.get_referents(obj), []
        children, native = kind.native(obj)
        if native and not kind.is_array:
            self.lent.update(address for address, _ in native)
        self.adapted.append(self.index[id(obj)])
        children = children + [child for child in gc.get_referents(obj) if child is not obj]
        if kind.is_array and buffers.is_object_array(obj):
            if buffers.object_array_length(obj) > BIG_CONTAINER:
                self._estimate(self.index[id(obj)], OBJECT_ARRAY, obj)
            else:
                for row in buffers.object_array_elements(obj, None):
                    children += row
        return children, native

    def _estimate(self, node: int, kind: Kind | ObjectArray, obj: Any) -> None:
        """Add to the node's own size what a random sample says its elements keep."""
        length = kind.length(obj)
        assert kind.elements is not None
        try:
            drawn = kind.elements(obj, self.random_positions(length, SAMPLE))
        except (LookupError, RuntimeError):
            self.changed.add(sizes.type_name(type(obj)))  # another thread changed it meanwhile
            return
        giants = excess(obj, length, [row[-1] for row in drawn if row])
        per_element, objects, pinned = sample_sizes(self, drawn)
        if not per_element:
            return
        mean = sum(per_element) / len(per_element)
        variance = sum((one - mean) ** 2 for one in per_element) / max(1, len(per_element) - 1)
        self.sizes[node] += mean * length + giants[0]
        self.spread[node] = variance / len(per_element) * length * length + giants[1]
        self.counts[node] = int(objects / len(per_element) * length)
        if pinned:
            self.pinned_in_samples[node] = pinned / len(per_element) * length


_PENDING: tuple[int, ...] = (-1,)


class Kind:
    """What the walk does with the instances of one class."""

    def __init__(self, cls: type, check: Callable[[], None], note: Callable[[str], None]) -> None:
        package = sizes.module_of(cls).partition(".")[0]
        ancestry = sizes.mro(cls)
        self.cls = cls  # also so that it lives as long as the walk
        self.stop = any(stop in ancestry for stop in _STOP_TYPES) or (
            package in _STOP_PACKAGES
            and sizes.type_name(cls).rpartition(".")[2] not in _PASSED_THROUGH
        )
        fixture = artists.fixture_bytes(cls)
        self.fixture = fixture
        self.leaf = id(cls) in _LEAVES or fixture is not None
        self.is_class = type in ancestry
        self.is_task = tasks.is_task(cls)
        self.may_wake = tasks.may_wake(cls)
        self.stop = self.stop or tasks.is_loop(cls)
        # A class is also referred to by descriptors of its own, at which the walk stops; a task
        # by the future it waits for and by its loop, which cancelling takes back; a running thread
        # by the frames at its own bottom.
        self.partly_met = (
            self.is_class or self.is_task or _is_thread(ancestry)
            or artists.is_referred_to_by_fixtures(cls)
        )  # fmt: skip
        self.adapter = None if self.leaf or self.stop else buffers.adapter_for(cls, check, note)
        self.plain = self.adapter is None and not (self.is_task or self.may_wake)
        self.is_array = self.adapter is not None and buffers.is_array(cls)
        self.is_arrow = self.adapter is not None and buffers.is_arrow(cls)
        self.is_view = is_view(cls)
        self.size: Callable[[Any], int] = (
            _array_shell_size if self.adapter and not self.is_view else sizes.shallow_sizer(cls)
        )
        if is_map(cls):
            self.size = map_size
        self.is_dict, self.is_ordered = dict in ancestry, OrderedDict in ancestry
        self._note = note
        if fixture is not None:
            self.size = lambda obj: fixture
        self.elements: Callable[[Any, list[int]], list[Any]] | None = None
        self.length: Callable[[Any], int] = len
        for container, elements, length in CONTAINERS:
            if container in ancestry:
                self.elements, self.length = elements, length

    def native(self, obj: Any) -> Parts:
        """Return what the adapter finds; where it fails the type counts as not measured."""
        assert self.adapter is not None
        try:
            return self.adapter(obj)
        except TooLong:
            raise
        except Exception as error:
            if user_signals.behind(error):
                raise
            self._note(sizes.type_name(type(obj)))
            return NOTHING


def _is_thread(ancestry: tuple[type, ...]) -> bool:
    return getattr(sys.modules.get("threading"), "Thread", None) in ancestry


def _array_shell_size(obj: Any) -> int:
    """Return about the size of an array object without its data, which is a node of its own."""
    return 112
