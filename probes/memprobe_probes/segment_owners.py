"""Which Python objects map or name a segment of shared memory, and by what names they are reached.

An array is known by the address of its data, a ``SharedMemory`` by its name, a bare map by its
length, and a text that is the segment's name counts as a way to it: it is compared and not kept.
"""

from __future__ import annotations

import gc
import sys

from . import named_values, sizes
from .numpy_arrays import arrays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .roots import Root
    from .shared_segments import Segment

SHARED = "multiprocessing.shared_memory.SharedMemory"
_PAGE = 4096


class Owners:
    """Finds what leads to segments. ``rows`` afterwards: segment's number → rows of holders."""

    def __init__(self, segments: list[Segment]) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in segments]
        self.unnamed = [False] * len(segments)
        self._segments = segments
        self._arrays = arrays()
        self._spans = [(*span, n) for n, one in enumerate(segments) for span in one.spans]
        self._names = {text: n for n, one in enumerate(segments) for text in _texts(one)}
        self._viewers: list[set[int]] = [set() for _ in segments]
        self._shared: list[list[Any]] = [[] for _ in segments]

    def look(self, named: list[Root]) -> None:
        """Search below the roots, which are emptied: nothing of theirs is kept."""
        count: dict[int, int] = {}
        for root in named:
            count[id(root.obj)] = count.get(id(root.obj), 0) + 1
        try:
            for root, step in named_values.below(named, texts=True, arrays=self._arrays):
                for number in self._leads_to(step.obj):
                    self._add(number, root, step)
                    if self._is_array(step.obj) and step.above is None:
                        # Of each name the namespace's and the root's; the step's, and the call's.
                        known = 2 * count[id(step.obj)] + 2
                        if sys.getrefcount(step.obj) > known:
                            self.unnamed[number] = True  # a frame may show its data
            root = step = None  # type: ignore[assignment]  # they would count
            self._check_buffers()
        finally:
            self._shared.clear()
            for one in named:
                one.take()
            named.clear()

    def _leads_to(self, obj: Any) -> set[int]:
        if type(obj) is str:
            return {self._names[obj]} if obj in self._names else set()
        if self._is_array(obj):
            found = self._arrays.interface(obj)["data"] if self._arrays is not None else None
            address = found[0] if type(found) is tuple else 0
            return {n for low, high, n in self._spans if low <= address < high}
        kind = sizes.type_name(type(obj))
        if kind == "mmap.mmap":
            return self._of_length(obj)
        if kind == SHARED:
            name = (sizes.instance_dict(obj) or {}).get("_name")
            number = self._names.get(name.lstrip("/")) if type(name) is str else None
            if number is not None:
                self._shared[number].append(obj)
                return {number}
        return set()

    def _of_length(self, obj: Any) -> set[int]:
        """Return the segments that a map may be of: of those of its length, if there is one."""
        try:
            length = vars(sys.modules["mmap"].mmap)["__len__"](obj)
        except ValueError:  # closed
            return set()
        pages = -(-length // _PAGE) * _PAGE
        fitting = {n for n, one in enumerate(self._segments) if pages in one.lengths}
        return fitting if len(fitting) == 1 else set()

    def _is_array(self, obj: Any) -> bool:
        return self._arrays is not None and self._arrays.array in sizes.mro(type(obj))

    def _base(self, obj: Any) -> Any:
        return self._arrays.base(obj) if self._arrays is not None else None

    def _add(self, number: int, root: Root, step: named_values.Step) -> None:
        chain = step.chain()
        if self._is_array(step.obj) and not self._is_array(self._base(step.obj)):
            self._viewers[number].add(id(step.obj))
        shown = _shown(chain)
        row = {
            "expr": root.expr, "root": root.kind, "cell": root.facts.get("cell"),
            "type": sizes.type_name(type(chain[shown].obj)),
            "path": [{"edge": one.edge, "type": sizes.type_name(type(one.obj))}
                     for one in chain[1 : shown + 1]],
        }  # fmt: skip
        if sizes.type_name(type(step.obj)) == SHARED:
            row["made"] = _made(step.obj)
        known = self.rows[number]
        if not any(one["expr"] == row["expr"] and one["path"] == row["path"] for one in known):
            known.append(row)

    def _check_buffers(self) -> None:
        """Note where the buffer of a ``SharedMemory`` has more users than were found."""
        for number, shared in enumerate(self._shared):
            if not shared:
                continue
            if _extra_references(shared[0]) > len(self._viewers[number]):
                self.unnamed[number] = True


def _extra_references(shared: Any) -> int:
    """Return how many references there are to the map or the buffer of a ``SharedMemory``.

    Those of its own are left out. An array holds the map itself, whatever it was made of.
    """
    names = sizes.instance_dict(shared) or {}
    buffer, area = names.get("_buf"), names.get("_mmap")
    if type(buffer) is not memoryview or area is None:
        return 0
    inner = [one for one in gc.get_referents(buffer) if one is not area][:1]
    # Each is in an attribute, in a variable here, and given to getrefcount; what stands between
    # buffer and map holds the map.
    extra = sys.getrefcount(buffer) - 3 + sys.getrefcount(area) - 4
    return extra + (sys.getrefcount(inner[0]) - 3 if inner else 0)


def _texts(one: Segment) -> list[str]:
    return [one.path, one.name, f"/{one.name}"] if one.linked else [one.name]


def _made(shared: Any) -> bool | None:
    """Return whether a ``SharedMemory`` made its segment, or was attached to it."""
    flags = (sizes.instance_dict(shared) or {}).get("_flags")
    creates = getattr(sys.modules.get("os"), "O_CREAT", 0)
    return bool(flags & creates) if type(flags) is int else None


def _shown(chain: list[named_values.Step]) -> int:
    """Return the position of what a user would name: what lies inside of it is how it is built."""
    for number, one in enumerate(chain):
        package = sizes.module_of(type(one.obj)).partition(".")[0]
        if package in ("multiprocessing", "numpy", "mmap", "ctypes", "torch", "joblib"):
            return number
        if sizes.type_name(type(one.obj)).startswith("multiprocessing."):
            return number
    return len(chain) - 1
