"""Room for a short text in a process: the unused end of the last page of an image's variables.

Those bytes are mapped, zero, and belong to nobody. Not the loader's, which hands its own out; and
not the program's where its heap begins right there (without randomised addresses).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from memprobe.targets.pending.address_space import Mapping, Memory, mapping_of
from memprobe.targets.pending.elf import PAGE, Image, NotAnImage, images
from memprobe.targets.pending.runtime import Runtime

_LOADERS = ("ld-", "ld.so", "[")
_ALIGN = 16


@dataclass(frozen=True)
class TextArea:
    """``room`` bytes at ``address``; the first one is zero while nobody uses it."""

    address: int
    room: int


def areas(
    maps: list[Mapping], memory: Memory, runtime: Runtime, heap: int | None
) -> Iterator[TextArea]:
    """Yield the places for a text, the interpreter's own image first.

    ``heap``: the address where the heap of the program begins; None: not known.
    """
    first = [runtime.file, *(one for one in images(maps) if one.start != runtime.file.start)]
    for file in first:
        if file.path.rpartition("/")[2].startswith(_LOADERS):
            continue
        try:
            image = runtime.image if file is runtime.file else Image(memory.read, file.start)
            found = area_of(image, maps, heap)
        except (NotAnImage, OSError):
            continue
        if found is not None:
            yield found


def area_of(image: Image, maps: list[Mapping], heap: int | None) -> TextArea | None:
    """Return the unused end of an image's last page, or None where there is none for sure."""
    end = image.data_end
    start = -(-end // _ALIGN) * _ALIGN
    page_end = -(-end // PAGE) * PAGE
    mapping = mapping_of(maps, start)
    if start >= page_end or mapping is None or not mapping.is_private_data:
        return None
    if mapping.path.startswith("[") or mapping.end < page_end:
        return None
    if heap is None or end <= heap < page_end:
        return None
    return TextArea(start, page_end - start)
