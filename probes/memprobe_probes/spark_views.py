"""Temporary views of the sessions that are known, and the plans behind them."""

from __future__ import annotations

from . import spark_frames
from .jvm_wire import Foreign, Handle, JvmError, strings
from .spark_caches import lazy_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .spark_plans import Tree
    from .spark_session import Driver

MOST_VIEWS = 300
_AT_ONCE = 40  # views whose plans are read in one reading
_GLOBAL = "global_temp"


class Views:
    """The temporary views of all sessions with their plans: each definition is read once.

    ``known`` is False while there are views whose plan was not read yet.
    """

    def __init__(self) -> None:
        self._trees: dict[tuple[int, str], tuple[int, Tree | None]] = {}
        self.known = True
        self.unreadable = 0

    def read(self, driver: Driver, sessions: list[Any]) -> list[tuple[str, Tree]]:
        """Return (name, tree) of each view; global ones are ``global_temp.NAME``."""
        self.known, self.unreadable = True, 0
        budget = [_AT_ONCE]
        found: list[tuple[str, Tree]] = []
        met: set[tuple[int, str]] = set()
        for session in sessions:
            with driver.gateway.scope():
                for key, name, tree in self._of_session(driver, session, budget, met):
                    met.add(key)
                    if tree is not None:
                        found.append((name, tree))
        for gone in [key for key in self._trees if key not in met]:
            del self._trees[gone]
        return found

    def _of_session(
        self, driver: Driver, session: Any, budget: list[int], met: set[tuple[int, str]]
    ) -> Iterator[tuple[tuple[int, str], str, Tree | None]]:
        gateway = driver.gateway
        state = lazy_part(driver, session, "sessionState")
        if state is None:
            return
        catalog = gateway.call(state, "catalog")
        catalog_id = int(gateway.static("java.lang.System", "identityHashCode", catalog))
        for name in strings(gateway, gateway.call(catalog, "getTempViewNames"), MOST_VIEWS):
            key = catalog_id, name
            if key not in met:
                raw = gateway.call(catalog, "getRawTempView", name)
                yield key, name, self._tree(driver, session, key, name, raw, budget)
        manager = gateway.call(catalog, "globalTempViewManager")
        manager_id = int(gateway.static("java.lang.System", "identityHashCode", manager))
        for name in strings(gateway, gateway.call(manager, "listViewNames", "*"), MOST_VIEWS):
            key, shown = (manager_id, name), f"{_GLOBAL}.{name}"
            if key not in met:
                raw = gateway.call(manager, "get", name)
                yield key, shown, self._tree(driver, session, key, shown, raw, budget)

    def _tree(
        self, driver: Driver, session: Any, key: tuple[int, str], name: str, raw: Handle,
        budget: list[int],
    ) -> Tree | None:  # fmt: skip
        """Return the tree of one view, from before where its definition is the same."""
        gateway = driver.gateway
        if not gateway.call(raw, "isDefined"):
            return None
        definition = gateway.call(raw, "get")
        identity = int(gateway.static("java.lang.System", "identityHashCode", definition))
        before = self._trees.get(key)
        if before is not None and before[0] == identity:
            return before[1]
        if not budget[0]:
            self.known = False
            return None
        budget[0] -= 1
        try:
            # As the user's own ``spark.table(name)``: resolved, neither planned nor run.
            tree = spark_frames.frame_tree(driver, gateway.call(session, "table", name))
        except JvmError:
            tree = None
            self.unreadable += 1
        self._trees[key] = identity, tree
        return tree


def sessions_of(driver: Driver, ids: list[str], default: Handle | None) -> list[Any]:
    """Return each of the application's sessions once, of those this process knows."""
    found: dict[int, Any] = {}
    for one in [*(Foreign(java) for java in ids), *([default] if default is not None else [])]:
        try:
            identity = driver.gateway.static("java.lang.System", "identityHashCode", one)
        except JvmError:
            continue
        found.setdefault(int(identity), one)
    return list(found.values())
