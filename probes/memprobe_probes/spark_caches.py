"""Everything that a Spark application has cached: DataFrames, RDDs, local checkpoints.

Of each entry what cannot change is asked once; a reading then takes a handful of calls, however
many there are.
"""

from __future__ import annotations

from . import plain_json, spark_frames, spark_plans
from .jvm_wire import Foreign, Gateway, Handle, JvmError
from .names import source_hash
from .spark_plans import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .spark_session import Driver

_BUILDER = "org.apache.spark.sql.execution.columnar.CachedRDDBuilder"
_RDD = "org.apache.spark.rdd.RDD"
_SESSION = "org.apache.spark.sql.SparkSession"
_CLASSIC_SESSION = "org.apache.spark.sql.classic.SparkSession"
_LOCAL_CHECKPOINT = "LocalRDDCheckpointData"
MOST_ENTRIES = 2000
MOST_OPERATORS = 40
_LEVELS = {
    ("disk", "memory", "deserialized"): "MEMORY_AND_DISK_DESER",
    ("disk", "memory"): "MEMORY_AND_DISK", ("memory",): "MEMORY_ONLY", ("disk",): "DISK_ONLY",
    ("memory", "deserialized"): "MEMORY_ONLY_DESER", ("disk", "memory", "offheap"): "OFF_HEAP",
    (): "NONE",
}  # fmt: skip


class Cache:
    """One entry, with what does not change of it; ``key`` tells it from all others."""

    def __init__(self, key: tuple[str, int, int], kind: str) -> None:
        self.key = key
        self.kind = kind
        self.id = 0
        self.rdd: int | None = None
        self.level = ""
        self.table: str | None = None
        self.operators: list[str] = []
        self.digest: int | None = None
        self.shape = ""
        self.tree: Tree | None = None
        self.partitions: int | None = None
        self.cell: int | None = None
        self.file: str | None = None
        self.line: int | None = None
        self.since: int | None = None
        self.seen_made = False  # it appeared while we looked
        self.reached = False  # a frame of this process has reached it at some time


class Caches:
    """The present entries; ``new`` are those that the last ``read`` saw for the first time.

    ``from_start``: we have been there since before there was any.
    """

    def __init__(self, from_start: bool = False) -> None:
        self.present: list[Cache] = []
        self.new: list[Cache] = []
        self._by_key: dict[tuple[str, int, int], Cache] = {}
        self._sequence: tuple[int, int] | None = None
        self._next_id = 1
        self._read_once = from_start

    def read(self, driver: Driver, t: int, cell: int | None = None) -> list[Cache]:
        """Return every entry; those that are new get ``t`` and ``cell``."""
        with driver.gateway.scope():
            data = cached_data(driver)
            return self.read_from(driver, t, cell, data, persistent(driver))

    def read_from(
        self, driver: Driver, t: int, cell: int | None, data: Handle | None,
        rdds: dict[int, Handle],
    ) -> list[Cache]:  # fmt: skip
        """The same from a sequence of entries, and RDDs, that were obtained before."""
        frames = [] if data is None else self._frames(driver, data)
        owned = {cache.rdd for cache in frames}
        others = [
            self._of_rdd(driver, number, rdd) for number, rdd in rdds.items() if number not in owned
        ]
        self.present = frames + [cache for cache in others if cache is not None]
        self._settle(driver, t, cell, rdds)
        return self.present

    def _settle(self, driver: Driver, t: int, cell: int | None, rdds: dict[int, Handle]) -> None:
        self.new = [cache for cache in self.present if not cache.id]
        for cache in self.new:
            cache.id, self._next_id = self._next_id, self._next_id + 1
            if self._read_once:
                cache.since, cache.cell, cache.seen_made = t, cell, True
        self._read_once = True
        self._by_key = {cache.key: cache for cache in self.present}
        for cache in self.present:
            if cache.partitions is None and cache.rdd in rdds:
                cache.partitions = _partitions(driver, rdds[cache.rdd])

    def _frames(self, driver: Driver, data: Handle) -> list[Cache]:
        gateway = driver.gateway
        size = int(gateway.call(data, "size"))
        identity = size, int(gateway.static("java.lang.System", "identityHashCode", data))
        old = [cache for cache in self.present if cache.kind == "dataframe"]
        if identity == self._sequence and all(cache.rdd is not None for cache in old):
            return old
        found = [self._of_entry(driver, *one) for one in _entries(gateway, data, size)]
        self._sequence = identity
        return [cache for cache in found if cache is not None]

    def _of_entry(self, driver: Driver, entry: Handle, builder: Handle) -> Cache | None:
        gateway = driver.gateway
        with gateway.scope():
            try:
                digest = gateway.call(gateway.call(entry, "plan"), "semanticHash")
                made = gateway.static("java.lang.System", "identityHashCode", builder)
                key = ("dataframe", int(made), int(digest))
                cache = self._by_key.get(key)
                if cache is None:
                    cache = Cache(key, "dataframe")
                    _describe(driver, cache, entry, builder)
                cache.rdd = _rdd_of(driver, builder)
                return cache
            except JvmError:
                return None

    def _of_rdd(self, driver: Driver, number: int, rdd: Handle) -> Cache | None:
        for kind in ("rdd", "checkpoint"):
            cache = self._by_key.get((kind, number, 0))
            if cache is not None:
                return cache
        try:
            with driver.gateway.scope():
                kind = "checkpoint" if _is_checkpoint(driver, rdd) else "rdd"
                cache = Cache((kind, number, 0), kind)
                cache.rdd = number
                level = driver.gateway.call(driver.gateway.call(rdd, "getStorageLevel"), "toString")
                cache.level = level_name(str(level))
                if kind == "rdd":
                    from . import spark_lineage

                    cache.tree = spark_lineage.of_rdd(driver, rdd)
                name = driver.gateway.call(driver.gateway.call(rdd, "getClass"), "getSimpleName")
                cache.shape = source_hash(f"{kind} {name}")
                return cache
        except JvmError:
            return None


def session(driver: Driver) -> Handle | None:
    """Return the application's session where there is one; none is made. Belongs to the scope."""
    for name in (_SESSION, _CLASSIC_SESSION):
        for method in ("getDefaultSession", "getActiveSession"):
            try:
                found = driver.gateway.static(name, method)
                if driver.gateway.call(found, "isDefined"):
                    one: Handle = driver.gateway.call(found, "get")
                    return one
            except JvmError:
                continue
    return None


def lazy_part(driver: Driver, one: Handle | Foreign, name: str) -> Handle | None:
    """Return ``sharedState`` or ``sessionState`` of a session, where it has been made."""
    for above in (0, 1):
        try:
            found = driver.gateway.reflected(one, name, above)
        except JvmError:
            continue
        return found if type(found) is Handle else None
    return None


def cached_data(driver: Driver) -> Handle | None:
    """Return Spark's sequence of cached plans; None where no session has ever cached."""
    manager = driver.optional("cacheManager", lambda: _cache_manager(driver))
    if manager is None:
        return None
    found: Handle = driver.gateway.call(manager, "cachedData")
    return found


def _cache_manager(driver: Driver) -> Handle | None:
    one = session(driver)
    shared = None if one is None else lazy_part(driver, one, "sharedState")
    return None if shared is None else driver.gateway.call(shared, "cacheManager")


def persistent(driver: Driver) -> dict[int, Handle]:
    """Return the persisted RDDs by number; the handles belong to the scope."""
    gateway = driver.gateway
    table = gateway.call(driver.context(), "persistentRdds")
    size = min(int(gateway.call(table, "size")), MOST_ENTRIES)
    if not size:
        return {}
    walker = gateway.call(table, "iterator")
    pairs = [one for one in gateway.calls((walker, "next") for _ in range(size)) if _is(one)]
    rdds = [one for one in gateway.calls((pair, "_2") for pair in pairs) if _is(one)]
    numbers = gateway.calls((rdd, "id") for rdd in rdds)
    return {number: rdd for number, rdd in zip(numbers, rdds) if type(number) is int}


def level_name(text: str) -> str:
    """Return pyspark's name of a level from Spark's text of it; the replication as a suffix."""
    inside = text.partition("(")[2].rstrip(")")
    parts = [part.strip() for part in inside.split(",")]
    replicas = next((part.split()[0] for part in parts if part.endswith("replicas")), "1")
    flags = tuple(part for part in parts if part and not part.endswith("replicas"))
    name = _LEVELS.get(flags, "_".join(flags).upper())
    return name if replicas == "1" or not flags else f"{name}_{replicas}"


def _is(one: Any) -> bool:
    return type(one) is Handle


def _entries(gateway: Gateway, data: Handle, size: int) -> list[tuple[Handle, Handle]]:
    walker = gateway.call(data, "iterator")
    wanted = range(min(size, MOST_ENTRIES))
    entries = [one for one in gateway.calls((walker, "next") for _ in wanted) if _is(one)]
    held = gateway.calls((entry, "cachedRepresentation") for entry in entries)
    held = [_chosen(gateway, one) for one in held]
    builders = gateway.calls((one, "cacheBuilder") for one in held if _is(one))
    pairs = zip([entry for entry, one in zip(entries, held) if _is(one)], builders)
    return [(entry, builder) for entry, builder in pairs if _is(builder)]


def _chosen(gateway: Gateway, held: Any) -> Any:
    """Return the relation itself; some versions wrap it in an Either."""
    try:
        name = gateway.call(gateway.call(held, "getClass"), "getSimpleName") if _is(held) else ""
        if name in ("Left", "Right"):
            return gateway.call(held, "value")
    except JvmError:
        return None
    return held


def _describe(driver: Driver, cache: Cache, entry: Handle, builder: Handle) -> None:
    """Fill in what never changes of a cached DataFrame."""
    gateway = driver.gateway
    plan = gateway.call(entry, "plan")
    level = gateway.call(gateway.call(builder, "storageLevel"), "toString")
    cache.level = level_name(str(level))
    table = gateway.call(builder, "tableName")
    if gateway.call(table, "isDefined"):
        cache.table = str(gateway.call(table, "get"))
    cache.tree = spark_plans.walked(
        gateway, plan, names=True, lineage=spark_frames.lineage_of(driver)
    )
    cache.digest = cache.key[2]
    cache.operators = [node.name for node in cache.tree.nodes if node.name][:MOST_OPERATORS]
    cache.shape = _shape(gateway, plan, cache.tree)


def _shape(gateway: Gateway, plan: Handle, tree: Tree) -> str:
    """Return the hash of the operators and the types of the columns; names are left out."""
    try:
        schema = plain_json.loads(str(gateway.call(gateway.call(plan, "schema"), "json")))
    except (JvmError, ValueError):
        schema = None
    operators = " ".join(node.name for node in tree.nodes)
    return source_hash(f"{operators} {types_of(schema)}")


def types_of(schema: Any) -> str:
    """Return the types of a schema without a name of a column."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "struct":
            return f"({','.join(types_of(one) for one in schema.get('fields') or [])})"
        if kind == "array":
            return f"[{types_of(schema.get('elementType'))}]"
        if kind == "map":
            return f"{{{types_of(schema.get('keyType'))}:{types_of(schema.get('valueType'))}}}"
        return types_of(kind)
    return schema if isinstance(schema, str) else ""


def _rdd_of(driver: Driver, builder: Handle) -> int | None:
    """Return the RDD of an entry; None: nothing was computed for it."""
    rdd = driver.field_of(builder, "_cachedColumnBuffers", _BUILDER)
    return None if rdd is None else int(driver.gateway.call(rdd, "id"))


def _is_checkpoint(driver: Driver, rdd: Handle) -> bool:
    data = driver.field_of(rdd, "checkpointData", _RDD)
    gateway = driver.gateway
    if data is None or not gateway.call(data, "isDefined"):
        return False
    name = gateway.call(gateway.call(gateway.call(data, "get"), "getClass"), "getSimpleName")
    return bool(name == _LOCAL_CHECKPOINT)


def _partitions(driver: Driver, rdd: Handle) -> int | None:
    """Return how many partitions an RDD has, where Spark knows: to ask would compute them."""
    try:
        array = driver.field_of(rdd, "partitions_", _RDD)
        if type(array) is Handle:
            return driver.gateway.length(array)
        # A checkpoint that was done has forgotten them, and has as many as it had: a number.
        if driver.gateway.call(rdd, "isCheckpointed"):
            return int(driver.gateway.call(rdd, "getNumPartitions"))
        return None
    except JvmError:
        return None
