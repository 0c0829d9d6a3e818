"""What this Python process holds in the driver's JVM: frames with their plans, RDDs, sessions.

py4j keeps a table of every reference into the JVM that is alive in Python. So a cache that no
live frame reaches is found without a search through Python's heap, whoever holds the frames.
"""

from __future__ import annotations

import sys
import time
import weakref

from . import sizes, spark_lineage, spark_plans
from .jvm_wire import Foreign, Handle, JvmError
from .spark_session import active_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .spark_plans import Lineage, Tree
    from .spark_session import Driver, Found

_UTILS = "org.apache.spark.util.Utils"
MOST_OBJECTS = 20_000  # references that are looked at; what is more makes ``known`` false
_CLASSES_AT_ONCE = 200
FRAME, SESSION, RDD = "Dataset", "SparkSession", "RDD"


class Frames:
    """The live references by what they are, and the trees of frames and RDDs: each walked once.

    ``known`` says whether every reference that was alive at the last ``look`` is known.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}  # id in the JVM → simple name of its class
        self.trees: dict[str, Tree | None] = {}  # of frames and RDDs; None: it cannot be read
        self.live: list[str] = []
        self.known = False
        self.classified = False  # every live reference's class is known
        self.total: int | None = None
        self._found: Found | None = None

    def look(self, found: Found) -> None:
        """See which references are alive; forget what was known of others."""
        live = live_ids(found)
        self._found = found
        self.total = None if live is None else len(live)
        self.live = (live or [])[:MOST_OBJECTS]
        alive = set(self.live)
        self.kinds = {one: kind for one, kind in self.kinds.items() if one in alive}
        self.trees = {one: tree for one, tree in self.trees.items() if one in alive}
        self.known = live is not None and len(live) <= MOST_OBJECTS

    def learn(self, driver: Driver, seconds: float, *, trees: bool) -> None:
        """Ask for the classes of new references and, with ``trees``, for their plans.

        Stops after ``seconds``: what is left is asked for next time, and ``known`` is false.
        """
        until = time.monotonic() + seconds
        self.classified = False
        new = [one for one in self.live if one not in self.kinds]
        for start in range(0, len(new), _CLASSES_AT_ONCE):
            if time.monotonic() > until:
                self.known = False
                return
            self._classify(driver, new[start : start + _CLASSES_AT_ONCE])
        self.classified = self.known
        if not trees:
            return
        for one in self.live:
            if one in self.trees or self._walkable(one) is None:
                continue
            if time.monotonic() > until:
                self.known = False
                return
            self.trees[one] = self._tree(driver, one)

    def is_held(self, java: str) -> bool:
        """Whether anybody in this process holds the Python object of a live reference."""
        return self._found is None or held(self._found, java)

    def of_kind(self, kind: str) -> list[str]:
        """Return the ids of the live references of a class."""
        return [one for one in self.live if self.kinds.get(one) == kind]

    def _walkable(self, one: str) -> str | None:
        kind = self.kinds.get(one, "")
        return kind if kind == FRAME or kind.endswith(RDD) else None

    def _classify(self, driver: Driver, some: list[str]) -> None:
        names = driver.gateway.calls(
            (_UTILS, "getFormattedClassName", Foreign(one)) for one in some
        )
        for one, name in zip(some, names):
            self.kinds[one] = name if type(name) is str else _class_name(driver, one)

    def _tree(self, driver: Driver, one: str) -> Tree | None:
        try:
            if self.kinds[one] == FRAME:
                return frame_tree(driver, Foreign(one))
            with driver.gateway.scope():
                rdd: Any = Foreign(one)
                if self.kinds[one].startswith("Java"):
                    rdd = driver.gateway.call(rdd, "rdd")
                return spark_lineage.of_rdd(driver, rdd)
        except JvmError:
            return None  # it went meanwhile, or its plan cannot be resolved any more


def frame_tree(driver: Driver, frame: Handle | Foreign) -> Tree:
    """Return the tree of a Dataset, down to the RDDs that it begins with."""
    return spark_plans.of_frame(driver.gateway, frame, lineage_of(driver))


def lineage_of(driver: Driver) -> Lineage:
    """Return what adds to a plan's tree the RDDs that one of its RDDs is computed from."""

    def lineage(tree: Tree, rdd: Handle, at: int) -> None:
        spark_lineage.extend(driver, tree, rdd, at)

    return lineage


def live_ids(found: Found) -> list[str] | None:
    """Return the JVM ids of all py4j objects that are alive in this process; None: no table."""
    table = _table()
    if table is None:
        return None
    if found.prefix is None:
        found.prefix = _prefix(table, found.context)
    start = found.prefix
    if start is None:
        return None
    keys = [key for key in list(table) if type(key) is str and key.startswith(start)]
    ids = [key[len(start) :] for key in keys]
    return [one for one in ids if one.startswith("o") and one[1:].isdigit()]


def held(found: Found, java: str) -> bool:
    """Whether anybody holds the Python object that stands for ``java``.

    py4j's objects refer to themselves by the methods that were called, so one that nobody holds
    any more stays until Python collects cycles: its references are counted.
    """
    table = _table()
    if table is None:
        return True
    reference = table.get(f"{found.prefix}{java}")
    if reference is None:
        return False  # Python has collected it since it was listed
    if type(reference) is not weakref.ref:
        return True
    counts = _references(reference)
    if counts is None or _AT_REST is None:
        return counts is not None
    return counts[0] > _AT_REST[0] or counts[1] > _AT_REST[1]


def _references(reference: Any) -> tuple[int, int] | None:
    """Count who refers to a py4j object, its own methods left out, and to one of those at most.

    None: it is gone.
    """
    obj = reference()
    if obj is None:
        return None
    methods = (sizes.instance_dict(obj) or {}).get("_methods")
    own = most = 0
    for member in list(methods.values()) if type(methods) is dict else ():
        own += (sizes.instance_dict(member) or {}).get("container") is obj
        most = max(most, sys.getrefcount(member))
    return sys.getrefcount(obj) - own, most


class _Sample:
    """As py4j's objects are: it refers to itself by a method that was called."""

    def __init__(self) -> None:
        method = _SampleMethod()
        method.container = self
        self._methods = {"call": method}


class _SampleMethod:
    container: Any


def _at_rest() -> tuple[int, int] | None:
    """Return what ``_references`` says of an object that nobody but itself refers to."""
    return _references(weakref.ref(_Sample()))


def _table() -> dict[Any, Any] | None:
    """Return py4j's own table of weak references to what is alive."""
    finalizer = sys.modules.get("py4j.finalizer")
    cls = vars(finalizer).get("ThreadSafeFinalizer") if finalizer is not None else None
    table = sizes.class_namespace(cls).get("finalizers") if cls is not None else None
    return table if type(table) is dict else None


def _prefix(table: dict[Any, Any], context: str) -> str | None:
    """Return how the keys of this gateway's objects begin: py4j puts its address there.

    In some versions that is no text but an object's ``repr``, so it is read off the key of an
    object that we know.
    """
    known = sizes.instance_dict(active_context()) or {}
    for key in list(table):
        if type(key) is str and key.endswith(context):
            reference = table.get(key)
            if type(reference) is weakref.ref and reference() is known.get("_jsc"):
                return key[: -len(context)]
    return None


def _class_name(driver: Driver, one: str) -> str:
    """Return the simple name of a class where Spark's own function for that is not there."""
    try:
        with driver.gateway.scope():
            cls = driver.gateway.call(Foreign(one), "getClass")
            return str(driver.gateway.call(cls, "getSimpleName"))
    except JvmError:
        return "?"


_AT_REST = _at_rest()
