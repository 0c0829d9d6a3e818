"""Having Spark let go of exactly the named entries: unpersist, uncache, drop, destroy.

Everything goes over a connection of the probe's own, which waits longer than that of readings and
is closed afterwards. What was cached is known by the number of its RDD: a cut is refused where that
is not stored any more. Nothing is ever asked to clear all caches.
"""

from __future__ import annotations

import os
import time

from . import (
    named_object,
    roots,
    sizes,
    spark_blocks,
    spark_caches,
    spark_holders,
    spark_jvm,
    spark_session,
)
from .cuts import Changed, Refused
from .jvm_wire import Foreign, Gateway, JvmError, JvmGone
from .spark_session import Driver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .spark_holders import Names

PATIENCE = 60.0  # seconds for one answer: to unpersist waits for the executors
CLEANED = 2.0  # seconds after a collection in which Spark's cleaner has removed blocks
_STEP = 0.25
_NOISE = 1_000_000  # bytes by which the heap differs between two collections anyhow


class SparkCuts:
    """The cuts of one release; ``close`` ends the connection."""

    def __init__(self, shell: Any) -> None:
        found = spark_session.find()
        if found is None:
            raise Changed("the Spark application has ended")
        self._shell = shell
        self._driver = Driver(found, Gateway(found.address, found.port, found.token, PATIENCE))
        self._gateway = self._driver.gateway
        self._names: Names | None = None
        self.rdds: set[int] = set()  # whose blocks are what is let go
        self.broadcasts: set[int] = set()
        self._collects = False  # a collection of the JVM is what frees it

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._driver.drop()

    def prepare(self, cut: dict[str, Any]) -> Callable[[], None]:
        """Return what makes a cut. Raises Changed or Refused where it must not be made."""
        try:
            return self._prepared(cut)
        except JvmGone as error:
            raise Refused(f"the driver's JVM could not be asked: {error}") from None
        except JvmError as error:
            raise Refused(f"the driver's JVM threw {error.java_class}") from None

    def _prepared(self, cut: dict[str, Any]) -> Callable[[], None]:
        action, expr = cut["action"], cut["expr"]
        number = -1 if cut.get("number") is None else int(cut["number"])  # -1: nothing is stored
        if action in ("unpersist", "unpersist-rdd", "uncache-table") and number >= 0:
            self._is_stored(number)
        if action == "unpersist":
            return self._unpersist(expr, self._java(expr), number)
        if action == "unpersist-rdd":
            return lambda: self._unpersist_rdd(number)
        if action == "uncache-table":
            return lambda: self._catalog("uncacheTable", expr)
        if action == "drop-view":
            schema, dot, name = expr.rpartition(".")
            if dot and schema == "global_temp":
                return lambda: self._catalog("dropGlobalTempView", name)
            return lambda: self._catalog("dropTempView", expr)
        if action == "destroy":
            return self._destroy(expr, self._java(expr), number)
        self.broadcasts.add(number)
        self._collects = True
        return self.collect

    def stored(self) -> int | None:
        """Return the bytes that the named entries have on executors, in memory and on disk."""
        try:
            with self._gateway.scope():
                blocks = spark_blocks.listed(self._driver)
        except (JvmGone, JvmError, spark_blocks.TooMany):
            return None
        found = 0
        for kind, numbers in (("rdd", self.rdds), ("broadcast", self.broadcasts)):
            for number, executors in blocks.of(kind).items():
                if number in numbers:
                    found += sum(map(sum, executors.values()))
        return found

    def stored_at_last(self) -> int | None:
        """Return the same once it no longer changes: blocks are removed a moment later."""
        until = time.monotonic() + CLEANED * (3 if self._collects else 1)
        last = self.stored()
        while last and time.monotonic() < until:
            time.sleep(_STEP)
            last = self.stored()
        return last

    def heap(self) -> int | None:
        """Return the heap of the driver's JVM after a collection, which is asked for."""
        try:
            with self._gateway.scope():
                self.collect()
                used = spark_jvm.read(self._gateway).get("heap_used")
        except (JvmGone, JvmError):
            return None
        return used if type(used) is int else None

    def heap_at_rest(self) -> int | None:
        """Return it once one more collection gives nothing back, or after ``CLEANED`` seconds.

        Spark's cleaner removes blocks after a collection whose owners it found gone: they were
        let go before us, and would count as ours if they went between two readings.
        """
        until = time.monotonic() + CLEANED
        last = self.heap()
        while last is not None and time.monotonic() < until:
            time.sleep(_STEP)
            found = self.heap()
            if found is None or last - found < _NOISE:
                return found
            last = found
        return last

    def heap_at_last(self) -> int | None:
        """Return it once what the first collection set free is gone as well."""
        self.heap()
        time.sleep(CLEANED)
        return self.heap()

    def collect(self) -> None:
        """Have the JVM collect: Spark then removes what nothing refers to any more."""
        self._gateway.static("java.lang.System", "gc")

    def _is_stored(self, number: int) -> None:
        with self._gateway.scope():
            if number not in spark_caches.persistent(self._driver):
                raise Changed(f"RDD {number} is not stored any more")
        self.rdds.add(number)

    def _java(self, expr: str) -> Foreign:
        """Return the object in the JVM that an expression of Python leads to."""
        if self._names is None:
            self._names = spark_holders.names_of(roots.named_roots(self._shell))
        known = [java for java, names in self._names.by_java.items()
                 if any(one.expr == expr for one in names)]  # fmt: skip
        if not known:
            raise Changed(f"{expr} leads to nothing of Spark's any more")
        return Foreign(known[0])

    def _unpersist(self, expr: str, java: Foreign, number: int) -> Callable[[], None]:
        def do() -> None:
            with self._gateway.scope():
                self._gateway.call(java, "unpersist", True)
                left = number in spark_caches.persistent(self._driver)
            self._tell_python(expr)
            if left:
                raise Changed(f"{expr} was not what had cached RDD {number}")

        return do

    def _tell_python(self, expr: str) -> None:
        """Note in PySpark's object what its own ``unpersist`` would note there."""
        try:
            found = named_object.find(self._shell.user_ns, expr)
        except named_object.Unknown:
            return
        fields = sizes.instance_dict(found)
        if fields is not None and type(fields.get("is_cached")) is bool:
            fields["is_cached"] = False

    def _unpersist_rdd(self, number: int) -> None:
        with self._gateway.scope():
            rdd = spark_caches.persistent(self._driver).get(number)
            if rdd is None:
                raise Changed(f"RDD {number} is not stored any more")
            self._gateway.call(rdd, "unpersist", True)

    def _catalog(self, method: str, name: str) -> None:
        with self._gateway.scope():
            session = spark_caches.session(self._driver)
            if session is None:
                raise Changed("the Spark session has ended")
            self._gateway.call(self._gateway.call(session, "catalog"), method, name)

    def _destroy(self, expr: str, java: Foreign, number: int) -> Callable[[], None]:
        if self._gateway.call(java, "id") != number:
            raise Changed(f"{expr} is another broadcast now")
        self.broadcasts.add(number)
        names = self._names
        path = names.broadcasts.get(java.id, (None, False))[0] if names is not None else None

        def do() -> None:
            self._gateway.call(java, "destroy", True)
            if path is not None and os.path.exists(path):
                os.unlink(path)  # as PySpark's own `destroy` does

        return do
