"""``%load_ext memprobe``, ``%memprobe VERB``, ``%%memprobe``: the probe from inside a notebook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from . import bootstrap, notebook
from .cell_magic import MeasuredCells
from .cell_report import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLIENT = "extension"
_cells: MeasuredCells | None = None


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
    verb = _VERBS.get(line.strip() or "status")
    print(USAGE if verb is None else verb())


def _complete(shell: Any, event: Any) -> list[str]:
    return [*_VERBS, "graph", "release"]


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
    ]
    return "\n".join(lines)


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
    probe.snapshot("request", on_user_thread=True)
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(_width())}
    done = subprocess.run(
        [sys.executable, "-m", "memprobe", "report", *options, probe.config["spool"]],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return (done.stdout or done.stderr).rstrip()


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
    return f"memprobe has stopped; the recording is {spool}"


def _width() -> int:
    return min(110, max(80, shutil.get_terminal_size((100, 24)).columns))


_VERBS = {"status": _status, "report": _report, "snapshot": _snapshot, "stop": _drop_aloud}
USAGE = "usage: %memprobe " + " | ".join([*_VERBS, "graph NAME", "release FINGERPRINT…"])
