"""``databricks:CLUSTER[/NOTEBOOK]`` as a user types it, taken apart.

CLUSTER is a cluster's id or its name; a ``/`` in the name is written ``%2F``. NOTEBOOK is the path
in the workspace, the end of it, the PID of the notebook's process, or the beginning of its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from memprobe.errors import UsageError

SCHEME = "databricks:"
DOCS = "databricks.md"


@dataclass(frozen=True)
class Address:
    """A cluster, and what of a notebook's path was given (empty: nothing)."""

    cluster: str
    notebook: str = ""

    @property
    def shown(self) -> str:
        """The address as one would type it."""
        rest = f"/{self.notebook}" if self.notebook else ""
        return f"{SCHEME}{quote(self.cluster, safe=' ()@+:,')}{rest}"


def is_databricks(target: str | None) -> bool:
    """Whether ``target`` names a place on Databricks."""
    return bool(target) and str(target).startswith(SCHEME)


def parsed(target: str) -> Address:
    """Return ``target`` taken apart. Raises UsageError where it names no cluster."""
    cluster, _, notebook = target.removeprefix(SCHEME).partition("/")
    if not cluster.strip():
        raise UsageError(
            "it is not said which cluster",
            cause=f"nothing stands after {SCHEME}",
            remedy="name it by its id or its name: databricks:CLUSTER[/NOTEBOOK]",
            docs=DOCS,
        )
    return Address(unquote(cluster.strip()), unquote(notebook.strip("/")))
