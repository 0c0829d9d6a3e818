"""Which allocation a block of memory belongs to: a log of allocations gone through in order.

An allocation that is just as large as the block is the block's own: that is certain. Python's
small objects lie in pages that its allocator took from the system at one time or another; the
place where the page was taken is probably theirs, and not more than that. A library's pool (Arrow,
polars) maps address space once and fills it for hours: of what lies in there nothing is told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from memprobe.recording.schema import Group, Place

PYMALLOC_FREE, FREE, MMAP, MUNMAP = 1, 5, 14, 15  # memray.AllocatorType
HEADERS = (0, 16, 32)  # bytes that Python may keep before an object, by type and version
LARGE = 4096  # from here on an allocation is asked what lies inside it
ARENAS = (1 << 18, 1 << 20)  # pieces that Python's allocator maps, by version
ROOM = 0.25  # an allocation is a block's own up to so much more than the block …
SLACK = 64  # … and this much in any case: headers, alignment
DEEPEST = 1000  # frames of a stack that are compared
NESTED = 64  # allocations that are looked at, below an address, for the one around it


class Hit(NamedTuple):
    """An allocation, the bytes that it stands for, and whether it is the block's own."""

    record: Any
    bytes: int
    own: bool


class Wanted:
    """The blocks to be found: by address, and where that is not known by their exact size."""

    def __init__(self, groups: Sequence[Group]) -> None:
        rows = [(place, number) for number, group in enumerate(groups) for place in group.places]
        self.rows = sorted((row for row in rows if row[0].address), key=lambda row: row[0].address)
        self.addresses = [place.address for place, _ in self.rows]
        self.starts = {address - header for address in self.addresses for header in HEADERS}
        self.by_size = [row for row in rows if not row[0].address]
        self.sizes = {place.bytes for place, _ in self.by_size}

    def holds(self, start: int, size: int) -> bool:
        """Whether an allocation may be one of the blocks, or hold one."""
        if start in self.starts or size in self.sizes:
            return True
        at = bisect_left(self.addresses, start) if size >= LARGE else len(self.addresses)
        return at < len(self.addresses) and self.addresses[at] < start + size


class Live:
    """What was allocated and never freed: every mapping, and the blocks that are wanted.

    ``records`` are memray's AllocationRecords of allocations and frees, in order.
    """

    def __init__(self, records: Iterable[Any], wanted: Wanted) -> None:
        self._wanted = wanted
        self.blocks: dict[int, Any] = {}  # address → record
        self.mapped: dict[int, tuple[int, Any]] = {}  # start → end, record
        blocks, holds = self.blocks, wanted.holds
        for record in records:
            address, kind = record.address, record.allocator
            if kind == FREE:
                blocks.pop(address, None)
            elif kind == MMAP:
                self.mapped[address] = (address + record.size, record)
            elif kind == MUNMAP:
                self._unmap(address, address + record.size)
            elif kind != PYMALLOC_FREE:
                if holds(address, record.size):
                    blocks[address] = record
                else:
                    blocks.pop(address, None)  # its free was not seen
        self._starts = sorted({*self.blocks, *self.mapped})

    def found(self) -> dict[int, list[Hit]]:
        """Return group number → the allocations that its places were found in."""
        found: dict[int, list[Hit]] = {}
        for place, number in self._wanted.rows:
            record = self._around(place.address)
            own = record is not None and _is_own(record, place)
            if record is not None and (own or not _is_pool(record)):
                found.setdefault(number, []).append(Hit(record, place.stands_for, own))
        for size in self._wanted.sizes:
            same = [record for record in self.blocks.values() if record.size == size]
            rows = [row for row in self._wanted.by_size if row[0].bytes == size]
            for (place, number), record in _paired(rows, same):
                found.setdefault(number, []).append(Hit(record, place.stands_for, True))
        return found

    def reserved(self) -> Iterator[Hit]:
        """Yield the mappings that only take address space as far as one knows, and its bytes.

        Python's allocator maps its pages in pieces of a fixed size: those are memory of objects.
        """
        for start, (end, record) in self.mapped.items():
            if _is_pool(record):
                yield Hit(record, end - start, True)

    def _unmap(self, start: int, end: int) -> None:
        whole = self.mapped.get(start)
        if whole is not None and whole[0] == end:
            del self.mapped[start]
            return
        touched = [
            one for one, (its_end, _) in self.mapped.items() if one < end and its_end > start
        ]
        for one in touched:
            its_end, record = self.mapped.pop(one)
            if one < start:
                self.mapped[one] = (start, record)
            if its_end > end:
                self.mapped[end] = (its_end, record)

    def _around(self, address: int) -> Any:
        """Return the innermost live allocation that ``address`` lies in, or None."""
        at = bisect_left(self._starts, address + 1)
        for start in reversed(self._starts[max(0, at - NESTED) : at]):
            block = self.blocks.get(start)
            if block is not None and address < start + block.size:
                return block
            end, mapping = self.mapped.get(start, (0, None))
            if address < end:
                return mapping
        return None


def _paired(
    rows: list[tuple[Place, int]], same: list[Any]
) -> Iterable[tuple[tuple[Place, int], Any]]:
    """Pair blocks with allocations of exactly their size, where that leaves no doubt.

    Each block is one of them: none if there is a choice between several stacks, unless all of
    them are blocks of one group.
    """
    stacks = {tuple(record.stack_trace(DEEPEST)) for record in same}
    if len(stacks) == 1:
        return [(row, same[0]) for row in rows]
    one_group = len({number for _, number in rows}) == 1
    return zip(rows, same) if one_group and len(rows) == len(same) else []


def _is_own(record: Any, place: Place) -> bool:
    """Whether an allocation around a block is as large as the block."""
    return bool(record.size - place.bytes <= max(SLACK, ROOM * place.bytes))


def _is_pool(record: Any) -> bool:
    """Whether it is a mapping, and none of those that Python's own allocator makes."""
    return record.allocator == MMAP and record.size not in ARENAS
