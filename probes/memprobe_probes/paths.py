"""Names for the edges of a retention path, for the few paths that a snapshot reports."""

from __future__ import annotations

import itertools
import sys
import types

from . import frames, places, sizes
from .walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VIA = {
    id(types.TracebackType): "traceback",
    id(types.FrameType): "frame",
    id(types.CellType): "closure",
    id(types.GeneratorType): "suspended-frame",
    id(types.CoroutineType): "suspended-frame",
    id(types.AsyncGeneratorType): "suspended-frame",
}
_OWN_FRAME = "gi_frame"


def path_to(walk: Walk, node: int) -> tuple[list[dict[str, str]], list[str]]:
    """Return the steps from a root to ``node`` and the kinds of holder met on the way."""
    chain = [node]
    while walk.parents[chain[-1]] >= 0 and len(chain) < 60:
        chain.append(walk.parents[chain[-1]])
    chain.reverse()
    objects = [walk.objects[step] for step in chain]
    return named_steps(objects), kinds_on_the_way(objects)


def kinds_on_the_way(objects: list[Any]) -> list[str]:
    """Return the kinds of holder among the objects of a path: traceback, frame, closure."""
    via: list[str] = []
    if any(_raised_for(above, below) for above, below in itertools.pairwise(objects)):
        via.append("traceback")
    for one in objects:
        kind = _VIA.get(id(type(one)))
        if kind and kind not in via:
            via.append(kind)
    return via


def named_steps(objects: list[Any]) -> list[dict[str, str]]:
    """Return the steps from the first of ``objects`` to the last; None is native memory."""
    return [
        {"edge": edge, "type": "buffer" if below is None else sizes.type_name(type(below))}
        for edge, below in named_edges(objects)
    ]


def named_edges(objects: list[Any]) -> list[tuple[str, Any]]:
    """Return each edge between ``objects`` with what it leads to.

    The dict of an object's attributes or of a frame's locals is no step of its own, nor is the
    frame of a generator, which is an object up to Python 3.10 only.
    """
    found: list[tuple[str, Any]] = []
    for above, below in itertools.pairwise(objects):
        edge = edge_name(above, below)
        last = found[-1][0] if found else ""
        if last in ("__dict__", "f_locals", _OWN_FRAME):
            found.pop()
        if last in ("__dict__", "f_locals"):
            edge = ("." if last == "__dict__" else "") + key_of(above, below)
        found.append((edge, below))
    return found


def _raised_for(above: Any, below: Any) -> bool:
    """Whether an exception that was caught keeps what it complains of, as ``AttributeError.obj``.

    The frames that it keeps mostly lead there too, by a longer way. What the user's code stored
    in the exception is another thing.
    """
    if below is None or BaseException not in sizes.mro(type(above)):
        return False
    slots = vars(BaseException)
    own = (slots[name].__get__(above) for name in _BUILT_IN_EDGES[id(BaseException)])
    stored = below is sizes.instance_dict(above) or any(below is one for one in own)
    return slots["__traceback__"].__get__(above) is not None and not stored


def edge_name(above: Any, below: Any) -> str:
    """Return how ``above`` refers to ``below``: names, indices, never keys of user dicts."""
    if below is None:
        return "data"
    cls = type(above)
    if cls is list or cls is tuple:
        position = places.position(above, id(below))
        return "[*]" if position is None else f"[{position}]"
    if cls is types.FrameType:
        if frames.is_locals_dict(above, below):
            return "f_locals"
        return frames.name_of_local(above, below) or "local"
    frame = _frame_of(above)
    if frame is not None:
        return _OWN_FRAME if below is frame else frames.name_of_local(frame, below) or "local"
    if cls is types.CellType:
        return "cell_contents"
    if cls is types.FunctionType:
        return "closure" if type(below) is tuple else "function"
    if type in sizes.mro(cls) and type(below) is dict:
        return "__dict__"
    if below is cls:
        return ".__class__"
    if dict in sizes.mro(cls):
        return _attribute_name(above, below, "[key]")
    return _attribute_name(above, below)


def _frame_of(obj: Any) -> types.FrameType | None:
    """Return the frame in which a generator or coroutine waits: its locals are kept there."""
    cls = type(obj)
    if cls is types.GeneratorType:
        return obj.gi_frame  # type: ignore[no-any-return]
    if cls is types.CoroutineType:
        return obj.cr_frame  # type: ignore[no-any-return]
    return obj.ag_frame if cls is types.AsyncGeneratorType else None


def key_of(names: Any, value: Any) -> str:
    """Return the name of an attribute or local: ``names`` is the dict that an object keeps."""
    for name, held in dict.items(names):
        if held is value and type(name) is str:
            return str(name)
    return "·"


def _attribute_name(above: Any, below: Any, unknown: str = "·") -> str:
    held = sizes.instance_dict(above)
    if held is below:
        return "__dict__"
    for name, value in (held or {}).items():
        if value is below and type(name) is str:
            return "." + name
    slot = "base" if _is_base(above, below) else sizes.slot_named(above, below)
    if slot:
        return "." + slot
    for owner in sizes.mro(type(above)):
        for name in _BUILT_IN_EDGES.get(id(owner), ()):
            if vars(owner)[name].__get__(above) is below:
                return "." + name
    return unknown


def _is_base(above: Any, below: Any) -> bool:
    """Whether ``above`` is an array that shows a part of ``below``."""
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    return array in sizes.mro(type(above)) and vars(array)["base"].__get__(above) is below


_BUILT_IN_EDGES: dict[int, tuple[str, ...]] = {
    id(BaseException): ("__traceback__", "__cause__", "__context__", "args"),
    id(types.TracebackType): ("tb_next", "tb_frame"),
    id(types.MethodType): ("__self__", "__func__"),
}
