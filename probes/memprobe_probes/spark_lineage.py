"""Which RDDs an RDD is computed from, read without making Spark work them out.

``RDD.dependencies`` would create shuffles that are not there yet, so the fields behind it are
read. What an RDD is computed from never changes, but is cut off once it was checkpointed.
"""

from __future__ import annotations

from .jvm_wire import Handle, JvmError
from .spark_plans import Node, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jvm_wire import Gateway
    from .spark_session import Driver

_RDD = "org.apache.spark.rdd.RDD"
_MOST_RDDS = 400  # of one lineage
_OWN_FIELDS = ("prev", "rdds", "rdd1", "rdd2")  # of RDDs that tell what they come from only then


def of_rdd(driver: Driver, rdd: Handle) -> Tree:
    """Return the tree of an RDD's lineage; ``rdd`` itself is the first node."""
    tree = Tree()
    with driver.gateway.scope():
        extend(driver, tree, rdd, -1)
    return tree


def extend(driver: Driver, tree: Tree, rdd: Handle, parent: int) -> None:
    """Add an RDD and what it is computed from to a tree, below the node ``parent``."""
    gateway = driver.gateway
    seen: set[int] = set()
    level: list[tuple[Handle, int]] = [(rdd, parent)]
    while level:
        below: list[tuple[Handle, int]] = []
        numbers = gateway.calls((one, "id") for one, _ in level)
        for (one, above), number in zip(level, numbers):
            if type(number) is not int or number in seen:
                continue
            if len(seen) >= _MOST_RDDS:
                tree.whole = False
                return
            seen.add(number)
            node = Node(None, above)
            node.rdd = number
            tree.nodes.append(node)
            at = len(tree.nodes) - 1
            below += [(origin, at) for origin in _origins(driver, one)]
        level = below


def _origins(driver: Driver, rdd: Handle) -> list[Handle]:
    for field in ("dependencies_", "deps"):
        try:
            found = driver.field_of(rdd, field, _RDD)
        except JvmError:
            continue
        if type(found) is Handle:
            origins = _elements(driver.gateway, found, "rdd")
            if origins:
                return origins
    return _by_own_fields(driver.gateway, rdd)


def _by_own_fields(gateway: Gateway, rdd: Handle) -> list[Handle]:
    found: list[Handle] = []
    for name in _OWN_FIELDS:
        try:
            held = gateway.reflected(rdd, name)
        except JvmError:
            continue
        if type(held) is Handle:
            found += _elements(gateway, held, None) if name == "rdds" else [held]
    return found


def _elements(gateway: Gateway, held: Handle, method: str | None) -> list[Handle]:
    """Return the elements of a Scala sequence, or what a method of each of them gives."""
    size = gateway.call(held, "size")
    found: list[Any] = gateway.calls(
        (held, "apply", index) for index in range(min(int(size), _MOST_RDDS))
    )
    if method is not None:
        found = gateway.calls((one, method) for one in found if type(one) is Handle)
    return [one for one in found if type(one) is Handle]
