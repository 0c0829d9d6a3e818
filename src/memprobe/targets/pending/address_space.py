"""The memory of another process: what is mapped where, reading it, and writing into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

Read = Callable[[int, int], bytes]  # address, bytes → at most so many bytes


@dataclass(frozen=True)
class Mapping:
    """One line of ``/proc/PID/maps``."""

    start: int
    end: int
    permissions: str  # rwxp
    offset: int
    device: str
    inode: int
    path: str

    @property
    def is_private_data(self) -> bool:
        """Whether it can be read and written, is nobody else's, and holds no code."""
        return self.permissions.startswith("rw-p")

    @property
    def is_code(self) -> bool:
        """Whether the process can execute what is there."""
        return "x" in self.permissions


def parse_maps(text: str) -> list[Mapping]:
    """Return the lines of ``/proc/PID/maps``, in order of their addresses."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 5)
        start, _, end = fields[0].partition("-")
        found.append(
            Mapping(
                int(start, 16), int(end, 16), fields[1], int(fields[2], 16), fields[3],
                int(fields[4]), fields[5].strip() if len(fields) > 5 else "",
            )
        )  # fmt: skip
    return found


def read_maps(pid: int) -> list[Mapping]:
    """Return what process ``pid`` has mapped. Raises OSError."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        return parse_maps(file.read())


def mapping_of(maps: list[Mapping], address: int) -> Mapping | None:
    """Return the mapping that ``address`` lies in."""
    return next((one for one in maps if one.start <= address < one.end), None)


class Memory:
    """``/proc/PID/mem``, opened for reading and writing.

    It belongs to the memory that the process had when it was opened: after an ``exec`` nothing
    can be read or written any more. Raises OSError where there are no rights.
    """

    def __init__(self, pid: int) -> None:
        self._descriptor = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes. Raises OSError where not all of them are mapped."""
        data = os.pread(self._descriptor, size, address)
        if len(data) != size:
            raise OSError(f"only {len(data)} of {size} bytes at {address:#x}")
        return data

    def number(self, address: int, size: int) -> int:
        """Return an unsigned number of ``size`` bytes."""
        return int.from_bytes(self.read(address, size), "little")

    def write(self, address: int, data: bytes) -> None:
        """Write ``data``. Raises OSError where not all of it was written."""
        done = os.pwrite(self._descriptor, data, address)
        if done != len(data):
            raise OSError(f"only {done} of {len(data)} bytes written at {address:#x}")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
