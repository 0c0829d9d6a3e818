"""Writing a file so that nobody ever reads half of it, and a full disk leaves the former one."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile


def write_whole(path: str, content: bytes) -> None:
    """Write ``content`` to ``path``: a regular file is replaced at once, a device is written to.

    The file keeps its permissions, or has those of a new one; a link keeps leading to it. Raises
    OSError or ValueError as ``open`` does.
    """
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = None
    folder = os.path.dirname(target)
    if mode is not None and (not stat.S_ISREG(mode) or not os.access(folder, os.W_OK)):
        _write_in_place(target, content)
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, os.strerror(13))
    _replace(target, content, _new_mode() if mode is None else stat.S_IMODE(mode))


def _replace(target: str, content: bytes, mode: int) -> None:
    name = f".{os.path.basename(target)[:40]}-"
    descriptor, beside = tempfile.mkstemp(prefix=name, dir=os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(beside, mode)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _write_in_place(target: str, content: bytes) -> None:
    with open(target, "wb") as file:
        file.write(content)


def _new_mode() -> int:
    """Return the permissions of a file that ``open`` would make."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
