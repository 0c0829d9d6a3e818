"""What a driver sees of the cloud: /Workspace, /Volumes and /dbfs, as folders of this machine.

The real ones are mounted at the root. Here a task's file, its parameters and its cells are told
the folder instead, in their text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standin.workspace import Workspace

NAMES = ("Workspace", "Volumes", "dbfs")


def root(workspace: Workspace, name: str) -> Path:
    """Return the folder that stands for ``/Workspace``, ``/Volumes`` or ``/dbfs``."""
    folder = workspace.folder / "mounts" / name
    # Every user has a folder in the workspace.
    home = folder / "Users" / workspace.user if name == "Workspace" else folder
    home.mkdir(parents=True, exist_ok=True)
    return folder


def local(workspace: Workspace, path: str) -> Path:
    """Return where a path of the cloud is here: dbfs:/x, /Volumes/x, /Workspace/x or /Users/x."""
    if path.startswith("dbfs:/"):
        path = "/dbfs/" + path.removeprefix("dbfs:/").lstrip("/")
    name, _, rest = path.lstrip("/").partition("/")
    if name not in NAMES:
        name, rest = "Workspace", path.lstrip("/")
    found = (root(workspace, name) / rest).resolve()
    found.relative_to(root(workspace, name).resolve())  # raises for what climbs out
    return found


def translated(workspace: Workspace, text: str) -> str:
    """Return a text with the mounts' names replaced by the folders that stand for them."""
    for name in NAMES:
        text = text.replace(f"/{name}/", f"{root(workspace, name)}/")
    return text
