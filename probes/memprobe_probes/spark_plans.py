"""Logical plans as trees of hashes, and which caches such a tree reaches.

A plan's ``semanticHash`` is the hash of its canonical form: two plans with the same one give the
same rows, and Spark takes the one's cache for the other. A plan never changes, so each is walked
once in its life; which caches it reaches is a look-up from then on.
"""

from __future__ import annotations

from .jvm_wire import Handle, JvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .jvm_wire import Foreign, Gateway

    Lineage = Callable[["Tree", Handle, int], None]

MOST_NODES = 1500  # of one plan
STRENGTH = {"itself": 0, "reads": 1, "behind": 2}
_RDD_NODES = ("LogicalRDD", "ExternalRDD")


class Node:
    """One operator: its hash, the position of its parent (-1 at the top), its RDD if it has one."""

    __slots__ = ("digest", "name", "parent", "rdd")

    def __init__(self, digest: int | None, parent: int) -> None:
        self.digest = digest
        self.parent = parent
        self.name = ""
        self.rdd: int | None = None


class Tree:
    """A plan's operators, each after its parent; ``whole`` is False where there were too many."""

    __slots__ = ("nodes", "whole")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.whole = True

    def rdds(self) -> set[int]:
        """Return the RDDs that the plan begins with."""
        return {node.rdd for node in self.nodes if node.rdd is not None}


def of_frame(
    gateway: Gateway, frame: Handle | Foreign, lineage: Lineage | None = None
) -> Tree:  # fmt: skip
    """Return the tree of a Dataset. Never touches what would plan or run it."""
    with gateway.scope():
        return walked(gateway, frame_plan(gateway, frame), lineage=lineage)


def frame_plan(gateway: Gateway, frame: Handle | Foreign) -> Handle:
    """Return the plan that Spark compares with those it has cached."""
    execution = gateway.call(frame, "queryExecution")
    try:
        plan: Handle = gateway.call(execution, "normalized")
    except JvmError:
        plan = gateway.call(execution, "analyzed")
    return plan


def walked(
    gateway: Gateway, plan: Handle, *, names: bool = False, lineage: Lineage | None = None
) -> Tree:  # fmt: skip
    """Return the tree of a plan; its handles belong to the caller's scope.

    With ``names`` every node has its operator's name, else only the lowest have. ``lineage``
    adds to a tree what an RDD, with which the plan begins, is computed from.
    """
    tree = Tree()
    nested = gateway.call(gateway.call(plan, "subqueriesAll"), "isEmpty") is False
    level: list[tuple[Handle, int]] = [(plan, -1)]
    while level and tree.whole:
        level = _one_level(gateway, tree, level, nested=nested, names=names, lineage=lineage)
    return tree


def _one_level(
    gateway: Gateway, tree: Tree, level: list[tuple[Handle, int]], *, nested: bool, names: bool,
    lineage: Lineage | None,
) -> list[tuple[Handle, int]]:  # fmt: skip
    first = len(tree.nodes)
    plans = [plan for plan, _ in level]
    digests = gateway.calls((plan, "semanticHash") for plan in plans)
    for (_, parent), digest in zip(level, digests):
        tree.nodes.append(Node(digest if type(digest) is int else None, parent))
    below = _below(gateway, plans, first, "children")
    parents = {parent for _, parent in below}
    if nested:
        below += _below(gateway, plans, first, "subqueries")
    told = [at for at in range(len(plans)) if names or first + at not in parents]
    rdds = _tell_names(gateway, tree, first, plans, told)
    if lineage is not None:
        for at, rdd in rdds:
            lineage(tree, rdd, at)
    if len(tree.nodes) + len(below) > MOST_NODES:
        tree.whole = False
    gateway.release(*(plan for plan in plans if plan is not plans[0] or first > 0))
    return below


def _below(
    gateway: Gateway, plans: list[Handle], first: int, method: str
) -> list[tuple[Handle, int]]:
    lists = gateway.calls((plan, method) for plan in plans)
    lengths = gateway.calls((one, "size") for one in lists if type(one) is Handle)
    wanted: list[tuple[Handle, int, int]] = []
    held = [(at, one) for at, one in enumerate(lists) if type(one) is Handle]
    for (at, one), length in zip(held, lengths):
        if type(length) is int:
            wanted += [(one, index, first + at) for index in range(min(length, MOST_NODES))]
    found = gateway.calls((one, "apply", index) for one, index, _ in wanted)
    gateway.release(*(one for _, one in held))
    return [
        (plan, parent) for plan, (_, _, parent) in zip(found, wanted) if type(plan) is Handle
    ]  # fmt: skip


def _tell_names(
    gateway: Gateway, tree: Tree, first: int, plans: list[Handle], told: list[int]
) -> list[tuple[int, Handle]]:
    """Name the nodes at these positions; return those that begin with an RDD, with that."""
    rdds: list[tuple[int, Handle]] = []
    found = gateway.calls((plans[at], "nodeName") for at in told)
    for at, name in zip(told, found):
        node = tree.nodes[first + at]
        node.name = operator_name(name)
        if node.name not in _RDD_NODES:
            continue
        try:
            rdd = gateway.call(plans[at], "rdd")
            node.rdd = gateway.call(rdd, "id")
        except JvmError:
            continue
        rdds.append((first + at, rdd))
    return rdds


def operator_name(name: Any) -> str:
    """Return an operator's name alone: a scan adds its table or its path to it."""
    text = name.split(None, 1)[0] if type(name) is str and name.strip() else ""
    return "".join(letter for letter in text[:60] if letter.isalnum() or letter == "_")


def reached(tree: Tree, by_hash: Mapping[int, Any], by_rdd: Mapping[int, Any]) -> dict[Any, str]:
    """Return which caches a plan reaches and how: ``itself``, ``reads`` or ``behind``.

    ``by_hash`` and ``by_rdd`` give the cache of a plan's hash and of an RDD.
    """
    found: dict[Any, str] = {}
    covered: list[bool] = []  # an ancestor, or the node itself, is a cache
    for at, node in enumerate(tree.nodes):
        above = node.parent >= 0 and covered[node.parent]
        caches = [by_hash.get(node.digest)] if node.digest is not None else []
        if node.rdd is not None:
            caches.append(by_rdd.get(node.rdd))
        caches = [cache for cache in caches if cache is not None]
        covered.append(above or bool(caches))
        how = "itself" if at == 0 else "behind" if above else "reads"
        for cache in caches:
            if cache not in found or STRENGTH[how] < STRENGTH[found[cache]]:
                found[cache] = how
    return found
