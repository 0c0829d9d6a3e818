"""One cluster: a state, a driver's processes on this machine, and its events."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from standin.contexts import ExecutionContext
from standin.driver_kernel import DriverKernel
from standin.machine import Machine
from standin.router import ApiError

if TYPE_CHECKING:
    from standin.workspace import Workspace

# Root may read every file, whatever its mode; a process without these two rights may not.
UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


class Cluster:
    """A classic cluster whose driver is this machine.

    ``mode`` is the API's data_security_mode (SINGLE_USER: dedicated, USER_ISOLATION: standard);
    ``runtime`` its Databricks runtime. In standard mode a context cannot read the connection files
    of others. ``slow_contexts``: seconds a new context is Pending, ``slow_start``: seconds the
    cluster is PENDING after a start.
    """

    def __init__(
        self, workspace: Workspace, name: str, *, mode: str = "SINGLE_USER",
        runtime: str = "15.4.x-scala2.12", autotermination: int = 60, context_limit: int = 145,
        slow_contexts: float = 0.0, slow_start: float = 0.0, state: str = "RUNNING",
    ) -> None:  # fmt: skip
        self.workspace = workspace
        self.name = name
        self.cluster_id = f"0101-120000-{secrets.token_hex(4)}"
        self.mode = mode
        self.runtime = runtime
        self.autotermination = autotermination
        self.context_limit = context_limit
        self.slow_contexts = slow_contexts
        self.slow_start = slow_start
        self.state = state
        self.reason: dict[str, Any] | None = None
        self.contexts: dict[str, ExecutionContext] = {}  # also those of web notebooks
        self.processes: list[subprocess.Popen[bytes]] = []  # of jobs' Python files
        self.events: list[dict[str, Any]] = []
        self.folder = workspace.folder / f"driver-{self.cluster_id}"
        self.folder.mkdir()
        self.machine = Machine()
        self._lock = threading.Lock()
        self._since = time.time()
        self._event("RUNNING" if state == "RUNNING" else "TERMINATING")

    # What the API shows.

    def described(self) -> dict[str, Any]:
        """Return the cluster as clusters/get tells of it."""
        milliseconds = int(self._since * 1000)
        told: dict[str, Any] = {
            "cluster_id": self.cluster_id, "cluster_name": self.name, "state": self.state,
            "state_message": "", "spark_version": self.runtime, "num_workers": 0,
            "data_security_mode": self.mode, "autotermination_minutes": self.autotermination,
            "creator_user_name": self.workspace.user, "cluster_source": "UI",
            "node_type_id": "standin.large", "driver_node_type_id": "standin.large",
            "start_time": milliseconds, "last_state_loss_time": milliseconds,
            "spark_conf": {"spark.master": "local[*]"},
            "default_tags": {"ClusterId": self.cluster_id, "ClusterName": self.name},
        }  # fmt: skip
        if self.mode == "SINGLE_USER":
            told["single_user_name"] = self.workspace.user
        if self.state == "RUNNING":
            told |= {"spark_context_id": 4711, "driver": {"private_ip": "127.0.0.1"}}
        if self.reason is not None:
            told["termination_reason"] = self.reason
        return told

    def refuse_unless_running(self) -> None:
        """Raise what API 1.2 answers for a cluster that runs no driver."""
        if self.state != "RUNNING":
            told = f"Cluster {self.cluster_id} is {self.state.lower()}"
            raise ApiError(400, told, "ClusterNotReadyException")

    # The driver.

    def new_context(self, language: str = "python", notebook: str = "") -> ExecutionContext:
        """Start one. At the limit the longest idle one is evicted, as the real ones do."""
        with self._lock:
            if len(self.contexts) >= self.context_limit:
                idle = min(self.contexts.values(), key=lambda one: one.used)
                self.evict(idle)
            identity = str(secrets.randbelow(9 * 10**18) + 10**18)
            kernel = self._kernel(identity, notebook) if language == "python" else None
            context = ExecutionContext(self, identity, language, kernel, notebook)
            self.contexts[identity] = context
            return context

    def open_notebook(self, path: str = "/Users/ada@example.org/etl") -> ExecutionContext:
        """Open a notebook as the web page does; wait until its kernel is there."""
        context = self.new_context(notebook=path)
        assert context.kernel is not None
        _ = context.kernel.client
        if self.mode == "USER_ISOLATION":
            context.kernel.file.chmod(0)  # other users' processes cannot read it
        return context

    def destroy(self, context: ExecutionContext) -> None:
        self.contexts.pop(context.identity, None)
        context.close()

    def evict(self, context: ExecutionContext) -> None:
        """Take a context away as the driver does when too many are idle."""
        self.destroy(context)

    def kill_driver(self) -> None:
        """The driver's machine runs out of memory: all is killed, the cluster ends."""
        self.machine.stop()
        for context in self.contexts.values():
            if context.kernel is not None:
                context.kernel.kill()
        self._event("DRIVER_NOT_RESPONDING")
        self.terminate("DRIVER_OUT_OF_MEMORY", "CLIENT_ERROR")

    def start(self) -> None:
        """Go to PENDING, and to RUNNING after ``slow_start`` seconds."""
        self.state, self.reason = "PENDING", None
        self._event("STARTING")
        timer = threading.Timer(self.slow_start, self._run)
        timer.daemon = True
        timer.start()

    def terminate(self, code: str, kind: str) -> None:
        self.state = "TERMINATED"
        self.reason = {"code": code, "type": kind, "parameters": {}}
        self._event("TERMINATING", reason=self.reason)
        self.stop()

    def stop(self) -> None:
        """End every process of the driver. A driver that starts again is another machine."""
        with self._lock:
            contexts, self.contexts = list(self.contexts.values()), {}
        for context in contexts:
            context.close()
        processes, self.processes = self.processes, []
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.machine.stop()

    def pids(self) -> list[int]:
        """Return the processes of all contexts."""
        return [one.kernel.pid for one in self.contexts.values() if one.kernel is not None]

    def _run(self) -> None:
        self.machine = Machine()
        self.state, self._since = "RUNNING", time.time()
        self._event("RUNNING")

    def _event(self, kind: str, **details: Any) -> None:
        now = int(time.time() * 1000)
        self.events.append(
            {"cluster_id": self.cluster_id, "timestamp": now, "type": kind, "details": details}
        )

    def _kernel(self, identity: str, notebook: str) -> DriverKernel:
        facts = {
            "notebookPath": notebook or None, "notebookId": identity, "clusterId": self.cluster_id,
            "user": self.workspace.user,
        }  # fmt: skip
        isolated = self.mode == "USER_ISOLATION" and os.geteuid() == 0
        before = UNPRIVILEGED if isolated else []
        environment = self._environment()
        return DriverKernel(self.folder, identity, environment, facts, self.machine, before)

    def _environment(self) -> dict[str, str]:
        """Return what a driver's process has: nothing of the client, above all no token."""
        kept = ("PATH", "LANG", "LC_ALL", "JAVA_HOME", "TMPDIR")
        version = self.runtime.split(".x")[0]
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "DATABRICKS_RUNTIME_VERSION": version, "HOME": str(self.folder),
            "IPYTHONDIR": str(self.folder / "ipython"), "TMPDIR": str(temporary),
            "PYSPARK_PYTHON": sys.executable,
            # Without a machine of its own a kernel ends when it sees that we are gone.
            **({} if self.machine.inside else {"JPY_PARENT_PID": str(os.getpid())}),
        }  # fmt: skip
