"""From a Jupyter Server's address to its kernels as rows, and to the one that is meant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from memprobe import config
from memprobe.errors import TargetError
from memprobe.reporters.printable import printable
from memprobe.targets.contexts import ContextRow, KernelContext, contexts
from memprobe.targets.kernel_argv import is_remote
from memprobe.targets.server_kernels import ServerKernel, found_server, kernels, name_of
from memprobe.targets.server_url import parsed

SHORTEST_ID = 3


def listed(target: str) -> list[ContextRow]:
    """Return the kernels of the server at ``target``, those that can be attached to first.

    What runs on this machine is told with its process. Raises TargetError, UsageError.
    """
    rows, rest = _rows(target)
    return [row for row in rows if not rest or _is_meant(row, rest)]


def chosen(target: str, verb: str, doing: str) -> KernelContext:
    """Return the one kernel that ``target`` means, for ``verb``. Raises TargetError, UsageError."""
    rows, rest = _rows(target)
    shown = parsed(target).shown
    found = [row for row in rows if _is_meant(row, rest)] if rest else rows
    exact = [row for row in found if row.remote is not None and row.notebook == rest]
    found = exact or found
    if not found:
        raise _none(shown, rest, rows, verb)
    if len(found) > 1:
        raise _several(shown, found, verb)
    row = found[0]
    if not row.attachable:
        raise TargetError(
            f"cannot {doing} {row.name} on {shown}",
            cause=row.why_not, remedy=row.remedy, docs=f"verbs/{verb}.md",
        )  # fmt: skip
    return row.context()


def _rows(target: str) -> tuple[list[ContextRow], str]:
    server, rest = found_server(target, config.load().jupyter_token)
    here = {row.kernel_id: row for row in _here() if row.attachable}
    rows = [_row(kernel, here.get(kernel.kernel_id)) for kernel in kernels(server)]
    rows.sort(key=lambda row: not row.attachable)
    return rows, rest


def _here() -> list[ContextRow]:
    """Return the kernels of this machine: an id is unique, so an equal one is the same kernel."""
    if not sys.platform.startswith("linux"):
        return []
    return [row for row in contexts() if row.kind == "kernel"]


def _row(kernel: ServerKernel, here: ContextRow | None) -> ContextRow:
    name, server = name_of(kernel), parsed(kernel.server.url).shown
    if here is not None:
        notebook = kernel.notebook or here.notebook
        return replace(here, name=name, server=server, idle=kernel.idle, notebook=notebook)
    why_not, remedy = _obstacle(kernel)
    return ContextRow(
        pid=None, kind="kernel", name=name, server=server, idle=kernel.idle,
        notebook=kernel.notebook or None, kernel_id=kernel.kernel_id, language=kernel.language,
        state=kernel.state, attachable=not why_not, why_not=why_not, remedy=remedy, remote=kernel,
        method="server",
    )  # fmt: skip


def _obstacle(kernel: ServerKernel) -> tuple[str, str]:
    if kernel.state == "dead":
        return "its kernel has died", "restart it"
    if is_remote(kernel.kernel_name):
        return (
            "a Livy (sparkmagic) kernel: its code runs on another machine, not in this kernel",
            "run memprobe on the machine of the Spark driver",
        )
    if kernel.language != "Python":
        return (
            f"its cells do not run in Python but in {kernel.language}",
            "memprobe reads Python kernels only",
        )
    return "", ""


def _is_meant(row: ContextRow, rest: str) -> bool:
    if row.kernel_id == rest or (len(rest) >= SHORTEST_ID and row.kernel_id.startswith(rest)):
        return True
    wanted = PurePosixPath(rest.removesuffix(".ipynb")).parts
    parts = PurePosixPath((row.notebook or row.name).removesuffix(".ipynb")).parts
    return bool(wanted) and parts[-len(wanted) :] == wanted


def _none(shown: str, rest: str, rows: Sequence[ContextRow], verb: str) -> TargetError:
    names = ", ".join(printable(row.notebook or row.name) for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    what = f"no running kernel belongs to {printable(rest)} on its server" if rest else ""
    return TargetError(
        what or f"no kernel runs on {shown}",
        cause=f"running are: {names}{more}" if rows else "no notebook is open there",
        remedy="open the notebook there, or choose another",
        docs=f"verbs/{verb}.md",
    )


def _several(shown: str, rows: Sequence[ContextRow], verb: str) -> TargetError:
    lines = [f"{row.kernel_id[:8]}  {printable(row.notebook or row.name)}" for row in rows]
    base = (rows[0].server or shown).rstrip("/")
    return TargetError(
        f"{shown} could be {len(rows)} kernels",
        cause="to choose from are:\n           " + "\n           ".join(lines),
        remedy=f"name one by its notebook or id: memprobe {verb} {base}/{rows[0].kernel_id[:8]}",
        docs=f"verbs/{verb}.md",
    )
