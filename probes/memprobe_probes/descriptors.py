"""File descriptors of the probe: out of the program's way, and never mistaken for the program's.

The next file a program opens must get the number it would get without us, and a program that
closes descriptors it does not know (a daemon) may be given our number for a file of its own.
"""

from __future__ import annotations

import os
import stat

try:
    import fcntl
    import resource
except ImportError:  # not a POSIX system
    fcntl = resource = None  # type: ignore[assignment]

HIGHEST = 1024  # a usual soft limit
ROOM = 24  # numbers below the limit that we may take


def out_of_the_way(fd: int) -> int:
    """Move ``fd`` to a high number, close-on-exec; return the new number, or ``fd`` as it is."""
    if fcntl is None or fd < 0:
        return fd
    try:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        low = HIGHEST if limit < 0 else min(limit, HIGHEST)
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(low - ROOM, 3))
    except (OSError, ValueError):
        return fd
    os.close(fd)
    return moved


def identity(fd: int) -> tuple[int, int, int] | None:
    """Return what tells the open file of ``fd`` from others; None where it is not open."""
    try:
        facts = os.fstat(fd)
    except OSError:
        return None
    return stat.S_IFMT(facts.st_mode), facts.st_dev, facts.st_ino


def close_own(fd: int, own: tuple[int, int, int] | None) -> None:
    """Close ``fd`` if it still is the file that had the identity ``own``. Never raises."""
    if fd < 0 or own is None or identity(fd) != own:
        return
    try:
        os.close(fd)
    except OSError:
        pass
