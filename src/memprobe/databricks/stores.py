"""Where files go between this machine and a driver: workspace files, a volume, or DBFS.

Each is one folder with a name of its own, seen by the API and, under another name, by the driver.
Files are written whole, under new names: neither a volume nor a workspace file can be added to.
"""

from __future__ import annotations

import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError, UsageError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

DOCS = "databricks.md"
HIDDEN = ".memprobe"


class Store(ABC):
    """A folder of the cloud. Every method raises the SDK's errors but for what it says."""

    name = ""

    def __init__(self, client: WorkspaceClient, root: str) -> None:
        self.client = client
        self.root = root

    @property
    def on_driver(self) -> str:
        """The folder as the driver sees it."""
        return self.root

    @property
    def in_task(self) -> str:
        """The folder as a job's task names it."""
        return self.root

    @abstractmethod
    def make(self) -> None:
        """Make the folder."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Write a file."""

    @abstractmethod
    def get(self, name: str) -> bytes:
        """Return a file's content."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files; none where the folder is not there."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the folder with all that is in it; nothing where it is not there."""


class WorkspaceFiles(Store):
    """Below the user's own folder of the workspace, mounted at ``/Workspace``."""

    name = "workspace files"

    @property
    def on_driver(self) -> str:
        """The folder as the driver sees it."""
        return f"/Workspace{self.root}"

    def make(self) -> None:
        """Make the folder."""
        self.client.workspace.mkdirs(self.root)

    def put(self, name: str, content: bytes) -> None:
        """Write a file; one that looks like a notebook stays a file."""
        from databricks.sdk.service.workspace import ImportFormat

        # Before there was RAW, AUTO made a file of everything that has no notebook's first line.
        form = getattr(ImportFormat, "RAW", ImportFormat.AUTO)
        self.client.workspace.upload(f"{self.root}/{name}", content, format=form, overwrite=True)

    def put_notebook(self, name: str, content: bytes, *, jupyter: bool) -> str:
        """Import a notebook and return its path."""
        from databricks.sdk.service.workspace import ImportFormat, Language

        path = f"{self.root}/{name}"
        form = ImportFormat.JUPYTER if jupyter else ImportFormat.SOURCE
        self.client.workspace.upload(
            path, content, format=form, language=Language.PYTHON, overwrite=True
        )
        return path

    def get(self, name: str) -> bytes:
        """Return a file's content."""
        with self.client.workspace.download(f"{self.root}/{name}") as file:
            return file.read()

    def names(self) -> list[str]:
        """Return the names of the files; none where the folder is not there."""
        from databricks.sdk.errors import NotFound

        try:
            found = [str(one.path) for one in self.client.workspace.list(self.root)]
        except NotFound:
            return []
        return [one.rpartition("/")[2] for one in found]

    def remove(self) -> None:
        """Remove the folder with all that is in it; nothing where it is not there."""
        from databricks.sdk.errors import NotFound

        try:
            self.client.workspace.delete(self.root, recursive=True)
        except NotFound:
            return


class Volume(Store):
    """Below a volume of Unity Catalog that the user has named."""

    name = "the volume"

    def make(self) -> None:
        """Make the folder."""
        self.client.files.create_directory(self.root)

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        self.client.files.upload(f"{self.root}/{name}", io.BytesIO(content), overwrite=True)

    def get(self, name: str) -> bytes:
        """Return a file's content."""
        contents: Any = self.client.files.download(f"{self.root}/{name}").contents
        with contents as file:
            content: bytes = file.read()
        return content

    def names(self) -> list[str]:
        """Return the names of the files; none where the folder is not there."""
        from databricks.sdk.errors import NotFound

        try:
            return [str(one.name) for one in self.client.files.list_directory_contents(self.root)]
        except NotFound:
            return []

    def remove(self) -> None:
        """Remove the folder with all that is in it; nothing where it is not there."""
        self._remove(self.root)

    def _remove(self, folder: str) -> None:
        from databricks.sdk.errors import NotFound

        try:
            for one in list(self.client.files.list_directory_contents(folder)):
                path = str(one.path)
                if one.is_directory:
                    self._remove(path)
                else:
                    self.client.files.delete(path)
            self.client.files.delete_directory(folder)
        except NotFound:
            return


class Dbfs(Store):
    """Below ``/tmp`` of the workspace's old file system, mounted at ``/dbfs``."""

    name = "DBFS"

    @property
    def on_driver(self) -> str:
        """The folder as the driver sees it."""
        return f"/dbfs{self.root}"

    @property
    def in_task(self) -> str:
        """The folder as a job's task names it."""
        return f"dbfs:{self.root}"

    def make(self) -> None:
        """Make the folder."""
        self.client.dbfs.mkdirs(self.root)

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        self.client.dbfs.upload(f"{self.root}/{name}", io.BytesIO(content), overwrite=True)

    def get(self, name: str) -> bytes:
        """Return a file's content."""
        with self.client.dbfs.download(f"{self.root}/{name}") as file:
            return file.read()

    def names(self) -> list[str]:
        """Return the names of the files; none where the folder is not there."""
        from databricks.sdk.errors import NotFound

        try:
            found = [str(one.path) for one in self.client.dbfs.list(self.root)]
        except NotFound:
            return []
        return [one.rpartition("/")[2] for one in found]

    def remove(self) -> None:
        """Remove the folder with all that is in it; nothing where it is not there."""
        from databricks.sdk.errors import NotFound

        try:
            self.client.dbfs.delete(self.root, recursive=True)
        except NotFound:
            return


def candidates(workspace: Workspace, identity: str, volume: str) -> list[Store]:
    """Return the stores to try, the best first, each with a folder named after ``identity``.

    Raises UsageError, TargetError.
    """
    client = workspace.client
    with workspace.asked("log in"):
        user = client.current_user.me().user_name
    own = WorkspaceFiles(client, f"/Users/{user}/{HIDDEN}/{identity}")
    old = Dbfs(client, f"/tmp/{HIDDEN}/{identity}")
    if not volume:
        return [own, old]
    checked(volume)
    return [own, Volume(client, f"{volume.rstrip('/')}/{HIDDEN}/{identity}"), old]


def for_recordings(found: Sequence[Store]) -> list[str]:
    """Return where a task is to copy its recording, as the driver sees it: a named volume first.

    Task files go to the workspace first: a path of a volume is no documented place for them.
    """
    ordered = sorted(found, key=lambda store: not isinstance(store, Volume))
    return [store.on_driver for store in ordered]


def at(client: WorkspaceClient, folder: str) -> Store:
    """Return the store whose folder is ``folder``, a path as the driver or a task names it."""
    if folder.startswith("/Volumes/"):
        return Volume(client, folder)
    if folder.startswith(("/dbfs/", "dbfs:/")):
        return Dbfs(client, "/" + folder.partition("dbfs")[2].lstrip(":/"))
    return WorkspaceFiles(client, folder.removeprefix("/Workspace"))


def checked(volume: str) -> str:
    """Return a path below a volume. Raises UsageError."""
    parts = volume.strip("/").split("/")
    if volume.startswith("/Volumes/") and len(parts) >= 4 and ".." not in parts and all(parts):
        return volume
    raise UsageError(
        f"{volume} is no volume",
        cause="a volume's path is /Volumes/CATALOG/SCHEMA/NAME",
        remedy="name one that you may write to: --volume /Volumes/CATALOG/SCHEMA/NAME",
        docs=DOCS,
    )


def first_that_takes(
    workspace: Workspace, stores: Sequence[Store], make: Callable[[Store], dict[str, bytes]]
) -> Store:
    """Write what ``make`` returns for it into the first store that takes it. Raises TargetError."""
    from databricks.sdk.errors.base import DatabricksError

    causes = []
    for store in stores:
        with workspace.asked("upload files"):
            try:
                _fill(store, make(store))
            except DatabricksError as error:
                causes.append(f"{store.name}: {workspace.clean(str(error))}")
                continue
        return store
    raise TargetError(
        "the workspace takes no files",
        cause="; ".join(causes),
        remedy="name a volume that you may write to: --volume /Volumes/CATALOG/SCHEMA/NAME",
        docs=DOCS,
    )


def remove_all(workspace: Workspace, stores: Sequence[Store]) -> None:
    """Remove what was uploaded, as far as the workspace lets us."""
    for store in stores:
        with (
            contextlib.suppress(TargetError), workspace.waits.cleaning_up(),
            workspace.asked("remove what was uploaded"),
        ):  # fmt: skip
            store.remove()


def _fill(store: Store, files: dict[str, bytes]) -> None:
    store.make()
    for name, content in files.items():
        store.put(name, content)
