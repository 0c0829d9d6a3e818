"""Shared memory that this context made and that is still there: segments, and files in memory.

A file of shared memory lives until its name is unlinked, nobody has it open and nobody maps it.
All of it is read from ``/proc`` and ``/dev/shm``, so on Linux only; nothing is opened that would
keep it. Sizes are bytes that are there, not the length that was asked for.
"""

from __future__ import annotations

import os
import stat
import sys
import time

from . import spark_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = "/dev/shm"
MOST = 500  # segments
MOST_FILES = 4096
MOST_MAPS = 32 << 20  # bytes of a list of maps
MOST_READ = 64 << 20  # bytes of the tracker's memory
OTHERS_NS = 1_000_000_000  # for looking at the maps of other processes
SMALL = 1 << 20  # bytes; smaller ones are not looked at
_PAGE = 4096
_INTERNAL = ("/memfd:", "/SYSV")  # without a file system that is mounted
_FOLDERS = ("joblib_memmapping_folder_",)
_WITH_PID = ("torch_", "pym-", "joblib_memmapping_folder_")


class Segment:
    """One file in memory, as far as it was seen."""

    __slots__ = (
        "bytes", "identity", "lengths", "linked", "made", "name", "open", "path", "registered",
        "spans",
    )  # fmt: skip

    def __init__(self, identity: tuple[int, int], path: str) -> None:
        self.identity = identity
        self.path = path.removesuffix(" (deleted)")
        self.name = self.path.rpartition("/")[2]
        self.linked = False
        self.open = False
        self.registered = False  # with Python's tracker: made or attached by multiprocessing
        self.made = 0
        self.bytes: int | None = None
        self.spans: list[tuple[int, int]] = []  # where this process maps it
        self.lengths: set[int] = set()

    @property
    def told(self) -> str:
        """The name as a recording tells it: with its folder only where that is ``/dev/shm``."""
        return self.path if self.path.startswith(FOLDER + "/") else self.name


class Segments:
    """The segments of this context. Knows those that it had before, though it has closed them."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def read(self) -> list[Segment] | None:
        """Return the segments of this context; None where they cannot be read."""
        devices = _memory_devices()
        if devices is None:
            return None
        found = _mapped(devices)
        _add_open(found, devices)
        self._seen.update(found)
        linked = _linked(found)
        began = _began()
        for one in linked:
            found.setdefault(one.identity, one)
        registered = _registered({one.name for one in linked})
        for one in linked:
            one.registered = one.name in registered
        strange = {
            one.identity for one in linked if not one.registered and not self._is_ours(one)
        }  # fmt: skip
        return [
            one for one in found.values()
            if one.identity not in strange and (not one.linked or one.made >= began)
            and (one.bytes is None or one.bytes >= SMALL)
        ][:MOST]  # fmt: skip

    def _is_ours(self, one: Segment) -> bool:
        return one.identity in self._seen or str(os.getpid()) in _pids_in(one.path)


def users(found: list[Segment]) -> dict[tuple[int, int], int | None]:
    """Return how many other processes map each segment; None where there was no time to look."""
    wanted = {one.identity: 0 for one in found}
    marks = {f" {inode} ".encode() for _, inode in wanted}
    began, own = time.monotonic_ns(), os.getpid()
    for pid in spark_workers._pids() if wanted else ():
        if pid == own:
            continue
        if time.monotonic_ns() - began > OTHERS_NS:
            return dict.fromkeys(wanted)
        text = _whole(f"/proc/{pid}/maps", MOST_MAPS) or b""
        if not any(mark in text for mark in marks):
            continue
        for identity in {where for where, _, _ in _shared_lines(text)}:
            if identity in wanted:
                wanted[identity] += 1
    return dict(wanted)


def _memory_devices() -> set[int] | None:
    """Return the devices of the file systems that keep files in memory."""
    text = _whole("/proc/self/mountinfo", 1 << 20)
    if text is None:
        return None
    found = set()
    for line in text.splitlines():
        before, _, after = line.partition(b" - ")
        if after.split(b" ")[0] in (b"tmpfs", b"ramfs", b"hugetlbfs"):
            major, _, minor = before.split()[2].partition(b":")
            found.add(os.makedev(int(major), int(minor)))
    return found


def _mapped(devices: set[int]) -> dict[tuple[int, int], Segment]:
    found: dict[tuple[int, int], Segment] = {}
    text = _whole("/proc/self/maps", MOST_MAPS) or b""
    for identity, span, path in _shared_lines(text):
        if identity[0] not in devices and not path.startswith(_INTERNAL):
            continue
        one = found.setdefault(identity, Segment(identity, path))
        one.linked = one.linked or (not path.endswith(" (deleted)") and path.startswith("/"))
        one.spans.append(span)
        one.lengths.add(span[1] - span[0])
    for one in found.values():
        if one.path.startswith(_INTERNAL):
            one.linked = False
        if one.linked:
            _measure(one)
        else:
            one.bytes = _resident(one.spans)
    return found


def _shared_lines(text: bytes) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Yield identity, address range and path of the maps of files that may be in memory."""
    for line in text.splitlines():
        words = line.split(None, 5)
        if len(words) < 6 or words[4] == b"0" or not words[5].startswith(b"/"):
            continue
        if words[5].startswith((b"/usr/", b"/lib", b"/opt/", b"/dev/zero")):
            continue
        major, _, minor = words[3].partition(b":")
        low, _, high = words[0].partition(b"-")
        device = os.makedev(int(major, 16), int(minor, 16))
        path = words[5].decode("utf-8", "replace")
        yield (device, int(words[4])), (int(low, 16), int(high, 16)), path


def _add_open(found: dict[tuple[int, int], Segment], devices: set[int]) -> None:
    """Add what is open and has no name any more; of what is mapped too, how large it is."""
    try:
        numbers = os.listdir("/proc/self/fd")[:MOST_FILES]
    except OSError:
        return
    for number in numbers:
        try:
            facts = os.fstat(int(number))
        except OSError:
            continue
        identity = facts.st_dev, facts.st_ino
        if not stat.S_ISREG(facts.st_mode):
            continue
        one = found.get(identity)
        if one is None and (facts.st_dev in devices or facts.st_nlink == 0):
            path = _link(f"/proc/self/fd/{number}")
            if facts.st_dev in devices or path.startswith(_INTERNAL):
                one = found[identity] = Segment(identity, path)
                one.linked = facts.st_nlink > 0
        if one is not None:
            one.open = True
            _note(one, facts)


def _linked(found: dict[tuple[int, int], Segment]) -> list[Segment]:
    """Return this user's files in the folder of shared memory that are large."""
    result = []
    own = os.getuid()
    for path in _files():
        try:
            facts = os.lstat(path)
        except OSError:
            continue
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != own or "/sem." in path:
            continue
        identity = facts.st_dev, facts.st_ino
        one = found.get(identity) or Segment(identity, path)
        one.linked = True
        _note(one, facts)
        if (one.bytes or 0) >= SMALL:
            result.append(one)
    return result


def _files() -> Iterator[str]:
    try:
        with os.scandir(FOLDER) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_FILES:
                    return
                if entry.name.startswith(_FOLDERS) and entry.is_dir(follow_symlinks=False):
                    for name in os.listdir(entry.path)[:MOST_FILES]:
                        yield f"{entry.path}/{name}"
                else:
                    yield entry.path
    except OSError:
        return


def _measure(one: Segment) -> None:
    try:
        _note(one, os.lstat(one.path))
    except OSError:
        pass


def _note(one: Segment, facts: os.stat_result) -> None:
    if (facts.st_dev, facts.st_ino) != one.identity:
        return
    one.bytes = facts.st_blocks * 512
    one.made = time.monotonic_ns() - (time.time_ns() - facts.st_ctime_ns)


def _resident(spans: Iterable[tuple[int, int]]) -> int | None:
    """Return the bytes in memory of address ranges of this process, by its page map."""
    try:
        fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    total = 0
    try:
        for low, high in spans:
            for at in range(low // _PAGE, high // _PAGE, 1 << 16):
                count = min(1 << 16, high // _PAGE - at)
                words = memoryview(os.pread(fd, count * 8, at * 8)).cast("Q")
                total += sum(word >> 63 for word in words)
    except (OSError, TypeError):
        return None
    finally:
        os.close(fd)
    return total * _PAGE


def _registered(names: set[str]) -> set[str]:
    """Return those of the names that Python's own tracker of this process knows.

    It is told each segment that is made or attached, and keeps their names in its memory.
    """
    tracker = getattr(
        sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None
    )
    pid = getattr(tracker, "_pid", None)
    if not names or type(pid) is not int:
        return set()
    found: set[str] = set()
    left = MOST_READ
    for line in (_whole(f"/proc/{pid}/maps", 1 << 20) or b"").splitlines():
        words = line.split()
        if words[1] != b"rw-p" or words[4] != b"0" or left <= 0:
            continue
        low, _, high = words[0].partition(b"-")
        content = _memory(pid, int(low, 16), min(int(high, 16) - int(low, 16), left))
        left -= len(content)
        found.update(name for name in names if f"/{name}".encode() in content)
    return found


def _memory(pid: int, low: int, size: int) -> bytes:
    try:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, low)
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(fd)


def _began() -> int:
    """Return when this process started, on the clock of a recording."""
    from .child_processes import stat as stat_of

    own = stat_of(os.getpid())
    return 0 if own is None else own.started


def _pids_in(path: str) -> set[str]:
    """Return the process ids that are part of names which libraries make of them."""
    found = set()
    for part in path.split("/"):
        for start in _WITH_PID:
            if part.startswith(start):
                found.add(part[len(start) :].replace("-", "_").partition("_")[0])
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _whole(path: str, most: int) -> bytes | None:
    """Return a file of ``/proc``, which comes in parts; None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    parts, size = [], 0
    try:
        while size < most and (part := os.read(fd, 1 << 16)):
            parts.append(part)
            size += len(part)
    except OSError:
        pass
    finally:
        os.close(fd)
    return b"".join(parts)
