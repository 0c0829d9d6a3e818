"""Clusters 2.1, and 2.0 for the old client: get, list, start, delete, events."""

from __future__ import annotations

from typing import Any

from standin.cluster import Cluster
from standin.router import ApiError, Request, Routes


def found(request: Request, name: str = "cluster_id") -> Cluster:
    """Return the cluster that a request names."""
    identity = request.wanted(name)
    cluster = request.workspace.clusters.get(identity)
    if cluster is None:
        raise ApiError(400, f"Cluster {identity} does not exist", "INVALID_PARAMETER_VALUE")
    return cluster


def _get(request: Request) -> dict[str, Any]:
    return found(request).described()


def _list(request: Request) -> dict[str, Any]:
    """Return one page; the real one gives ``page_size`` clusters, 100 where it is not said."""
    clusters = list(request.workspace.clusters.values())
    size = int(request.fields.get("page_size") or 100)
    begin = int(request.fields.get("page_token") or 0)
    answer: dict[str, Any] = {
        "clusters": [cluster.described() for cluster in clusters[begin : begin + size]]
    }
    if begin + size < len(clusters):
        answer["next_page_token"] = str(begin + size)
    return answer


def _start(request: Request) -> None:
    cluster = found(request)
    if cluster.state != "TERMINATED":
        told = f"Cluster {cluster.cluster_id} is in unexpected state {cluster.state.title()}."
        raise ApiError(400, told, "INVALID_STATE")
    cluster.start()


def _delete(request: Request) -> None:
    found(request).terminate("USER_REQUEST", "SUCCESS")


def _events(request: Request) -> dict[str, Any]:
    cluster = found(request)
    wanted = request.fields.get("event_types") or []
    events = [one for one in cluster.events if not wanted or one["type"] in wanted]
    if request.fields.get("order", "DESC") == "DESC":
        events = events[::-1]
    limit = int(request.fields.get("limit") or 50)
    return {"events": events[:limit], "total_count": len(events)}


ROUTES: Routes = {
    f"{method} /api/{version}/clusters/{name}": handler
    for version in ("2.0", "2.1")
    for method, name, handler in (
        ("GET", "get", _get), ("GET", "list", _list), ("POST", "start", _start),
        ("POST", "delete", _delete), ("POST", "events", _events),
    )
}  # fmt: skip
