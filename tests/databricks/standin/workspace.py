"""One workspace: a user with a token, clusters, and what each API keeps."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from standin import (
    api_account,
    api_clusters,
    api_commands,
    api_dbfs,
    api_files,
    api_jobs,
    api_workspace,
)
from standin.cluster import Cluster
from standin.misbehave import Switchboard
from standin.router import Router
from standin.server import Server

# An API in a file of its own adds its table of routes here.
ROUTES = [
    api_account.ROUTES, api_clusters.ROUTES, api_commands.ROUTES, api_dbfs.ROUTES,
    api_files.ROUTES, api_jobs.ROUTES, api_workspace.ROUTES,
]  # fmt: skip


class Workspace:
    """A context manager: all processes that were started in it are gone at its end.

    ``folder`` takes what the "cloud" and the drivers keep; ``host`` and ``token`` are what a
    client is given. ``journal`` holds every request as (method, target, headers, body).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = "dapi" + secrets.token_hex(16)
        self.user = "ada@example.org"
        self.clusters: dict[str, Cluster] = {}
        self.switchboard = Switchboard()
        self.journal: list[tuple[str, str, dict[str, str], bytes]] = []
        self.troubles: list[str] = []  # errors of the stand-in itself: a test should see none
        self.kept: dict[str, Any] = {}  # of each API, under its own name
        self.router = Router(*ROUTES)

    def __enter__(self) -> Workspace:
        self.server = Server(self)
        self.host = self.server.url
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        for cluster in self.clusters.values():
            cluster.stop()

    def cluster(self, name: str = "shared", **how: Any) -> Cluster:
        """Add a running cluster; ``how`` as for ``Cluster``."""
        cluster = Cluster(self, name, **how)
        self.clusters[cluster.cluster_id] = cluster
        return cluster

    def environment(self) -> dict[str, str]:
        """Return what a client finds in its environment, and nothing of ours beside it."""
        import os

        plain = {k: v for k, v in os.environ.items() if not k.startswith("DATABRICKS_")}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            **plain, "DATABRICKS_HOST": self.host, "DATABRICKS_TOKEN": self.token,
            "DATABRICKS_CONFIG_FILE": str(home / "none.databrickscfg"), "HOME": str(home),
        }  # fmt: skip
