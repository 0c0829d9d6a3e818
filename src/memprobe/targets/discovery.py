"""From what a user types to the one context that is meant.

A target is a PID, a connection file, a kernel id or an unambiguous beginning of one, or a
notebook: its path, its name, either without ``.ipynb``, or the end of its path. The address of a
Jupyter Server, with a notebook's path or a kernel id after it, is read by ``server_choice``, and
``databricks:CLUSTER[/NOTEBOOK]`` by ``databricks.notebooks``.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from memprobe.databricks import address
from memprobe.errors import TargetError, UsageError
from memprobe.reporters.amounts import size
from memprobe.reporters.printable import printable
from memprobe.targets import obstacles, server_url
from memprobe.targets.contexts import (
    ContextRow,
    KernelContext,
    contexts,
    look_around,
    plain_row,
)
from memprobe.targets.obstacles import Obstacle
from memprobe.targets.processes import Process, read_processes, status_fields

__all__ = ["ContextRow", "KernelContext", "contexts", "resolve"]

_DOCS = "verbs/attach.md"
_SHORTEST_ID = 3
_LISTS = "memprobe ps lists every kernel with its PID"


@dataclass(frozen=True)
class Asked:
    """What a verb can work on: kernels, with ``scripts`` also scripts that are being recorded."""

    verb: str = "attach"
    scripts: bool = False

    def takes(self, row: ContextRow) -> bool:
        """Whether the verb can work on ``row``."""
        return row.attachable or (self.scripts and row.is_recorded_script)

    @property
    def doing(self) -> str:
        """What the verb does, as the middle of a sentence."""
        known = {"attach": "attach to", "release": "let go of anything in"}
        return known.get(self.verb, f"take a {self.verb} of")

    @property
    def docs(self) -> str:
        """The verb's page."""
        return f"verbs/{self.verb}.md"


def resolve(target: str | None = None, asked: Asked = Asked()) -> KernelContext:
    """Return the context that ``target`` means; with None, let a person at a terminal choose.

    A kernel; where ``asked`` takes scripts too, also one of those: it has no connection file.
    Raises TargetError, with cause and remedy, where nothing or more than one thing matches, and
    where the verb cannot work on the match.
    """
    if not target:
        return _choose(asked)
    if server_url.is_url(target):
        from memprobe.targets import server_choice

        return server_choice.chosen(target, asked.verb, asked.doing)
    if address.is_databricks(target):
        from memprobe.databricks import notebooks

        return notebooks.chosen(target, asked.verb, asked.doing, _say)
    _refuse_remote(target)
    rows = contexts()
    matches = _matches(target, rows, asked) or _by_pid(target, rows)
    if not matches:
        raise _unknown(target, rows, asked)
    if len(matches) > 1:
        raise _ambiguous(target, matches, asked)
    return _entered(target, matches[0], asked)


def _refuse_remote(target: str) -> None:
    if "://" in target:
        raise UsageError(
            f"cannot reach {target}",
            cause="an address that is not http or https as target is not in this version",
            remedy="run memprobe on the machine where the kernel runs: memprobe ps",
            docs=_DOCS,
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _matches(target: str, rows: Sequence[ContextRow], asked: Asked) -> list[ContextRow]:
    """Return what the first reading of ``target`` that finds anything finds."""
    path = os.path.realpath(os.path.expanduser(target))
    live = [row for row in rows if row.pid is not None]
    readings: list[Callable[[ContextRow], bool]] = [
        # `memprobe run` itself stands for its script, before it is a process of Python's too.
        lambda row: row.is_recorded_script and str(row.parent) == target,
        lambda row: target.isdecimal() and row.pid == int(target),
        lambda row: (
            bool(row.connection_file) and os.path.realpath(str(row.connection_file)) == path
        ),
        lambda row: row.kernel_id == target,
        lambda row: (
            bool(row.notebook) and _same_notebook(path, os.path.realpath(row.notebook or ""))
        ),
        lambda row: _ends_with(row.notebook or row.name, target),
        lambda row: row.kind == "python" and row.name == os.path.basename(target),
        lambda row: len(target) >= _SHORTEST_ID and row.kernel_id.startswith(target),
    ]
    for candidates in (live, rows):  # what has ended is named only where nothing alive is meant
        for reading in readings:
            found = [
                row
                for row in candidates
                if (row.kind != "python" or asked.takes(row)) and reading(row)
            ]
            if found:
                return found
    return []


def _by_pid(target: str, rows: Sequence[ContextRow]) -> list[ContextRow]:
    """Return the process of a PID that was not listed: too small, or Python in another program."""
    if not target.isdecimal() or any(row.pid == int(target) for row in rows):
        return []
    process = read_processes().by_pid.get(int(target))
    if process is None or process.pid == os.getpid():
        return []
    row = plain_row(process, look_around())
    return [row] if row.attachable or process.is_python else []


def _same_notebook(one: str, other: str) -> bool:
    return one.removesuffix(".ipynb") == other.removesuffix(".ipynb")


def _ends_with(notebook: str, target: str) -> bool:
    """Tell whether ``target`` is the last parts of a notebook's path, whole names only."""
    wanted = Path(target.removesuffix(".ipynb")).parts
    parts = Path(notebook.removesuffix(".ipynb")).parts
    return bool(wanted) and parts[-len(wanted) :] == wanted


def _entered(target: str, row: ContextRow, asked: Asked) -> KernelContext:
    if not asked.takes(row):
        raise _refused(target, Obstacle(row.why_not, row.remedy), asked)
    return row.context()


def _refused(target: str, obstacle: Obstacle, asked: Asked) -> TargetError:
    what = f"process {target}" if target.isdecimal() else target
    return TargetError(
        f"cannot {asked.doing} {what}", cause=obstacle.why, remedy=obstacle.remedy, docs=asked.docs
    )


def _ambiguous(target: str, matches: Sequence[ContextRow], asked: Asked) -> TargetError:
    """Return the error that lists ``matches``; ``target`` is empty where none was given."""
    lines = [f"{row.pid}  {_named(row)}  ({_kind(row)})" for row in matches]
    kinds = "contexts" if any(row.kind == "python" for row in matches) else "kernels"
    what = f"{target} could be {len(matches)} {kinds}"
    if not target:
        what = f"{len(matches)} {kinds} run here, and no TARGET says which"
    return TargetError(
        what,
        cause="to choose from are:\n           " + "\n           ".join(lines),
        remedy=f"name one by its PID: memprobe {asked.verb} {matches[0].pid}",
        docs=asked.docs,
    )


def _kind(row: ContextRow) -> str:
    return "script" if row.kind == "python" else f"kernel {printable(row.kernel_id)}"


def _named(row: ContextRow) -> str:
    """Return a notebook's name so that it cannot look like another line or move the cursor."""
    return printable(row.notebook or row.name)


def _unknown(target: str, rows: Sequence[ContextRow], asked: Asked) -> TargetError:
    if target.isdecimal():
        return _unknown_pid(int(target), asked)
    file = Path(os.path.expanduser(target))
    there = os.path.exists(file)  # Path.exists() would raise for a name that is too long
    if file.suffix == ".json" and there:
        return _unserved_file(target, file, asked)
    names = [row.name for row in rows if row.kind == "kernel" or asked.takes(row)]
    close = difflib.get_close_matches(os.path.basename(target), names, n=1)
    exists = " (the file is there, but no running kernel belongs to it)" if there else ""
    return TargetError(
        f"there is no running kernel {target}",
        cause=_what_runs(names) + exists,
        remedy=f"did you mean {close[0]}?" if close else _LISTS,
        docs=asked.docs,
    )


def _what_runs(names: Sequence[str]) -> str:
    if not names:
        return "no Jupyter kernel runs on this machine"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return "running are: " + ", ".join(names[:5]) + more


def _unserved_file(target: str, file: Path, asked: Asked) -> TargetError:
    from memprobe.targets.kernel_argv import is_connection_file

    if is_connection_file(file):
        return _refused(target, obstacles.of_left_over(file), asked)
    return TargetError(
        f"{target} is no connection file",
        cause="it does not hold a kernel's ports",
        remedy=_LISTS,
        docs=asked.docs,
    )


def _unknown_pid(pid: int, asked: Asked) -> TargetError:
    process = read_processes().by_pid.get(pid)
    obstacle = _hidden_or_gone(pid) if process is None else _obstacle(process)
    return _refused(str(pid), obstacle, asked)


def _obstacle(process: Process) -> Obstacle:
    way = obstacles.way_into(process) if process.is_python else None
    return way if isinstance(way, obstacles.Obstacle) else obstacles.of_program(process)


def _hidden_or_gone(pid: int) -> Obstacle:
    """Tell why a PID is not in the table of processes."""
    status = status_fields(pid)
    owner = status.get("Tgid", str(pid))
    if owner != str(pid):
        return Obstacle(f"{pid} is a thread of process {owner}", f"name that: {owner}")
    if not status and _exists(pid):
        return obstacles.not_ours(pid, None)
    return Obstacle("there is no such process (it may have ended)", _LISTS)


def _exists(pid: int) -> bool:
    """Ask without /proc, which may hide other users' processes (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0


def _choose(asked: Asked) -> KernelContext:
    """Let a person pick one of the contexts that the verb can work on."""
    rows = [row for row in contexts() if asked.takes(row)]
    meant = [row for row in rows if row.kind == "kernel" or row.is_recorded_script]
    if len(meant) == 1:
        return meant[0].context()
    rows = meant or rows  # a plain process is entered only where somebody has named it
    if not rows:
        raise TargetError(
            f"there is nothing to {asked.doing}",
            cause="no Jupyter kernel that can be attached to runs on this machine",
            remedy="open a notebook, or start a script under memprobe: memprobe run SCRIPT.py",
            docs=asked.docs,
        )
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise _ambiguous("", rows, asked)
    return rows[_ask(rows, asked)].context()


def _facts(row: ContextRow) -> str:
    memory = size(row.rss) if row.rss is not None else ""
    return " ".join(filter(None, [memory, row.state if row.state != "unknown" else ""]))


def _ask(rows: Sequence[ContextRow], asked: Asked) -> int:
    for number, row in enumerate(rows, 1):
        print(f"{number:3}  {row.pid:>8}  {_facts(row):>20}  {_named(row)}", file=sys.stderr)
    while True:
        print(f"{asked.doing} which (1-{len(rows)})? ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise UsageError("no target was chosen", remedy=f"memprobe {asked.verb} PID")
        if answer.strip().isdecimal() and 1 <= int(answer) <= len(rows):
            return int(answer) - 1
