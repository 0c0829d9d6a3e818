"""Streaming queries that run: their plans read caches in every batch, whoever holds the frames."""

from __future__ import annotations

from . import spark_plans
from .jvm_wire import Handle, JvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .spark_plans import Tree
    from .spark_session import Driver

MOST_QUERIES = 100


class StreamPlans:
    """The plans of the queries that run now; each is walked once in its life."""

    def __init__(self) -> None:
        self._trees: dict[str, Tree | None] = {}

    def read(self, driver: Driver, session: Handle) -> list[Tree]:
        """Return the plan of each running query that could be read."""
        gateway = driver.gateway
        try:
            shared = gateway.call(session, "sharedState")
            table = gateway.call(shared, "activeStreamingQueries")
            if gateway.call(table, "isEmpty"):
                self._trees = {}
                return []
            found = gateway.elements(
                gateway.call(gateway.call(table, "values"), "toArray"), MOST_QUERIES
            )
            runs = [str(gateway.call(gateway.call(one, "runId"), "toString")) for one in found]
        except JvmError:
            return []
        self._trees = {run: tree for run, tree in self._trees.items() if run in runs}
        for run, query in zip(runs, found):
            if run not in self._trees:
                self._trees[run] = _tree(driver, query)
        return [tree for tree in self._trees.values() if tree is not None]


def _tree(driver: Driver, query: Handle) -> Tree | None:
    try:
        plan = driver.gateway.call(query, "analyzedPlan")
        return spark_plans.walked(driver.gateway, plan)
    except JvmError:
        return None
