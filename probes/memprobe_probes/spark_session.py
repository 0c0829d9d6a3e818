"""The Spark session of this process: found where PySpark keeps it, never created."""

from __future__ import annotations

import os
import sys

from . import sizes
from .jvm_wire import Foreign, Gateway, Handle, JvmError, JvmGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONTEXT_MODULES = ("pyspark.core.context", "pyspark.context")
_CONNECT_SESSION = "pyspark.sql.connect.session"
_ESTABLISHED = "01"
_LOCAL = ("127.", "localhost", "::1")


class Found:
    """Where a live SparkContext's JVM listens, and PySpark's own reference to that context.

    It holds texts and numbers, no object of the program's.
    """

    __slots__ = ("address", "child", "context", "port", "prefix", "token")

    def __init__(
        self, address: str, port: int, token: str | None, context: str, child: int | None
    ) -> None:
        self.address = address
        self.port = port
        self.token = token
        self.context = context  # id of the JavaSparkContext
        self.child = child  # pid of the JVM, where this process started it
        self.prefix: str | None = None  # of the keys in py4j's table, once it was looked up

    @property
    def key(self) -> tuple[str, int, str | None, str]:
        """What differs from one context to the next."""
        return self.address, self.port, self.token, self.context


def find() -> Found | None:
    """Return the live SparkContext of this process, or None. Reads dicts, runs no code."""
    context = active_context()
    if context is None:
        return None
    gateway = sizes.class_namespace(type(context)).get("_gateway")
    if gateway is None:
        gateway = (sizes.instance_dict(context) or {}).get("_gateway")
    names = sizes.instance_dict(gateway) or {}
    facts = sizes.instance_dict(names.get("gateway_parameters")) or {}
    java_context = java_id((sizes.instance_dict(context) or {}).get("_jsc"))
    address, port, token = facts.get("address"), facts.get("port"), facts.get("auth_token")
    if type(address) is not str or type(port) is not int or java_context is None:
        return None
    process = sizes.instance_dict(names.get("proc")) or {}
    child = process.get("pid")
    return Found(
        address, port, token if type(token) is str else None, java_context,
        child if type(child) is int else None,
    )  # fmt: skip


def active_context() -> Any:
    """Return PySpark's SparkContext, where one is alive."""
    for name in _CONTEXT_MODULES:
        module = sys.modules.get(name)
        cls = vars(module).get("SparkContext") if module is not None else None
        if cls is not None:
            context = sizes.class_namespace(cls).get("_active_spark_context")
            if context is not None:
                return context
    return None


def connect_is_loaded() -> bool:
    """Whether the client of Spark Connect is in this process."""
    return _CONNECT_SESSION in sys.modules


def java_id(obj: Any) -> str | None:
    """Return the id by which the JVM knows a py4j object of the program's; None for another."""
    if obj is None or sizes.module_of(type(obj)).partition(".")[0] != "py4j":
        return None
    found = (sizes.instance_dict(obj) or {}).get("_target_id")
    return found if type(found) is str else None


class Driver:
    """The JVM of one SparkContext, with the few objects of it that are asked again and again.

    They live as long as the application does, so keeping them keeps nothing alive; ``drop``
    lets go of them.
    """

    def __init__(self, found: Found, gateway: Gateway) -> None:
        self.found = found
        self.gateway = gateway
        self.app: str | None = None
        self.version: str | None = None
        self.master: str | None = None
        self._others: bool | None = None  # whether its configuration lets others in
        self._objects: dict[str, Handle] = {}

    def context(self) -> Handle:
        """Return Spark's own SparkContext."""
        java_context = Foreign(self.found.context)
        return self.lasting("context", lambda: self.gateway.call(java_context, "sc"))

    def identify(self) -> None:
        """Ask once for the application's id, version and master."""
        if self.app is not None:
            return
        gateway = self.gateway
        self.version = gateway.call(self.context(), "version")
        self.master = master_kind(str(gateway.call(self.context(), "master")))
        plugins = gateway.call(gateway.call(self.context(), "getConf"), "get", "spark.plugins", "")
        self._others = "Connect" in str(plugins)
        self.app = gateway.call(self.context(), "applicationId")

    def is_stopping(self) -> bool:
        """Whether the program has begun to stop its context, or has stopped it."""
        try:
            with self.gateway.scope():
                return self.gateway.call(self.context(), "isStopped") is True
        except (JvmError, JvmGone):
            return False  # nobody can tell; what could not be read says so itself

    def block_manager_master(self) -> Handle:
        """Return the driver's BlockManagerMaster.

        By reflected fields: a method of SparkEnv, called through py4j, ends the connection where
        a class of its signatures is not on the class path.
        """

        def find() -> Handle:
            found: Handle = self.gateway.call(self._of_env("blockManager"), "master")
            return found

        return self.lasting("master", find)

    def memory_manager(self) -> Handle:
        """Return what shares out the memory of the driver's own executor."""

        def find() -> Handle:
            try:
                return self._of_env("_memoryManager")  # of Spark 4
            except JvmError:
                return self._of_env("memoryManager")

        return self.lasting("memoryManager", find)

    def _of_env(self, name: str) -> Handle:
        gateway = self.gateway
        context_class = gateway.call(self.context(), "getClass")
        env = self._read(context_class, "_env", self.context())
        env_class = gateway.static("java.lang.Class", "forName", "org.apache.spark.SparkEnv")
        return self._read(env_class, name, env)

    def field_of(self, target: Handle, name: str, class_name: str) -> Any:
        """Return a field of any access that ``class_name`` declares."""
        return self.gateway.call(self.field_reader(name, class_name), "get", target)

    def field_reader(self, name: str, class_name: str) -> Handle:
        """Return the reflected field itself, to read it of many objects at once."""

        def find() -> Handle:
            cls = self.gateway.static("java.lang.Class", "forName", class_name)
            field: Handle = self.gateway.call(cls, "getDeclaredField", name)
            self.gateway.call(field, "setAccessible", True)
            return field

        return self.lasting(f"{class_name}.{name}", find)

    def shared(self) -> bool:
        """Whether other programs use this driver, as far as one can tell; True where one cannot."""
        if self._others is None or self._others:
            return True
        if not self.found.address.startswith(_LOCAL):
            return True
        ours = self.found.child is not None and _is_child(self.found.child)
        if not ours and not _is_java(os.getppid()):
            return True
        return _others_connected(self.found.port)

    def drop(self) -> None:
        """Let go of everything in the JVM and close."""
        self._objects.clear()
        self.gateway.close()

    def _read(self, cls: Handle, name: str, target: Handle) -> Handle:
        field = self.gateway.call(cls, "getDeclaredField", name)
        self.gateway.call(field, "setAccessible", True)
        found: Handle = self.gateway.call(field, "get", target)
        return found

    def optional(self, name: str, find: Any) -> Handle | None:
        """Return an object that lives as long as the application, once ``find`` finds it."""
        if name not in self._objects:
            with self.gateway.scope():
                found = find()
                if type(found) is Handle:
                    self._objects[name] = self.gateway.keep(found)
        return self._objects.get(name)

    def lasting(self, name: str, find: Any) -> Handle:
        """Return an object that lives as long as the application; JvmError where there is none."""
        if name not in self._objects:
            with self.gateway.scope():
                found = find()
                if type(found) is not Handle:
                    raise JvmError("java.lang.NullPointerException")
                self._objects[name] = self.gateway.keep(found)
        return self._objects[name]


def master_kind(master: str) -> str:
    """Return a master without any address: ``local[2]``, ``local-cluster``, ``spark``, ``yarn``."""
    if master.startswith("local-cluster"):
        return "local-cluster"
    return master.split(":", 1)[0] if not master.startswith("local") else master


def _is_child(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}") if os.path.isdir("/proc/self") else True


def _is_java(pid: int) -> bool:
    """Whether spark-submit's JVM started this process."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip() == "java"
    except OSError:
        return False


def _others_connected(port: int) -> bool:
    """Whether a process besides this one is connected to the port; its own sockets do not count."""
    inodes = _clients_of(port)
    return bool(inodes - _own_sockets()) if inodes is not None else False


def _clients_of(port: int) -> set[str] | None:
    found: set[str] = set()
    seen = False
    for name in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(name, encoding="ascii", errors="replace") as file:
                rows = file.read().splitlines()[1:]
        except OSError:
            continue
        seen = True
        for row in rows:
            parts = row.split()
            remote = parts[2].rpartition(":")[2]
            if parts[3] == _ESTABLISHED and int(remote, 16) == port and parts[9] != "0":
                found.add(parts[9])
    return found if seen else None


def _own_sockets() -> set[str]:
    found: set[str] = set()
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found
