"""Starts what ``memprobe run --memray`` and ``--tracemalloc`` ask for, and stops only that.

Both slow allocation. memray writes a log of its own, beside the recording, which the host reads;
it brings modules along that stay loaded, because threads that start later must find its hooks.
"""

from __future__ import annotations

import os
import sys

from . import allocation_sites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_tracker: Any = None
_traced_by_us = False
_owner = 0


def start(config: dict[str, Any]) -> str | None:
    """Start what ``config`` asks for; return why not, or None. Never raises.

    ``memray`` is ``{"file", "native"}``: a file that exists, is ours alone and empty.
    ``tracemalloc`` is a number of frames; somebody else's tracing stays as it is.
    """
    global _owner
    _owner = os.getpid()
    try:
        if config.get("memray"):
            _start_memray(config["memray"])
        if config.get("tracemalloc"):
            _start_tracemalloc(int(config["tracemalloc"]))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def stop_log() -> None:
    """End memray's log, so that what is measured after this is not in it. Safe to call twice."""
    global _tracker
    tracker, _tracker = _tracker, None
    if tracker is not None and os.getpid() == _owner:
        tracker.__exit__(None, None, None)


def stop() -> None:
    """Stop all that ``start`` started, in the process that started it."""
    global _traced_by_us
    stop_log()
    allocation_sites.places_wanted = False
    if _traced_by_us and os.getpid() == _owner:
        sys.modules["_tracemalloc"].stop()
    _traced_by_us = False


def _start_memray(wish: dict[str, Any]) -> None:
    global _tracker
    import memray

    # Not compressed at the end: the program would wait for it, and the copy be readable to all.
    destination = memray.FileDestination(wish["file"], overwrite=True, compress_on_exit=False)
    tracker = memray.Tracker(
        destination=destination, native_traces=bool(wish.get("native")), follow_fork=False
    )
    tracker.__enter__()
    _tracker = tracker
    allocation_sites.places_wanted = True


def _start_tracemalloc(frames: int) -> None:
    global _traced_by_us
    import _tracemalloc

    if not _tracemalloc.is_tracing():
        _tracemalloc.start(frames)
        _traced_by_us = True
