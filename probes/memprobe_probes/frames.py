"""Locals of frames, read without leaving anything behind.

Up to Python 3.12 ``frame.f_locals`` of a function copies the locals into a dict that stays
attached to the frame: it would keep every local alive until the function returns, and it is the
same dict that ``locals()`` gave the user. So it is read only where nobody can have asked for it,
and emptied at once if nobody else holds it. From 3.13 on it is a proxy and reading is free.
"""

from __future__ import annotations

import gc
import itertools
import sys
from _collections import deque  # type: ignore[import-not-found]
from types import CodeType, FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OPTIMIZED = 0x1  # CO_OPTIMIZED: a function's frame, whose locals are no dict of their own
_PROXY = sys.version_info >= (3, 13)
# A function that mentions one of these may hold the dict that f_locals would refresh.
_ASKS_FOR_LOCALS = frozenset({"locals", "vars", "eval", "exec", "dir", "_getframe", "f_locals"})


def is_function(frame: FrameType) -> bool:
    """Whether the frame belongs to a function, not to a module, class body or cell."""
    return bool(frame.f_code.co_flags & _OPTIMIZED)


def readable(code: CodeType) -> bool:
    """Whether reading the locals of a frame of this code leaves no trace."""
    return _PROXY or _ASKS_FOR_LOCALS.isdisjoint(code.co_names)


def function_locals(frame: FrameType) -> dict[str, Any] | None:
    """Return the locals of a function's frame, or None where reading would be felt."""
    if not is_function(frame) or not readable(frame.f_code):
        return None
    if _PROXY:
        return dict(frame.f_locals)
    if frame.f_trace is not None or _has_locals_dict(frame):
        return None
    attached = frame.f_locals
    found = dict(attached)
    _clear_if_ours(attached)
    return found


def name_of_local(frame: FrameType, value: object) -> str | None:
    """Return the name under which ``frame`` holds ``value``, where that can be read."""
    names = _present_locals(frame) or function_locals(frame) or {}
    return next((name for name, held in dict.items(names) if held is value), None)


def is_locals_dict(frame: FrameType, value: object) -> bool:
    """Whether ``value`` is the dict of locals that somebody left attached to ``frame``."""
    return value is _present_locals(frame)


def _has_locals_dict(frame: FrameType) -> bool:
    """Whether somebody asked for this frame's locals before (visible for ended frames)."""
    return _present_locals(frame) is not None


def _present_locals(frame: FrameType) -> dict[str, Any] | None:
    """Return the dict of locals that somebody (IPython's traceback, a debugger) left attached.

    Looking at it as it is refreshes nothing.
    """
    code = frame.f_code
    plain = set(code.co_varnames) | set(code.co_cellvars) | set(code.co_freevars)
    for referent in gc.get_referents(frame):
        if type(referent) is not dict or not referent:
            continue
        if referent is frame.f_globals or referent is frame.f_builtins:
            continue
        if plain.issuperset(key for key in referent if type(key) is str):
            return referent
    return None


def _clear_if_ours(attached: dict[str, Any]) -> None:
    """Empty the dict if only the frame and we hold it.

    Count and clear happen inside one C call, so no other thread can take the dict in between.
    """
    targets = [attached]
    ours = map(_SOLE.__ge__, map(sys.getrefcount, targets))
    deque(map(dict.clear, itertools.compress(targets, ours)), maxlen=0)


def _count_as_above(attached: dict[str, Any]) -> int:
    """Count the references ``_clear_if_ours`` would see, by the same calls."""
    targets = [attached]
    seen: list[int] = []
    ours = map(seen.append, map(sys.getrefcount, targets))
    deque(map(dict.clear, itertools.compress(targets, ours)), maxlen=0)
    return seen[0]


def _calibrate() -> int:
    """Return the count of a dict that only a frame holds beside us."""

    def suspended() -> Any:
        yield

    generator = suspended()
    next(generator)
    attached = generator.gi_frame.f_locals
    return _count_as_above(attached)


_SOLE = 0 if _PROXY else _calibrate()
