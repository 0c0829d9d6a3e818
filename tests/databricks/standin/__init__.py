"""A workspace on this machine that the official SDK can drive: see ../README.md."""

from standin.cluster import Cluster
from standin.misbehave import Misbehaviour
from standin.workspace import Workspace

__all__ = ["Cluster", "Misbehaviour", "Workspace"]
