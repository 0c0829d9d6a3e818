"""Every way in which a live object is held, from a name that a user can cut, as objgraph finds it.

objgraph searches the references backwards. Its labels would call ``repr`` and its search would
begin with ``gc.collect()``, which runs finalizers: so only its search is used, in a copy of the
module whose ``gc`` does not collect. What it cannot see (a dict of arrays, which Python's collector
does not track; the base of a view) is then looked for by memprobe's own walk.

Nothing refers to the object afterwards, and what refers to it only because of the search is left
out: frames of this very call, and lists of a snapshot in another thread.
"""

from __future__ import annotations

import gc
import sys
import time
import types

from . import frames, paths, roots, sizes
from .containers import CONTAINERS
from .walk import TooLong, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .roots import Root
    from .waiting import Waiting

PATIENCE = 5.0  # seconds that a search may take
MOST_WAYS = 12
MOST_COUNTED = 1_000_000  # items of a container in which references are counted
IMMORTAL = 1 << 28  # references that an object which never goes seems to have
LOST = "not found"  # the root of what nothing named leads to

_objgraph: Any = None


class Late(Exception):
    """The search took longer than it may."""


class Hop:
    """One object on the way: how it is referred to, its type, and a number to tell it by."""

    def __init__(self, edge: str, kind: str, number: int) -> None:
        self.edge = edge
        self.type = kind
        self.id = number


class Way:
    """How a root holds the object: ``exprs`` reach the first hop, the last is the object."""

    def __init__(self, root: str, exprs: list[str], hops: list[Hop]) -> None:
        self.root = root
        self.exprs = exprs
        self.hops = hops
        self.by_walk = False  # found by memprobe's walk, not by objgraph

    @property
    def holder(self) -> int:
        """The number of the last object above the one in question, 0 where there is none."""
        return self.hops[-2].id if len(self.hops) > 1 else 0


class Found:
    """What a search found. ``unseen`` references are held by something that was not found."""

    def __init__(self, target: int) -> None:
        self.target = target  # the number of its hop
        self.ways: list[Way] = []
        self.more = 0  # objects that refer to it and were not followed
        self.unseen = 0
        self.cut_short = False


def load_objgraph() -> Any:
    """Return a copy of objgraph for our use, whose searches do not collect, or None without it."""
    global _objgraph
    if _objgraph is None:
        from importlib import util

        try:
            spec = util.find_spec("objgraph")
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.loader is None:
            return None
        module: Any = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.gc = types.SimpleNamespace(
            collect=lambda *_: 0, get_referrers=gc.get_referrers, get_referents=gc.get_referents
        )
        _objgraph = module
    return _objgraph


class Search:
    """Knows the names that hold something, and what is only there because of the search."""

    def __init__(self, shell: Any, waiting: Waiting | None = None) -> None:
        self._shell = shell
        self._waiting = waiting
        self._deadline = self._until = time.monotonic() + PATIENCE
        self._late = False
        self._named: dict[int, list[tuple[str, str]]] = {}  # id → kind and expression
        for root in self._roots():
            self._named.setdefault(id(root.take()), []).append((root.kind, root.expr))
        own = {id(names) for _, names in roots.user_modules(set())}
        self._modules = _module_namespaces(own | {id(shell.user_ns)})
        self._ignored = roots.stop_ids(shell) - set(self._modules)

    def ways_to(self, target: Any) -> Found:
        """Return the ways to ``target``. Raises ImportError without objgraph."""
        found = Found(id(target))
        missing = self._unseen(target) - self._own_references()
        # Nothing in here may close over the object: the closure would refer to it.
        kind_of, ignored = sizes.type_name(type(target)), self._ignored | _own_frames()
        for kind, expr in self._named.get(id(target), ()):
            found.ways.append(Way(kind, [expr], [Hop(expr, kind_of, found.target)]))
        referrers = [one for one in gc.get_referrers(target) if id(one) not in ignored]
        referrers = [one for one in referrers if not _is_left_by_magic(one)]
        found.more = max(0, len(referrers) - MOST_WAYS)
        del referrers[MOST_WAYS:]
        try:
            while referrers:
                self._allow(1 / len(referrers))
                way = self._way(referrers.pop(), target, {id(referrers)})
                found.ways += [way] if way else []
            self._allow(1)
            if missing > 0:
                found.ways += self._walked(target, {way.holder for way in found.ways})
        except (Late, TooLong):
            self._late = True
        found.cut_short = self._late
        found.more += len(referrers)
        found.ways.sort(key=_rank)
        found.unseen = max(0, missing - sum(way.by_walk for way in found.ways))
        return found

    def _roots(self) -> list[Root]:
        return roots.notebook_roots(self._shell, self._waiting)

    def _way(self, holder: Any, target: Any, ours: set[int]) -> Way | None:
        """Return the shortest way to ``target`` over ``holder``, None where the probe holds it."""
        objgraph = load_objgraph()
        if objgraph is None:
            raise ImportError("objgraph")
        ignored = self._ignored | ours | {id(target)} | _own_frames()
        try:
            chain = objgraph.find_backref_chain(holder, self._is_root, extra_ignore=ignored)
        except Late:
            chain, self._late = [holder], True
        if not self._is_known(chain[0]) and _is_measured(holder, ours | {id(chain)}):
            return None
        if not self._is_known(chain[0]):
            chain = [*_owner(chain[0]), *chain]
        return self._described([*chain, target])

    def _described(self, chain: list[Any]) -> Way:
        """Return a chain of objects as names and types."""
        start = id(chain[0])
        if start in self._modules:
            expr = f"{self._modules[start]}.{paths.key_of(chain[0], chain[1])}"
            return Way("module", [expr], _hops(expr, chain[1:]))
        named = self._named.get(start)
        if named is None:
            return Way(LOST, [], _hops("", chain))
        return Way(named[0][0], [expr for _, expr in named], _hops(named[0][1], chain))

    def _allow(self, share: float) -> None:
        """Give the next search a share of the time that is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late
        self._until = time.monotonic() + left * share

    def _is_root(self, obj: Any) -> bool:
        if time.monotonic() > self._until:
            raise Late
        return self._is_known(obj)

    def _is_known(self, obj: Any) -> bool:
        return id(obj) in self._named or id(obj) in self._modules

    def _walked(self, target: Any, known: set[int]) -> list[Way]:
        """Return the ways that memprobe's own walk finds and whose last holder is not ``known``."""
        seconds = max(0.0, self._deadline - time.monotonic())
        walk = Walk(roots.stop_ids(self._shell), time.thread_time_ns() + int(seconds * 1e9))
        for root in self._roots():
            walk.add(root.take(), -1)
        walk.expand_all()
        node = walk.index.get(id(target), -1)
        above = [number for number, below in enumerate(walk.edges) if node in below]
        above = [number for number in above if id(walk.objects[number]) not in known]
        ways = [self._described(_down_to(walk, number, target)) for number in above[:MOST_WAYS]]
        for way in ways:
            way.by_walk = True
        return ways

    def _unseen(self, target: Any) -> int:
        """Return how many references there are beyond those that the collector can tell of.

        Those of this very search are among them: ``_own_references``.
        """
        references = sys.getrefcount(target)
        if references > IMMORTAL:
            return 0
        seen = 0
        for one in gc.get_referrers(target):
            seen += _references(one, target)
        return (
            references - seen - sum(kind == "frame" for kind, _ in self._named.get(id(target), ()))
        )

    def _own_references(self) -> int:
        """Return what `_unseen` tells of an object that only a caller of `ways_to` refers to."""
        fresh = types.SimpleNamespace()
        return self._through(fresh)

    def _through(self, target: Any) -> int:
        return self._unseen(target)


def _rank(way: Way) -> tuple[int, int]:
    """Names come first and what is not found last; short ways before long ones."""
    order = {"notebook-namespace": 0, LOST: 2}
    return order.get(way.root, 1), len(way.hops)


def _down_to(walk: Walk, number: int, target: Any) -> list[Any]:
    """Return the objects from a root to ``target``, over the node ``number``."""
    chain = [target]
    while number >= 0:
        chain.append(walk.objects[number])
        number = walk.parents[number]
    return chain[::-1]


def _references(holder: Any, target: Any) -> int:
    """Return how often a container refers to ``target``; a huge one is taken to do so once."""
    for container, _, length in CONTAINERS:
        if container in sizes.mro(type(holder)) and length(holder) > MOST_COUNTED:
            return 1
    return sum(one is target for one in gc.get_referents(holder))


def _owner(holder: Any) -> list[Any]:
    """Return the object whose attributes ``holder`` keeps, where it is such a dict."""
    if type(holder) is not dict:
        return []
    return [one for one in gc.get_referrers(holder) if sizes.instance_dict(one) is holder][:1]


def _is_measured(holder: Any, ours: set[int]) -> bool:
    """Whether a snapshot that another thread takes just now refers to ``holder``, or is it."""
    above = [one for one in gc.get_referrers(holder) if id(one) not in ours]
    return any(map(_is_probe, [holder, *above]))


def _is_probe(obj: Any) -> bool:
    return sizes.module_of(type(obj)).partition(".")[0] == "memprobe_probes"


def _own_frames() -> set[int]:
    """Return the ids of this thread's frames, from the caller to the first."""
    found: set[int] = set()
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found


def _is_left_by_magic(obj: Any) -> bool:
    """Whether this is the dict of locals of a function that called the magic.

    IPython asks for it to expand ``$name`` in a magic's line, and up to Python 3.12 it stays.
    """
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and type(obj) is dict:
        if frames.is_locals_dict(frame, obj):
            return True
        frame = frame.f_back
    return False


def _module_namespaces(without: set[int]) -> dict[int, str]:
    """Return the id of the namespace of each imported module → its name."""
    namespace = vars(types.ModuleType)["__dict__"].__get__
    found: dict[int, str] = {}
    for name, module in list(sys.modules.items()):
        if types.ModuleType not in sizes.mro(type(module)) or name.startswith("memprobe"):
            continue
        if id(namespace(module)) not in without:
            found.setdefault(id(namespace(module)), name)
    return found


def _hops(expr: str, chain: list[Any]) -> list[Hop]:
    """Return the first object, which ``expr`` reaches, and what each edge leads to."""
    edges = [(expr, chain[0]), *paths.named_edges(chain)]
    return [Hop(edge, sizes.type_name(type(obj)), id(obj)) for edge, obj in edges]
