"""A plain kernel that runs a notebook's cells: no part of memprobe takes part in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import nbformat
from jupyter_client.manager import start_new_kernel

PATIENCE = 120  # seconds for one cell


class CellFailed(Exception):
    """A cell raised that was not marked so, or the reverse."""


@contextmanager
def kernel(env: dict[str, str] | None = None, cwd: str | None = None) -> Iterator[Any]:
    """Start a kernel and give its client; the kernel ends with the block."""
    settings = {"env": env or dict(os.environ), "cwd": cwd, "stdout": DEVNULL, "stderr": DEVNULL}
    manager, client = start_new_kernel(kernel_name="python3", **settings)
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run_cells(client: Any, notebook: Path) -> None:
    """Run every code cell. Raises ``CellFailed`` where one does not end as it is marked."""
    book = nbformat.read(notebook, as_version=4)
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        execute(client, cell.source, fails="raises-exception" in cell.metadata.get("tags", ()))


def execute(client: Any, source: str, *, fails: bool | None = False, counts: bool = True) -> str:
    """Run one cell and return what it printed; ``counts``: as a cell with a number.

    Raises ``CellFailed`` where it raises and should not, or should and does not; with None both
    are right.
    """
    printed: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(
        source, timeout=PATIENCE, store_history=counts, output_hook=keep
    )["content"]
    if fails is not None and (reply["status"] == "error") != fails:
        said = reply.get("ename", "no error")
        raise CellFailed(f"{said} in {source.strip().splitlines()[0]!r}")
    return "".join(printed)
