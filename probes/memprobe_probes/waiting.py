"""Since which cell a thread or a task waits where it waits now.

Looked at after every cell. Of a thread the top frame, its place and how often and how long the
system let it run are remembered, of a task the future it waits for, by a weak reference: one that
was woken meanwhile, if only to wait again, waits anew.
"""

from __future__ import annotations

import sys
import weakref

from . import sizes, tasks
from .callbacks import Registered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 64  # threads and tasks each
_NOT_THE_USERS = ("ipykernel", "IPython", "tornado", "zmq", "memprobe_probes", "debugpy")


class Waiting:
    """Remembers places, and since which cell each has been the same."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], tuple[Any, int | None]] = {}
        self.callbacks = Registered()

    def look(self, cell: int | None, shell: Any = None) -> None:
        """Note where everything waits after ``cell``; what went on since starts anew."""
        self.callbacks.look(cell, shell)
        now: dict[tuple[str, int], tuple[Any, int | None]] = {}
        for key, place in [*_threads(), *_tasks()]:
            before = self._places.get(key)
            now[key] = before if before is not None and _same(before[0], place) else (place, cell)
        self._places = now

    def since_of_task(self, task: Any) -> int | None:
        """Return the cell after which the task was first seen where it is, or None."""
        return self._since(("task", id(task)), _place_of_task(task))

    def since_of_thread(self, ident: int) -> int | None:
        """Return the cell after which the thread was first seen where it is, or None."""
        return self._since(("thread", ident), dict(_threads()).get(("thread", ident)))

    def _since(self, key: tuple[str, int], place: Any) -> int | None:
        known = self._places.get(key)
        return known[1] if known is not None and _same(known[0], place) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two places are one; of a future there is but one weak reference."""
    return one is not None and (one is other or (type(one) is tuple and one == other))


def _tasks() -> list[tuple[tuple[str, int], Any]]:
    return [(("task", id(one)), _place_of_task(one)) for one in tasks.pending()[:_MOST]]


def _place_of_task(task: Any) -> Any:
    future = tasks.waits_for(task)
    try:
        return None if future is None else weakref.ref(future)
    except TypeError:
        return None


def _threads() -> list[tuple[tuple[str, int], Any]]:
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    main = threading.main_thread()
    found: list[tuple[tuple[str, int], Any]] = []
    frame, current = None, sys._current_frames()
    for ident, thread in list(threading._active.items())[:_MOST]:
        if thread is main or sizes.module_of(type(thread)).startswith(_NOT_THE_USERS):
            continue
        frame, switches = current.get(ident), _switches(thread)
        if frame is not None and switches is not None:
            found.append((("thread", ident), (id(frame), frame.f_lasti, switches)))
    frame = None
    current.clear()  # this function's own frame is in it
    return found


def _switches(thread: Any) -> bytes | None:
    """Return what changes whenever the thread runs; None where not known.

    How often it gave up its core of its own accord, and how long it has had one: a thread deep in
    a library's own code does the second only.
    """
    native = (sizes.instance_dict(thread) or {}).get("_native_id")
    text = _read(f"/proc/self/task/{native}/status")
    start = text.find(b"\nvoluntary_ctxt_switches:")
    if start < 0:
        return None
    busy = _read(f"/proc/self/task/{native}/schedstat").partition(b" ")[0]
    return text[start:].split(None, 2)[1] + b" " + busy


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
