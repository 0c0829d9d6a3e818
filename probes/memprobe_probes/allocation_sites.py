"""Where the objects of a snapshot were allocated.

``tracemalloc``, where it traces, knows it at once. A log of memray is read by the host after the
program has ended: for it we note where in memory a few of the objects lie. Both cost nothing
while nobody traces, and neither is started here.
"""

from __future__ import annotations

import os
import sys

from . import buffers, sizes
from .containers import CONTAINERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .walk import Walk

LARGEST = 8  # objects of a group that are asked one by one
DRAWN = 24  # of the others, and of the elements of one big container
LEAST_TABLE = 64 * 1024  # bytes from which a container's table is looked for by its exact size
LEAST_GROUP = 1024 * 1024  # bytes below which nobody asks where a group comes from
MOST_SITES = 5
_TABLES = (list, dict, set, bytearray)  # their elements lie in one block beside the object
_KEYED = 1 << 48  # from here on a "buffer" is a made-up key, no address
_SEED = 0x9E3779B97F4A7C15

places_wanted = False  # a log of allocations is being written: set by ``allocation_tracing``


class Piece:
    """One object or buffer of a group, and the bytes of the group that it stands for.

    ``obj`` is what tracemalloc knows: for a buffer the object that owns it. ``address`` 0: only
    the size is known, exactly.
    """

    __slots__ = ("address", "nbytes", "obj", "stands_for")

    def __init__(self, obj: Any, address: int, nbytes: float, stands_for: float) -> None:
        self.obj = obj
        self.address = address
        self.nbytes = int(nbytes)
        self.stands_for = stands_for


def traced_frames() -> int | None:
    """Return how many frames tracemalloc keeps of an allocation, None where it does not trace."""
    tracer = _tracer()
    if tracer is None or not tracer.is_tracing():
        return None
    return int(tracer.get_traceback_limit())


def sites_of(obj: Any, nbytes: int | None = None) -> list[dict[str, Any]]:
    """Return where ``obj`` was allocated, as at most one row of a ``Site``, by tracemalloc.

    ``nbytes``: what the row says is held there. Empty where nobody traces, or did not yet when
    ``obj`` was made. No code of the object runs.
    """
    tracer = _tracer()
    if tracer is None or not tracer.is_tracing():
        return []
    site = _site(tracer._get_object_traceback(obj) or ())
    return [] if site is None else [{**site, "bytes": nbytes}]


def of_objects(found: Sequence[tuple[Any, int]]) -> dict[str, Any]:
    """Return ``sites`` and ``places`` of a group by some of its objects.

    ``found``: live objects, each with the bytes of the group that it stands for, what only it
    keeps included.
    """
    if not wanted():
        return {}
    pieces: list[Piece] = []
    for obj, nbytes in found:
        pieces += _pieces_of(obj, _shallow(obj), nbytes)
    return _rows(pieces)


def of_group(walk: Walk, members: Sequence[int]) -> dict[str, Any]:
    """Return ``sites`` and ``places`` of the group that the nodes ``members`` make up."""
    pieces: list[Piece] = []
    for node, stands_for in _chosen(walk.sizes, members):
        for piece in _pieces_of_node(walk, node):
            # One of several like it: it answers for the others in its own proportions.
            piece.stands_for *= stands_for / max(walk.sizes[node], 1)
            pieces.append(piece)
    return _rows(pieces)


def _pieces_of_node(walk: Walk, node: int) -> list[Piece]:
    obj, nbytes = walk.objects[node], walk.sizes[node]
    if obj is not None:
        return _pieces_of(obj, walk.kind(type(obj)).size(obj), nbytes)
    owner = walk.objects[walk.parents[node]] if walk.parents[node] >= 0 else None
    return [Piece(owner, walk.addresses[node], nbytes, nbytes)]


def members_of(masks: Sequence[int], kept: set[int]) -> dict[int, list[int]]:
    """Return the nodes of each group in ``kept``; empty where nobody wants to know."""
    found: dict[int, list[int]] = {}
    if wanted():
        for node, mask in enumerate(masks):
            if mask in kept:
                found.setdefault(mask, []).append(node)
    return found


def wanted() -> bool:
    """Whether anything can tell where an object was allocated, now or later."""
    return places_wanted or traced_frames() is not None


def _chosen(weights: Sequence[float], members: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Yield the heaviest members, and of the others the one at each of some equal steps of bytes.

    Each stands for its step: heavy ones are drawn by their bytes, equal ones evenly.
    """
    ordered = sorted(members, key=lambda node: -weights[node])
    for node in ordered[:LARGEST]:
        yield node, weights[node]
    others = ordered[LARGEST:]
    step = sum(weights[node] for node in others) / DRAWN
    passed, due = 0.0, step / 2
    for node in others if step else ():
        passed += weights[node]
        steps = int((passed - due) // step) + 1
        if steps > 0:
            due += steps * step
            yield node, steps * step


def _pieces_of(obj: Any, shallow: int, nbytes: float) -> list[Piece]:
    """Return an object or its table, and a draw of its elements where ``nbytes`` counts those."""
    table = _table(obj)
    own = Piece(obj, id(obj), shallow, nbytes)
    if table >= LEAST_TABLE:
        own = Piece(obj, 0, table, nbytes)
    inside = _inside(obj, nbytes - shallow) if nbytes > 2 * shallow else []
    own.stands_for -= sum(piece.stands_for for piece in inside)
    return [own, *inside]


def _inside(obj: Any, nbytes: float) -> list[Piece]:
    """Return elements of a container, or buffers of an array, that stand for ``nbytes``."""
    native = _buffers(obj)
    if native:
        total = sum(size for _, size in native)
        return [Piece(obj, at, size, nbytes * size / total) for at, size in native[:LARGEST]]
    drawn = _elements(obj)
    return [
        Piece(one, *_where(one), stands_for=nbytes / len(drawn)) for one in drawn
    ]  # an element's own elements lie elsewhere: it is a sample of them all the same


def _where(obj: Any) -> tuple[int, int]:
    native = _buffers(obj)
    return native[0] if native else (id(obj), _shallow(obj))


def _buffers(obj: Any) -> list[tuple[int, int]]:
    """Return the native buffers of an array as (address, bytes), the largest first."""
    adapter = buffers.adapter_for(type(obj))
    if adapter is None:
        return []
    try:
        found = adapter(obj)[1]
    except Exception:  # the walk has met the same object, and said so
        return []
    return sorted((one for one in found if one[0] < _KEYED), key=lambda one: -one[1])


def _elements(obj: Any) -> list[Any]:
    """Return elements of a container at random positions; of a dict its values."""
    for container, elements, length in CONTAINERS:
        if container in sizes.mro(type(obj)) and length(obj):
            try:
                rows = elements(obj, _positions(length(obj)))
            except (LookupError, RuntimeError):  # another thread changed it
                return []
            return [row[-1] for row in rows if row]
    if buffers.is_object_array(obj) and buffers.object_array_length(obj):
        rows = buffers.object_array_elements(obj, _positions(buffers.object_array_length(obj)))
        return [row[-1] for row in rows if row]
    return []


def _positions(length: int) -> list[int]:
    """Return up to ``DRAWN`` positions below ``length``, one at random in each equal part."""
    count = min(DRAWN, length)
    return [(number * length + (_SEED * (number + 1) >> 7) % length) // count
            for number in range(count)]  # fmt: skip


def _shallow(obj: Any) -> int:
    return sizes.shallow_sizer(type(obj))(obj)


def _table(obj: Any) -> int:
    """Return the bytes of the block that a container keeps its elements in, 0 where it has none."""
    for container in _TABLES:
        if container in sizes.mro(type(obj)):
            plain = vars(container)["__sizeof__"]
            return int(plain(obj)) - container.__basicsize__
    return 0


def _rows(pieces: list[Piece]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if places_wanted:
        fields["places"] = [[one.address, one.nbytes, int(one.stands_for)] for one in pieces]
    if traced_frames() is not None:
        fields["sites"] = _merged(pieces)
    return fields


def _merged(pieces: list[Piece]) -> list[dict[str, Any]]:
    """Return one row per site, most bytes first."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for piece in pieces:
        for site in sites_of(piece.obj, 0):
            key = (site["file"], site["line"], site["cell"])
            rows.setdefault(key, site)["bytes"] += int(piece.stands_for)
    return sorted(rows.values(), key=lambda row: -int(row["bytes"]))[:MOST_SITES]


def _site(frames: Sequence[tuple[str, int]]) -> dict[str, Any] | None:
    """Return the innermost frame of the user's own code, or else the innermost of all."""
    from .roots import is_user_file

    if not frames:
        return None
    cells = _cells()
    own = (frame for frame in frames if frame[0] in cells or is_user_file(frame[0]))
    file, line = next(own, frames[0])
    return {
        "file": os.path.basename(file), "line": line, "function": None, "bytes": None,
        "cell": cells.get(file),
    }  # fmt: skip


def _cells() -> dict[str, int]:
    return cell_files() if "IPython" in sys.modules else {}


def cell_files() -> dict[str, int]:
    """Return file → execution count of the notebook's cells, as tracebacks name the files."""
    from . import notebook

    found = getattr(getattr(notebook.running_shell(), "compile", None), "_filename_map", None)
    return dict(found) if type(found) is dict else {}


def _tracer() -> Any:
    """Return the interpreter's own tracer, None where nobody can have started it."""
    if "_tracemalloc" not in sys.modules and not (
        "tracemalloc" in sys._xoptions or "PYTHONTRACEMALLOC" in os.environ
    ):
        return None
    import _tracemalloc  # a part of every interpreter

    return _tracemalloc
