"""On which compute a job runs: a cluster that is there, one of its own, or serverless."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.databricks import clusters
from memprobe.databricks.workspace import Workspace
from memprobe.errors import UsageError

DOCS = "databricks.md"
PREFIX = "databricks"
SERVERLESS = "serverless"
ENVIRONMENT = "memprobe"
ENVIRONMENT_VERSION = "2"  # of serverless compute: Python 3.11


@dataclass(frozen=True)
class Place:
    """What ``--on`` names: ``kind`` is cluster, job-cluster, serverless or job."""

    kind: str
    name: str = ""


@dataclass(frozen=True)
class Compute:
    """What a task runs on: fields of a SubmitTask, how it is called, what is known of it."""

    name: str
    task: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    serverless: bool = False


def parsed(on: str, job_cluster: str | None = None) -> Place:
    """Return what ``--on`` names. Raises UsageError."""
    scheme, _, rest = on.partition(":")
    if scheme != PREFIX:
        raise _usage(f"{on} names no place to run on", "--on says where, and knows databricks only")
    if job_cluster is not None:
        if rest:
            raise _usage("--job-cluster and a cluster exclude each other", f"--on names {rest}")
        return Place("job-cluster", job_cluster)
    if rest.startswith("job/"):
        number = rest.removeprefix("job/")
        if not number.isdigit():
            raise _usage(f"{number or 'nothing'} is no job's id", "it is a number")
        return Place("job", number)
    if rest == SERVERLESS:
        return Place("serverless")
    if not rest:
        raise _usage("--on databricks names no cluster", "and there is no --job-cluster FILE")
    return Place("cluster", rest)


def _usage(summary: str, cause: str) -> UsageError:
    remedy = (
        "--on databricks:CLUSTER, databricks:serverless, databricks:job/ID, or "
        "--on databricks --job-cluster FILE"
    )
    return UsageError(summary, cause=cause, remedy=remedy, docs=DOCS)


def compute_for(workspace: Workspace, place: Place) -> Compute:
    """Return what a task needs to run there. Raises TargetError, UsageError."""
    if place.kind == "serverless":
        return Compute(SERVERLESS, {}, {"mode": "serverless"}, serverless=True)
    if place.kind == "job-cluster":
        spec = _spec(Path(place.name))
        mode = clusters.MODES.get(str(spec.get("data_security_mode")), "unknown")
        facts = _facts(mode, str(spec["spark_version"]))
        return Compute("a cluster of its own", {"new_cluster": spec}, facts)
    cluster = clusters.found(workspace, place.name)
    facts = _facts(cluster.mode, cluster.runtime)
    facts["autotermination"] = cluster.autotermination
    return Compute(cluster.name, {"existing_cluster_id": cluster.cluster_id}, facts)


def _facts(mode: str, version: str) -> dict[str, Any]:
    """Return what a probe is told of its cluster; None: it may find that out by itself."""
    known = None if mode == "unknown" else mode
    return {"mode": known, "runtime": version.partition(".x")[0] or None}


def _spec(path: Path) -> dict[str, Any]:
    """Return the cluster's description in a JSON file, alone or under ``new_cluster``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _usage(f"cannot read {path}", (error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise _usage(f"{path} is no JSON", str(error)) from error
    spec = found.get("new_cluster", found) if isinstance(found, dict) else None
    if not isinstance(spec, dict) or "spark_version" not in spec:
        raise _usage(f"{path} describes no cluster", "spark_version is missing")
    return spec
