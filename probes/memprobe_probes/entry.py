"""Entering a Jupyter kernel through its control channel: what the request does there.

It travels as ``visiting`` says, and brings the probe's own package, from the session folder or from
the request itself.
"""

from __future__ import annotations

import os
import sys

from . import visiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "probe"  # of the session folder
_CHUNK = 1 << 22


def begin(
    config: dict[str, Any], version: str, expires: float, parts: dict[str, Any] | None
) -> None:
    """Start or join the probe of that version; ``visiting.settle`` must follow.

    ``parts`` are the probe's, for a kernel that cannot read them from the session folder.
    """

    def act(shell: Any) -> dict[str, Any]:
        try:
            _load(parts or _read(config["folder"]), version)
            return _begun(config, shell)
        finally:
            _tidy()

    visiting.begin(act, expires)


def _load(parts: dict[str, Any], version: str) -> None:
    scope: dict[str, Any] = {}
    exec(compile(parts["loader"], "<memprobe>", "exec"), scope)
    scope["_memprobe_load"](parts["texts"], version, _codes(parts))


def _read(folder: str) -> dict[str, Any]:
    """Return the parts that the session folder has, if both are this user's alone. May raise."""
    import marshal

    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened: list[int] = []
    content = b""
    try:
        opened.append(os.open(folder, flags | os.O_DIRECTORY))
        opened.append(os.open(FILE, flags, dir_fd=opened[0]))
        for one in opened:
            status = os.fstat(one)
            if status.st_uid != os.geteuid() or status.st_mode & 0o77:
                raise PermissionError("the session folder is not private")
        while part := os.read(opened[1], _CHUNK):
            content += part
    finally:
        for one in opened:
            os.close(one)
    parts: dict[str, Any] = marshal.loads(content)
    return parts


def _codes(parts: dict[str, Any]) -> dict[str, bytes]:
    """Return the modules as compiled, where this Python has that bytecode."""
    import importlib.util

    codes: dict[str, bytes] = parts.get("codes", {})
    return codes if parts.get("magic") == importlib.util.MAGIC_NUMBER else {}


def _begun(config: dict[str, Any], shell: Any) -> dict[str, Any]:
    """Start or join the probe; or do the one thing that was asked, to whatever probe is there."""
    from memprobe_probes import bootstrap  # what has just come, or was there

    if "only" in config:
        bootstrap.outlive_departure()
        told = bootstrap.command(config["only"])
        return {"ok": True, "told": told, "pid": os.getpid()}
    if config.get("courier"):
        from memprobe_probes import courier

        return courier.enter(config, shell.kernel)
    return bootstrap.start(config)


def _tidy() -> None:
    """Take the probe's modules out again where no probe is in them."""
    bootstrap: Any = sys.modules.get("memprobe_probes.bootstrap")
    if bootstrap is not None and bootstrap.active() is None and not bootstrap.leaving():
        bootstrap.leave_nothing()
