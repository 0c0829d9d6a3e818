"""Execute a scenario's fix in a fresh kernel and measure what comes back.

No part of memprobe takes part: the notebook runs in a plain kernel, and the process's resident
memory is read before and after the fix, each time after a collection and a ``malloc_trim``, so
that what was freed has really been returned to the system.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nbformat
from jupyter_client.manager import start_new_kernel

from .judge import Verdict

PATIENCE = 120  # seconds for one cell

MEASURE = """
def _measure():
    import ctypes, gc, sys
    gc.collect()
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


print(_measure())
del _measure
"""


class CellFailed(Exception):
    """A cell raised that was not marked so, or the reverse."""


def measure(verdict: Verdict) -> None:
    """Run the leaky notebook and its fix; note the bytes that came back, or the trouble."""
    case = verdict.case
    book = nbformat.read(case.path, as_version=4)
    try:
        with kernel() as client:
            for cell in (cell for cell in book.cells if cell.cell_type == "code"):
                execute(
                    client, cell.source, fails="raises-exception" in cell.metadata.get("tags", ())
                )
            before = resident(client)
            execute(client, case.scenario.fix)
            verdict.measured = before - resident(client)
    except (CellFailed, TimeoutError) as trouble:
        verdict.fix_trouble = str(trouble)


@contextmanager
def kernel() -> Iterator[Any]:
    """Start a kernel and give its client; the kernel ends with the block."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def resident(client: Any) -> int:
    """Return the kernel's resident bytes, freed memory returned to the system first."""
    return int(execute(client, MEASURE, counts=False))


def execute(client: Any, source: str, *, fails: bool = False, counts: bool = True) -> str:
    """Run one cell and return what it printed; ``counts``: as a cell with a number.

    Raises ``CellFailed`` where it raises and should not, or should and does not.
    """
    printed: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(
        source, timeout=PATIENCE, store_history=counts, output_hook=keep
    )["content"]
    if (reply["status"] == "error") != fails:
        said = reply.get("ename", "no error")
        raise CellFailed(f"{said} in {source.strip().splitlines()[0]!r}")
    return "".join(printed)
