"""Which cluster is meant, whether it runs, and what its access mode lets one see."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError, UsageError

if TYPE_CHECKING:
    from databricks.sdk.service.compute import ClusterDetails

DOCS = "databricks.md"
ID = re.compile(r"\d{4}-\d{6}-[\w-]+")
RUNNING, COMING = ("RUNNING", "RESIZING"), ("PENDING", "RESTARTING")
LOOK = 1.0  # seconds between two looks at a cluster that is coming up
SERVERLESS = "serverless"

# data_security_mode → the access mode as the workspace's pages call it.
MODES = {
    "SINGLE_USER": "dedicated", "DATA_SECURITY_MODE_DEDICATED": "dedicated",
    "LEGACY_SINGLE_USER": "dedicated", "LEGACY_SINGLE_USER_STANDARD": "dedicated",
    "USER_ISOLATION": "standard", "DATA_SECURITY_MODE_STANDARD": "standard",
    "LEGACY_TABLE_ACL": "standard", "NONE": "no isolation", "LEGACY_PASSTHROUGH": "no isolation",
}  # fmt: skip


@dataclass(frozen=True)
class ClusterFacts:
    """What the API tells of a cluster. ``mode``: dedicated, standard, no isolation or unknown."""

    cluster_id: str
    name: str
    state: str
    mode: str
    single_user: str
    runtime: str  # such as 15.4.x-scala2.12
    autotermination: int | None  # minutes without activity; 0: never
    termination: str  # why it ended, as the API calls it; empty: it runs


def found(workspace: Workspace, named: str) -> ClusterFacts:
    """Return the cluster with that id or name. Raises TargetError, UsageError."""
    if named.lower() == SERVERLESS:
        raise _serverless()
    if ID.fullmatch(named):
        return by_id(workspace, named)
    with workspace.asked("list the clusters"):
        clusters = [_facts(one) for one in workspace.client.clusters.list()]
    same = [one for one in clusters if one.name == named]
    same = [one for one in same if one.state in RUNNING] or same
    if len(same) == 1:
        return same[0]
    if not same:
        raise _unknown(named, clusters)
    lines = "\n           ".join(f"{one.cluster_id}  {one.state.lower()}" for one in same)
    raise TargetError(
        f"{len(same)} clusters are called {named}",
        cause=f"to choose from are:\n           {lines}",
        remedy="name one by its id",
        docs=DOCS,
    )


def by_id(workspace: Workspace, cluster_id: str) -> ClusterFacts:
    """Return what the API tells of a cluster now. Raises TargetError."""
    with workspace.asked(f"look at cluster {cluster_id}"):
        return _facts(workspace.client.clusters.get(cluster_id))


def running(
    workspace: Workspace, cluster: ClusterFacts, timeout: float, wait: Callable[[float], None],
    say: Callable[[str], None] = lambda text: None,
) -> ClusterFacts:  # fmt: skip
    """Return the cluster once it runs; one that is coming up is waited for, ``timeout`` seconds.

    ``wait`` sleeps and may raise. None is started: that costs money, which is the user's to spend.
    Raises TargetError.
    """
    deadline = time.monotonic() + timeout
    told = False
    while cluster.state in COMING and time.monotonic() < deadline:
        if not told:
            say(f"cluster {cluster.name} is {cluster.state.lower()}; waiting up to {timeout:.0f} s")
            told = True
        wait(LOOK)
        cluster = by_id(workspace, cluster.cluster_id)
    if cluster.state in RUNNING:
        return cluster
    raise not_running(cluster)


def not_running(cluster: ClusterFacts) -> TargetError:
    """Return the error for a cluster that has no driver, with the reason of its end."""
    why = f" ({cluster.termination})" if cluster.termination else ""
    remedy = f"start it: databricks clusters start {cluster.cluster_id}"
    if cluster.state in COMING:
        remedy = "wait until it runs, or longer: --timeout 600"
    return TargetError(
        f"cluster {cluster.name} does not run",
        cause=f"it is {cluster.state.lower()}{why}",
        remedy=remedy,
        docs=DOCS,
    )


def _facts(details: ClusterDetails) -> ClusterFacts:
    mode = _value(details.data_security_mode)
    reason = details.termination_reason
    return ClusterFacts(
        cluster_id=str(details.cluster_id),
        name=str(details.cluster_name or details.cluster_id),
        state=_value(details.state) or "UNKNOWN",
        mode=MODES.get(mode, "unknown"),
        single_user=str(details.single_user_name or ""),
        runtime=str(details.spark_version or ""),
        autotermination=details.autotermination_minutes,
        termination=_value(reason.code) if reason is not None else "",
    )


def _value(member: Any) -> str:
    return str(getattr(member, "value", member) or "")


def _unknown(named: str, clusters: list[ClusterFacts]) -> TargetError:
    names = [one.name for one in clusters]
    close = difflib.get_close_matches(named, names, n=1)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return TargetError(
        f"there is no cluster {named}, or you may not see it",
        cause=f"clusters are: {shown}" if names else "the workspace shows you no cluster",
        remedy=f"did you mean {close[0]}?" if close else "name it by its id or its name",
        docs=DOCS,
    )


def _serverless() -> UsageError:
    return UsageError(
        "serverless compute cannot be attached to from outside",
        cause="it has no cluster, and no API that runs code beside a notebook",
        remedy="from inside it works: memprobe attach --cell > cell.py prints the cell to paste",
        docs=DOCS,
    )
