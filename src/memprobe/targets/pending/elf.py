"""Symbols and segments of a program or library, read from memory and not from its file.

The file may have been replaced since. What is mapped is what runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from memprobe.targets.pending.address_space import Mapping, Read

PAGE = 4096
_MAGIC = b"\x7fELF"
_CLASS_64, _LITTLE = 2, 1
_LOAD, _DYNAMIC = 1, 2
_STRTAB, _SYMTAB, _GNU_HASH = 5, 6, 0x6FFFFEF5
_SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
_MOST_HEADERS = 64
_MOST_ENTRIES = 256  # of the dynamic section
_LONGEST_CHAIN = 1 << 16
_LONGEST_NAME = 128


class NotAnImage(ValueError):
    """There is no 64-bit ELF image, or it is not built as expected."""


@dataclass(frozen=True)
class Segment:
    """One program header; addresses are those in memory."""

    kind: int
    flags: int
    start: int
    file_size: int
    size: int


class Image:
    """An ELF image that is mapped at ``base``. Raises NotAnImage or OSError."""

    def __init__(self, read: Read, base: int) -> None:
        self._read = read
        self.base = base
        self.segments = self._segments()
        self._dynamic = dict(self._entries())

    @property
    def data_end(self) -> int:
        """The address behind the last byte of its variables (the end of ``.bss``)."""
        writable = [one for one in self.segments if one.kind == _LOAD and one.flags & 2]
        if not writable:
            raise NotAnImage("no variables")
        return max(one.start + one.size for one in writable)

    def symbol(self, name: str) -> int | None:
        """Return the address of an exported name, by the GNU hash table; None: not there."""
        table = self._table(_GNU_HASH)
        buckets, first, words, _ = struct.unpack("<4I", self._read(table, 16))
        if not buckets:
            return None
        start = table + 16 + words * 8
        wanted = gnu_hash(name)
        index = self._word(start + (wanted % buckets) * 4)
        chains = start + buckets * 4
        for _ in range(_LONGEST_CHAIN):
            if index < first:
                return None
            found = self._word(chains + (index - first) * 4)
            if (found | 1) == (wanted | 1) and (address := self._named(index, name)) is not None:
                return int(address)
            if found & 1:
                return None
            index += 1
        raise NotAnImage("its table of symbols does not end")

    def _named(self, index: int, name: str) -> int | None:
        row = self._read(self._table(_SYMTAB) + index * _SYMBOL.size, _SYMBOL.size)
        at, _, _, section, value, _ = _SYMBOL.unpack(row)
        wanted = name.encode() + b"\0"
        if not section or self._read(self._table(_STRTAB) + at, len(wanted)) != wanted:
            return None
        return int(value + self._bias)

    def _segments(self) -> list[Segment]:
        head = self._read(self.base, 64)
        if head[:4] != _MAGIC:
            raise NotAnImage("no ELF image")
        if head[4] != _CLASS_64 or head[5] != _LITTLE:
            raise NotAnImage("not 64-bit, or of another byte order")
        (at,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        if size != 56 or not 0 < count <= _MOST_HEADERS:
            raise NotAnImage("no program headers")
        table = self._read(self.base + at, size * count)
        rows = [struct.unpack_from("<IIQQQQQQ", table, size * i) for i in range(count)]
        loads = [row for row in rows if row[0] == _LOAD]
        if not loads:
            raise NotAnImage("nothing to load")
        lowest = min(loads, key=lambda row: row[3])
        self._bias: int = (
            self.base - (lowest[3] - lowest[2] if lowest[2] else lowest[3]) // PAGE * PAGE
        )
        return [Segment(r[0], r[1], r[3] + self._bias, r[5], r[6]) for r in rows]

    def _entries(self) -> Iterator[tuple[int, int]]:
        dynamic = next((one for one in self.segments if one.kind == _DYNAMIC), None)
        if dynamic is None:
            return
        for index in range(_MOST_ENTRIES):
            tag, value = struct.unpack("<QQ", self._read(dynamic.start + index * 16, 16))
            if not tag:
                return
            yield tag, value

    def _table(self, tag: int) -> int:
        """Return a table's address; the loader may have made it one, or left it relative."""
        value = self._dynamic.get(tag)
        if value is None:
            raise NotAnImage("a table is missing")
        return value if value >= self.base else value + self._bias

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 4), "little")


def gnu_hash(name: str) -> int:
    """Return the hash that the table of symbols is ordered by."""
    value = 5381
    for byte in name.encode():
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def images(maps: list[Mapping]) -> list[Mapping]:
    """Return the first mapping of every file that may be an image: the exe, Pythons, the rest."""
    first: dict[tuple[str, int], Mapping] = {}
    for one in maps:
        if one.offset == 0 and one.inode and one.path.startswith("/"):
            first.setdefault((one.device, one.inode), one)
    files = list(first.values())
    named = [one for one in files if "python" in one.path.rpartition("/")[2]]
    return [*files[:1], *(one for one in named if one is not files[0]),
            *(one for one in files[1:] if one not in named)]  # fmt: skip
