"""A notebook on a driver as a kernel that one can ask: through a side context, as a sibling.

``DriverNotebook`` is to the rest of memprobe what a kernel behind a Jupyter Server is. Its line
outlives its side context only in the sense that another one can be made: where the driver has
evicted it, the probe and what it has recorded are still there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memprobe.databricks import clusters
from memprobe.databricks.clusters import ClusterFacts
from memprobe.databricks.side_context import SideContext
from memprobe.databricks.workspace import Workspace
from memprobe.errors import MemprobeError
from memprobe.targets.remote import Disconnected, Line, Unanswered

DOCS = "databricks.md"
EXTRA = 10.0  # seconds that the way there and back may take, retries included
LOOSE = 2.0  # seconds of difference between two clocks that are taken for none
PATIENCE = 60.0  # seconds for a side context to start; a driver that is full takes its time


@dataclass(frozen=True)
class DriverNotebook:
    """One notebook's process on a driver: its PID and connection file there."""

    workspace: Workspace
    cluster: ClusterFacts
    pid: int
    file: str
    name: str

    method = "side-context"

    @property
    def label(self) -> str:
        """The notebook's name, for messages."""
        return self.name

    @property
    def place(self) -> dict[str, Any]:
        """What the workspace tells of the cluster, and a process there does not know."""
        cluster = self.cluster
        told = {
            "runtime": cluster.runtime.partition(".x")[0], "mode": cluster.mode,
            "autotermination": cluster.autotermination,
        }  # fmt: skip
        return {"databricks": told}

    def connect(self, timeout: float, check: Callable[[], None]) -> Line:
        """Open a side context and return a line through it. Raises TargetError."""
        with self.workspace.waits.checking(check):
            context = SideContext(self.workspace, self.cluster.cluster_id, max(timeout, PATIENCE))
        return DriverLine(self, context)

    def is_gone(self) -> bool:
        """Whether its process has certainly ended."""
        with contextlib.suppress(MemprobeError):
            return self.fate() is not None
        return False

    def fate(self) -> str | None:
        """Return how the notebook's process has ended; None where it runs, or nobody can tell."""
        cluster = clusters.by_id(self.workspace, self.cluster.cluster_id)
        return None if cluster.state in clusters.RUNNING else "kernel-died"

    def refuse_unwatched(self) -> None:
        """Nobody keeps a notebook's output that our connection would take."""


class DriverLine:
    """A notebook's control channel; each request is one command in the side context."""

    def __init__(self, notebook: DriverNotebook, context: SideContext) -> None:
        self.fate: str | None = None
        self.kernel_session = ""
        self.ahead = 0.0
        self._notebook = notebook
        self._context = context
        self._closed = False

    def ask(
        self, kind: str, content: dict[str, Any], timeout: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Send a control request and return the content of its reply.

        Raises Unanswered, Disconnected, TargetError, and what ``check`` raises.
        """
        with self._notebook.workspace.waits.checking(check, timeout + EXTRA):
            told = self._context.call(
                "ask", timeout, file=self._notebook.file, pid=self._notebook.pid, kind=kind,
                content=content, timeout=timeout,
            )  # fmt: skip
        if told.get("gone"):
            self.fate = self._fate()
            raise Disconnected(
                f"the process of {self._notebook.name} has ended",
                cause="it was killed, restarted or detached",
                remedy="see what runs there: memprobe ps databricks:CLUSTER",
                docs=DOCS,
            )
        if told.get("silent"):
            raise Unanswered(
                f"the kernel did not answer within {timeout:.0f} s",
                cause="C code in it holds the GIL; the request expires by itself",
                remedy="try again when the call has returned, or wait longer: --timeout 120",
                docs=DOCS,
            )
        self.kernel_session = str(told["session"] or "")
        self.ahead = _ahead(told["clock"])
        return dict(told["content"])

    def _fate(self) -> str:
        """Tell a restart from an end: the notebook has another process now, or none."""
        with contextlib.suppress(MemprobeError):
            for kernel in self._context.call("survey")["kernels"]:
                if kernel["file"] == self._notebook.file:
                    return "kernel-restarted"
        return "kernel-died"

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def close(self) -> None:
        """Destroy the side context. A second call does nothing."""
        self._closed = True
        self._context.close()


def _ahead(clock: float) -> float:
    ahead = clock - time.time()
    return ahead if abs(ahead) > LOOSE else 0.0
