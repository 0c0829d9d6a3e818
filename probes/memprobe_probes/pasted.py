"""The probe in a notebook that cannot be entered from outside: its user has pasted a cell with it.

``begin`` is what the cell calls; ``end`` takes the probe out and copies the recording, as one whole
file, to where it can be fetched from. Both return what the cell prints.
"""

from __future__ import annotations

import os
import shutil

from . import bootstrap, courier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLIENT = "pasted"
_END = '__import__("memprobe_probes.pasted").pasted.end(FOLDER)'


def begin(config: dict[str, Any]) -> str:
    """Start the probe, or join the one that is there; say how to end it. May raise."""
    if bootstrap.active() is not None:
        bootstrap.start({"client": _CLIENT})
        return f"a probe was here already; to end ours: {_END}"
    bootstrap.outlive_departure()
    folder = bootstrap.new_session_folder()
    try:
        walker = courier._unpacked(config.get("walker"), folder)
        bootstrap.start({**config, "folder": folder, "walker": walker, "client": _CLIENT})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return (
        "memprobe records this notebook. To end that and to keep the recording, run\n"
        f"  print({_END})\n"
        'with a FOLDER that you can fetch files from, such as "/Volumes/CATALOG/SCHEMA/VOLUME"\n'
        'or "/Workspace/Users/YOU"; then, where memprobe is installed: memprobe report FILE'
    )


def end(folder: str) -> str:
    """Take a last snapshot, take the probe out, and copy the recording into ``folder``."""
    probe = bootstrap.active()
    if probe is None:
        return "memprobe is not in this notebook"
    spool = str(probe.config["spool"])
    target = os.path.join(folder, f"memprobe-notebook.{os.getpid()}.memprobe")
    if not os.path.isdir(folder):
        return f"{folder} is no folder here: the probe goes on recording"
    bootstrap.command({"verb": "detach", "args": {"client": _CLIENT, "last_snapshot": True}})
    bootstrap.wait_for_departure()
    try:
        shutil.copyfile(spool, target)
    except OSError as error:
        return f"{target} cannot be written ({error.strerror}); the recording is {spool}"
    shutil.rmtree(os.path.dirname(spool), ignore_errors=True)  # our session folder
    return f"memprobe has stopped; the recording is {target}"
