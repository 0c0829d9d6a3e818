"""The notebooks on a cluster's driver: listed as rows, and one of them chosen.

What a driver's processes show depends on the access mode: on dedicated compute they are all the
user's own; in standard mode users are kept apart. What cannot be seen is said, never left out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from memprobe.databricks import clusters
from memprobe.databricks.address import Address, parsed
from memprobe.databricks.clusters import ClusterFacts
from memprobe.databricks.line import PATIENCE, DriverLine, DriverNotebook
from memprobe.databricks.side_context import SideContext
from memprobe.databricks.workspace import Workspace, connect
from memprobe.errors import MemprobeError, TargetError
from memprobe.reporters.printable import printable
from memprobe.targets.contexts import ContextRow, KernelContext
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.visit import visit

DOCS = "databricks.md"
ASKING = 5.0  # seconds for a notebook to say which one it is; a busy one may be silent
ASKING_ALL = 20.0  # seconds for all of them together
COMING = 30.0  # seconds that a cluster which is starting is waited for
SHORTEST_ID = 3
CONTEXTS = 145  # that a driver keeps at most, as Databricks documents it
JVM = "the driver's JVM: Scala, R and SQL contexts are part of it"


@dataclass(frozen=True)
class Driver:
    """A driver as a side context has seen it. ``told`` is ``on_driver.survey``'s answer."""

    cluster: ClusterFacts
    told: dict[str, Any]
    rows: list[ContextRow]

    @property
    def contexts(self) -> int:
        """How many Python contexts were seen, without our own."""
        return sum(1 for row in self.rows if row.kind == "kernel")


def listed(target: str, say: Callable[[str], None]) -> Driver:
    """Look around on the driver of a cluster; nothing is left there.

    Raises TargetError, UsageError, KeyboardInterrupt.
    """
    with Interrupts() as interrupts:
        address, workspace, cluster = _cluster(target, interrupts, say)
        with SideContext(workspace, cluster.cluster_id, PATIENCE) as context:
            driver = _driver(workspace, cluster, context)
    if address.notebook:
        rows = [row for row in driver.rows if is_meant(row, address.notebook)]
        return Driver(driver.cluster, driver.told, rows)
    return driver


def chosen(target: str, verb: str, doing: str, say: Callable[[str], None]) -> KernelContext:
    """Return the one notebook that ``target`` means, for ``verb``.

    Raises TargetError, UsageError, KeyboardInterrupt.
    """
    with Interrupts() as interrupts:
        address, workspace, cluster = _cluster(target, interrupts, say)
        with SideContext(workspace, cluster.cluster_id, PATIENCE) as context:
            driver = _driver(workspace, cluster, context)
    row = the_one(driver, address, verb, doing)
    return row.context()


def the_one(driver: Driver, address: Address, verb: str, doing: str) -> ContextRow:
    """Return the row that ``address`` means. Raises TargetError where that is none, or several."""
    kernels = [row for row in driver.rows if row.kind == "kernel"]
    meant = address.notebook
    found = [row for row in kernels if is_meant(row, meant)] if meant else kernels
    exact = [row for row in found if (row.notebook or "").strip("/") == meant]
    found = exact or found
    if not meant and any(row.attachable for row in found):
        found = [row for row in found if row.attachable]
    if not found:
        raise _none(driver, address, kernels, doing)
    if len(found) > 1:
        raise _several(found, address, verb)
    (row,) = found
    if not row.attachable:
        raise Refused(
            f"cannot {doing} {printable(row.name)} on cluster {driver.cluster.name}",
            cause=row.why_not, remedy=row.remedy, docs=DOCS,
        )  # fmt: skip
    return row


class Refused(TargetError):
    """The notebook is there, and from outside it cannot be entered; from inside it can."""


def is_meant(row: ContextRow, wanted: str) -> bool:
    """Whether a row is what a user has named: by PID, by id, or by the end of its path."""
    if wanted.isdecimal() and row.pid == int(wanted):
        return True
    if len(wanted) >= SHORTEST_ID and row.kernel_id.startswith(wanted):
        return True
    parts = PurePosixPath((row.notebook or "").strip("/")).parts
    asked = PurePosixPath(wanted).parts
    return bool(asked) and parts[-len(asked) :] == asked


def _cluster(
    target: str, interrupts: Interrupts, say: Callable[[str], None]
) -> tuple[Address, Workspace, ClusterFacts]:
    address = parsed(target)
    workspace = connect(interrupts.check, say)

    def wait(seconds: float) -> None:
        interrupts.wait(seconds)
        interrupts.check()

    cluster = clusters.found(workspace, address.cluster)
    return address, workspace, clusters.running(workspace, cluster, COMING, wait, say)


def _driver(workspace: Workspace, cluster: ClusterFacts, context: SideContext) -> Driver:
    told = context.call("survey")
    limit, until = told["memory"], time.monotonic() + ASKING_ALL
    rows = []
    for kernel in told["kernels"]:
        if not kernel["own"]:
            asks = context if time.monotonic() < until else None
            rows.append(_kernel_row(workspace, cluster, kernel, limit, asks))
    rows += [_jvm_row(cluster, jvm, limit) for jvm in told["jvms"]]
    rows.sort(key=lambda row: (not row.attachable, -(row.rss or 0)))
    return Driver(cluster, told, rows)


def _kernel_row(
    workspace: Workspace, cluster: ClusterFacts, kernel: dict[str, Any], limit: dict[str, Any],
    context: SideContext | None,
) -> ContextRow:  # fmt: skip
    why_not, remedy = _obstacle(kernel, cluster)
    found = DriverNotebook(workspace, cluster, kernel["pid"], kernel["file"], "")
    asked = _asked(found, context) if context is not None and not why_not else {}
    path = str(asked.get("notebook") or "")
    name = PurePosixPath(path).name or _unnamed(kernel)
    remote = DriverNotebook(workspace, cluster, kernel["pid"], kernel["file"], name)
    return ContextRow(
        pid=kernel["pid"], kind="kernel", name=name, notebook=path or None,
        kernel_id=PurePosixPath(kernel["file"]).stem, server=f"cluster {cluster.name}",
        user=kernel["user"], age=kernel["age"], rss=kernel["rss"], limit=limit["limit"],
        limit_source=limit["source"], limit_used=limit["used"], attachable=not why_not,
        why_not=why_not, remedy=remedy, remote=remote, method=remote.method,
        state=_state(asked),
        probe="there" if asked.get("probe") else None,
    )  # fmt: skip


def _state(asked: dict[str, Any]) -> str:
    return {"True": "busy", "False": "idle"}.get(str(asked.get("busy")), "unknown")


def _unnamed(kernel: dict[str, Any]) -> str:
    """Return what can be said of a notebook that did not say itself which one it is."""
    folder = kernel.get("folder") or ""
    inside = folder if folder.startswith("/Workspace") else ""
    return f"a notebook in {inside}" if inside else "a notebook"


def _jvm_row(cluster: ClusterFacts, jvm: dict[str, Any], limit: dict[str, Any]) -> ContextRow:
    heap = f" (heap up to {jvm['heap']})" if jvm["heap"] else ""
    name = f"driver JVM{heap}" if jvm["driver"] else f"a JVM{heap}"
    return ContextRow(
        pid=jvm["pid"], kind="jvm", name=name, server=f"cluster {cluster.name}", language="JVM",
        user=jvm["user"], age=jvm["age"], rss=jvm["rss"], limit=limit["limit"],
        limit_source=limit["source"], limit_used=limit["used"],
        why_not=JVM if jvm["driver"] else "it holds no Python objects",
        remedy="attach to a notebook that uses Spark: its report tells of this heap and its caches",
    )  # fmt: skip


def _obstacle(kernel: dict[str, Any], cluster: ClusterFacts) -> tuple[str, str]:
    if kernel["readable"]:
        return "", ""
    if not kernel["there"]:
        return "its connection file is gone, or hidden from this user", _pasted()
    return (
        f"its connection file may not be read: cluster {cluster.name} is in {cluster.mode} access "
        "mode, and this process belongs to another user or sandbox",
        _pasted(),
    )


def _pasted() -> str:
    return (
        "from outside this needs dedicated (single-user) access mode and the notebook's own user; "
        "from inside it works: memprobe attach --cell > cell.py prints the cell to paste"
    )


def _asked(notebook: DriverNotebook, context: SideContext) -> dict[str, Any]:
    """Ask a notebook which one it is; one that does not answer now has no name."""
    line = DriverLine(notebook, context)
    check = notebook.workspace.waits.check

    def ask(kind: str, content: dict[str, Any]) -> dict[str, Any]:
        return line.ask(kind, content, ASKING, check)

    with contextlib.suppress(MemprobeError):
        return visit(ask, time.time() + line.ahead + ASKING)
    return {}


def _none(
    driver: Driver, address: Address, kernels: Sequence[ContextRow], doing: str
) -> TargetError:
    where = f"cluster {driver.cluster.name}"
    closed = [row for row in kernels if not row.attachable]
    if closed:  # it may be one of these: nobody can ask them for their names
        return Refused(
            f"no notebook {printable(address.notebook)} can be entered on {where}",
            cause=f"PID {', '.join(str(row.pid) for row in closed[:5])}: {closed[0].why_not}",
            remedy=closed[0].remedy, docs=DOCS,
        )  # fmt: skip
    names = ", ".join(printable(row.notebook or f"PID {row.pid}") for row in kernels[:5])
    more = f" and {len(kernels) - 5} more" if len(kernels) > 5 else ""
    cause = f"seen are: {names}{more}" if kernels else "no notebook's Python process is to be seen"
    if driver.cluster.mode == "standard" and not kernels:
        cause += f"; {where} is in standard access mode, which hides other users' processes"
    what = f"no notebook {printable(address.notebook)} runs on" if address.notebook else "nothing"
    return TargetError(
        f"{what} {where}" if address.notebook else f"there is nothing to {doing} on {where}",
        cause=cause,
        remedy="run a Python cell in the notebook first: it has no process before that",
        docs=DOCS,
    )


def _several(found: Sequence[ContextRow], address: Address, verb: str) -> TargetError:
    lines = [f"{row.pid}  {printable(row.notebook or row.name)}" for row in found]
    return TargetError(
        f"{address.shown} could be {len(found)} notebooks",
        cause="to choose from are:\n           " + "\n           ".join(lines),
        remedy=f"name one by its path or PID: memprobe {verb} "
        f"databricks:{address.cluster}/{found[0].pid}",
        docs=DOCS,
    )
