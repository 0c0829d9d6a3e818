"""Which names, live frames and views lead to which cache: the rows of a reading."""

from __future__ import annotations

from . import spark_frames, spark_plans
from .spark_plans import STRENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .spark_caches import Cache
    from .spark_frames import Frames
    from .spark_holders import Name, Names
    from .spark_plans import Tree
    from .spark_session import Found

MOST_HOLDERS = 20
UNNAMED = "?"


class Reach:
    """``holders``: cache → rows; ``above``: cache → caches computed from it; ``views``: names."""

    def __init__(self, caches: Iterable[Cache]) -> None:
        self.caches = list(caches)
        self._by_hash = {
            cache.digest: cache.id for cache in self.caches if cache.digest is not None
        }
        self._by_rdd = {cache.rdd: cache.id for cache in self.caches if cache.rdd is not None}
        self.holders: dict[int, list[dict[str, Any]]] = {}
        self.left_out: dict[int, int] = {}
        self.views: dict[int, set[str]] = {}
        self.above: dict[int, list[int]] = {}
        self._find_above()

    def of(self, tree: Tree) -> dict[int, str]:
        """Return the caches that a plan reaches, and how."""
        return spark_plans.reached(tree, self._by_hash, self._by_rdd)

    def add_frames(self, found: Found, frames: Frames, names: Names) -> None:
        """Add a row for each name of each live frame or RDD, or one without a name."""
        for java in frames.live:
            tree = frames.trees.get(java)
            if tree is None:
                continue
            reached = self.of(tree)
            if not reached:
                continue
            named = names.by_java.get(java) or ()
            computed = names.computed.get(java) or ()
            held = bool(named or computed) or spark_frames.held(found, java)
            for cache, how in reached.items():
                self._add_names(cache, how, named)
                self._add_names(cache, "reads" if how == "itself" else how, computed)
                if not named and not computed and held:
                    self._add(cache, {"expr": UNNAMED, "root": "interpreter", "how": how})

    def add_view(self, name: str, tree: Tree) -> None:
        """Note which caches a temporary view reads."""
        for cache, how in self.of(tree).items():
            if how != "behind":
                self.views.setdefault(cache, set()).add(name)

    def add_other(self, expr: str, tree: Tree) -> None:
        """Add a holder that is no Python object, such as a streaming query."""
        for cache, how in self.of(tree).items():
            self._add(cache, {"expr": expr, "root": "spark-driver", "how": how})

    def rows(self, cache: int) -> list[dict[str, Any]]:
        """Return a cache's holders, the nearest first, each expression once."""
        best: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.holders.get(cache, ()):
            key = row["expr"], row["root"]
            if key not in best or STRENGTH[row["how"]] < STRENGTH[best[key]["how"]]:
                best[key] = row
        found = sorted(best.values(), key=lambda row: (STRENGTH[row["how"]], row["expr"] == "?"))
        if len(found) > MOST_HOLDERS:
            self.left_out[cache] = len(found) - MOST_HOLDERS
        return found[:MOST_HOLDERS]

    def _find_above(self) -> None:
        for cache in self.caches:
            for other in self.of(cache.tree) if cache.tree is not None else ():
                if other != cache.id:
                    self.above.setdefault(other, []).append(cache.id)

    def _add_names(self, cache: int, how: str, names: Iterable[Name]) -> None:
        for name in names:
            row: dict[str, Any] = {"expr": name.expr, "root": name.kind, "how": how}
            if name.cell is not None:
                row["cell"] = name.cell
            self._add(cache, row)

    def _add(self, cache: int, row: dict[str, Any]) -> None:
        self.holders.setdefault(cache, []).append(row)
