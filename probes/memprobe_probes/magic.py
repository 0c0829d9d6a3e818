"""``%load_ext memprobe`` and ``%memprobe status|report|stop``: the probe from inside a notebook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any

from . import bootstrap

USAGE = "usage: %memprobe status | report | stop"
_CLIENT = "extension"
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def load(shell: Any) -> None:
    """Start the probe (or join the one that is there) and register ``%memprobe``."""
    shell.register_magic_function(_magic, "line", "memprobe")
    _start()


def unload(shell: Any) -> None:
    """Stop the probe and take ``%memprobe`` away."""
    _drop()
    shell.magics_manager.magics["line"].pop("memprobe", None)


def _magic(line: str) -> None:
    """Say what the probe does, show the findings so far, or take the probe out."""
    verbs = {"status": _status, "": _status, "report": _report, "stop": _drop_aloud}
    verb = verbs.get(line.strip())
    print(USAGE if verb is None else verb())


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
        f"memory    {_size(rss)} resident" if rss is not None else "memory    not readable here",
        f"recording {probe.config['spool']} ({_size(cost['bytes'])})",
        f"cost      {cost['cpu_ns'] / 1e9:.2f} s CPU since it started",
    ]
    return "\n".join(lines)


def _report() -> str:
    """Take a snapshot and let a child process read and show the recording."""
    probe = bootstrap.active()
    if probe is None:
        return _status()
    probe.snapshot("request", on_user_thread=True)
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(_width())}
    done = subprocess.run(
        [sys.executable, "-m", "memprobe", "report", probe.config["spool"]],
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


def _size(count: int) -> str:
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
