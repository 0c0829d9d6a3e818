"""``%load_ext memprobe``, ``%memprobe VERB``, ``%%memprobe``: the probe from inside a notebook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from . import bootstrap, copies, notebook
from .cell_magic import MeasuredCells
from .cell_report import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLIENT = "extension"
_MISSED = "memprobe: no snapshot could be taken now; what follows is of the one before\n"
_cells: MeasuredCells | None = None
_copy: copies.Copy | None = None  # of the recording, to where the user wants to keep it


def load(shell: Any) -> None:
    """Start the probe (or join the one that is there) and register the magics."""
    global _cells
    shell.register_magic_function(_magic, "line", "memprobe")
    shell.set_hook("complete_command", _complete, str_key="%memprobe")
    _cells = MeasuredCells(shell)
    _cells.install()
    _start()


def unload(shell: Any) -> None:
    """Stop the probe and take the magics away."""
    global _cells
    _drop()
    _end_copy()
    shell.magics_manager.magics["line"].pop("memprobe", None)
    shell.strdispatchers["complete_command"].strs.pop("%memprobe", None)
    if _cells is not None:
        _cells.remove()
        _cells = None


def _magic(line: str) -> None:
    """Say what the probe does, who holds what, the findings so far, or take the probe out."""
    word, _, rest = line.strip().partition(" ")
    if word == "graph":
        _graph(rest.strip())
        return
    if word == "release":
        print(_release(rest.split()))
        return
    if word == "save":
        print(_save(rest.strip().strip("'\"")))
        return
    verb = _VERBS.get(line.strip() or "status")
    _show(USAGE if verb is None else verb())


def _show(text: str) -> None:
    """Show a report: on Databricks through its ``displayHTML``, else as text."""
    shell = notebook.running_shell()
    rich = shell.user_ns.get("displayHTML") if shell is not None else None
    if not callable(rich):
        print(text)
        return
    from . import ansi_html

    rich(ansi_html.page(text))


def _complete(shell: Any, event: Any) -> list[str]:
    return [*_VERBS, "graph", "release", "save"]


def _start() -> None:
    if bootstrap.active() is not None:
        bootstrap.start({"client": _CLIENT})
        return
    folder = bootstrap.new_session_folder()
    path = os.environ.get("JPY_SESSION_NAME", "")
    bootstrap.start(
        {
            "context": "notebook", "method": "extension", "folder": folder, "thread": True,
            "program": os.path.basename(path) or "notebook", "client": _CLIENT,
        }
    )  # fmt: skip


def _status() -> str:
    probe = bootstrap.active()
    if probe is None:
        return "memprobe: no probe in this notebook; %reload_ext memprobe starts one"
    cost = probe.governor.report(probe.recorder.written)
    rss = probe.counters.rss()
    lines = [
        f"memprobe is measuring this notebook every {probe.interval:g} s",
        f"memory    {size(rss)} resident" if rss is not None else "memory    not readable here",
        f"recording {probe.config['spool']} ({size(cost['bytes'])})",
        f"cost      {cost['cpu_ns'] / 1e9:.2f} s CPU since it started",
        *_of_copy(),
    ]
    return "\n".join(lines)


def _of_copy() -> list[str]:
    if _copy is None:
        return []
    state = f"not copied: {_copy.failed}" if _copy.failed else "whole when the probe stops"
    return [f"saved to  {_copy.path} ({state}; until then {_copy.folder})"]


def _save(path: str) -> str:
    """Copy the recording to ``path`` from now on, in whole files, and the whole at the end."""
    global _copy
    probe = bootstrap.active()
    if probe is None:
        return _status()
    if not path:
        return "usage: %memprobe save /Volumes/CATALOG/SCHEMA/VOLUME/NAME.memprobe"
    if _copy is not None:
        return f"memprobe: the recording is saved to {_copy.path} already"
    try:
        _copy = copies.Copy(str(probe.config["spool"]), path)
    except OSError as error:
        return f"memprobe: cannot save to {path}: {error.strerror or error}"
    bootstrap.at_last.append(_end_copy)
    return "\n".join(_of_copy())


def _end_copy() -> str:
    """Complete the copy, if there is one; return where it is, or why it is not."""
    global _copy
    copy, _copy = _copy, None
    if copy is None:
        return ""
    bootstrap.at_last.remove(_end_copy)
    if copy.finish():
        return f"; saved to {copy.path}"
    return f"; not saved to {copy.path}: {copy.failed}"


def _report() -> str:
    """Take a snapshot and let a child process read and show the recording."""
    return _shown()


def _snapshot() -> str:
    """Take a snapshot and let a child process show who holds what."""
    return _shown("--holders")


def _graph(name: str) -> None:
    """Show what keeps one live object."""
    from . import graph_magic

    graph_magic.show(notebook.running_shell(), name)


def _release(words: list[str]) -> str:
    """Let go of what findings name."""
    from . import release_magic

    probe = bootstrap.active()
    return _status() if probe is None else release_magic.run(probe, words, _width())


def _shown(*options: str) -> str:
    probe = bootstrap.active()
    if probe is None:
        return _status()
    missed = "" if probe.snapshot("request", on_user_thread=True) else _MISSED
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(_width())}
    done = subprocess.run(
        [sys.executable, "-m", "memprobe", "report", *options, probe.config["spool"]],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return missed + (done.stdout or done.stderr).rstrip()


def _drop() -> None:
    """Drop this notebook's own lease; somebody who is attached from outside stays."""
    bootstrap.command({"verb": "detach", "args": {"client": _CLIENT}})
    bootstrap.wait_for_departure()


def _drop_aloud() -> str:
    probe = bootstrap.active()
    if probe is None:
        return _status()
    spool = probe.config["spool"]
    _drop()
    return f"memprobe has stopped; the recording is {spool}{_end_copy()}"


def _width() -> int:
    return min(110, max(80, shutil.get_terminal_size((100, 24)).columns))


_VERBS = {"status": _status, "report": _report, "snapshot": _snapshot, "stop": _drop_aloud}
USAGE = "usage: %memprobe " + " | ".join(
    [*_VERBS, "graph NAME", "release FINGERPRINT…", "save FILE"]
)
