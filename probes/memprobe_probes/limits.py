"""How much memory a process may use before it is stopped, and how much of that is in use.

The lowest of these counts: cgroup v2 ``memory.max`` and cgroup v1 ``memory.limit_in_bytes`` of the
process's group and of every group above it, a finite ``RLIMIT_AS``, and the machine's memory.
Everything comes from ``/proc`` and the cgroup mounts; what cannot be read is ``None``, never zero,
and nothing here raises. ``root`` is where the file system begins (for tests).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# cgroup v1 writes "unlimited" as the largest multiple of the page size below 2**63.
_UNLIMITED = 1 << 60
MOST_MEMBERS = 1000


class _Bound:
    """One limit in bytes, where it comes from, and the cgroup folder that has it.

    No NamedTuple: making one evaluates a text, and a script that Ctrl-C has ended would then no
    longer end by the signal.
    """

    __slots__ = ("folder", "size", "source")

    def __init__(self, size: int, source: str, folder: str = "") -> None:
        self.size = size
        self.source = source  # cgroup-v2, cgroup-v1, rlimit, host
        self.folder = folder


def effective(pid: int | None = None, root: str = "/") -> dict[str, Any]:
    """Return ``{"effective", "source", "host_total"}`` in bytes for a process (None: this one).

    ``source`` is ``cgroup-v2``, ``cgroup-v1``, ``rlimit``, ``host`` or ``unknown``.
    """
    bound = _lowest(pid, root)
    return {
        "effective": bound.size if bound else None,
        "source": bound.source if bound else "unknown",
        "host_total": _meminfo(root).get("MemTotal"),
    }


def used(pid: int | None = None, root: str = "/") -> int | None:
    """Return the bytes in use of what limits a process (None: this one): its cgroup, or the host.

    Page cache that the system would give up first is left out, so that a process that has read
    a large file does not look close to its end. Under ``RLIMIT_AS`` it is the address space.
    """
    bound = _lowest(pid, root)
    if bound is None:
        return None
    if bound.source == "host":
        return _host_used(_meminfo(root))
    if bound.source == "rlimit":
        return _address_space(pid, root)
    return _group_used(bound)


def members(pid: int | None = None, root: str = "/") -> list[int]:
    """Return the pids of the cgroup whose limit holds for a process (None: this one).

    Without such a cgroup everybody on the host shares the limit, and none is named.
    """
    bound = _lowest(pid, root)
    if bound is None or not bound.folder:
        return []
    found = []
    for folder, _, _ in os.walk(bound.folder):
        for line in _lines(os.path.join(folder, "cgroup.procs")):
            number = _number(line)
            if number:
                found.append(number)
        if len(found) >= MOST_MEMBERS:
            break
    return found[:MOST_MEMBERS]


def _lowest(pid: int | None, root: str) -> _Bound | None:
    bounds = _group_bounds(pid, root)
    address_space = _address_space_limit(pid, root)
    if address_space is not None:
        bounds.append(_Bound(address_space, "rlimit"))
    total = _meminfo(root).get("MemTotal")
    if total is not None:
        bounds.append(_Bound(total, "host"))
    # min() keeps the first of equals: the cgroup says more than the host that it equals.
    return min(bounds, key=lambda bound: bound.size, default=None)


def _group_bounds(pid: int | None, root: str) -> list[_Bound]:
    """Return the finite limits of the process's memory cgroups and of every group above them."""
    bounds = []
    for version, folder, top in _memory_groups(pid, root):
        read = _limit_v2 if version == "cgroup-v2" else _limit_v1
        for group in _upwards(folder, top):
            size = read(group)
            if size is not None:
                bounds.append(_Bound(size, version, group))
        hidden = _hierarchical_limit(folder) if version == "cgroup-v1" else None
        if hidden is not None:
            # A group above what is mounted here limits us. Its use is not to be seen from
            # inside; that of the highest visible group is the closest there is.
            bounds.append(_Bound(hidden, version, top))
    return bounds


def _memory_groups(pid: int | None, root: str) -> list[tuple[str, str, str]]:
    """Return ``(version, folder of the process's group, topmost visible folder)`` per hierarchy."""
    paths = _group_paths(pid, root)
    groups = []
    for version, base, mount in _group_mounts(root):
        path = paths.get(version)
        if path is not None:
            top = os.path.join(root, mount.lstrip("/"))
            groups.append((version, _inside(top, base, path), top))
    return groups


def _group_paths(pid: int | None, root: str) -> dict[str, str]:
    """Read ``/proc/PID/cgroup``: version → path, as seen from the reader's cgroup namespace."""
    paths = {}
    for line in _lines(_proc(root, pid, "cgroup")):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup-v2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup-v1"] = path
    return paths


def _group_mounts(root: str) -> list[tuple[str, str, str]]:
    """Return ``(version, root of the mount inside its hierarchy, mount point)`` from mountinfo.

    It is the reader's own mountinfo, also for another process: these are the paths to open.
    """
    mounts = []
    for line in _lines(_proc(root, None, "mountinfo")):
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        base, mount = _unescaped(fields[3]), _unescaped(fields[4])
        if kind[0] == "cgroup2":
            mounts.append(("cgroup-v2", base, mount))
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            mounts.append(("cgroup-v1", base, mount))
    return mounts


def _inside(top: str, base: str, path: str) -> str:
    """Return the folder of group ``path`` below ``top``, where the hierarchy's ``base`` is mounted.

    A path that does not lie below ``base`` (a container that sees the host's path, or a group
    outside our namespace, ``/../x``) leaves the mount point: what the container itself is given.
    """
    outside = path.startswith("/..") or not path.startswith("/")
    below = ".." if outside else os.path.relpath(path, base)
    if below == "." or below.split("/")[0] == "..":
        return top
    folder = os.path.join(top, below)
    return folder if os.path.isdir(folder) else top


def _upwards(folder: str, top: str) -> list[str]:
    """Return ``folder`` and every folder above it, up to and with ``top``."""
    chain = [folder]
    while len(chain[-1]) > len(top):
        chain.append(os.path.dirname(chain[-1]))
    return chain


def _limit_v2(folder: str) -> int | None:
    return _finite(_text(os.path.join(folder, "memory.max")))  # "max" is no number


def _limit_v1(folder: str) -> int | None:
    return _finite(_text(os.path.join(folder, "memory.limit_in_bytes")))


def _hierarchical_limit(folder: str) -> int | None:
    return _finite(_table(os.path.join(folder, "memory.stat")).get("hierarchical_memory_limit"))


def _group_used(bound: _Bound) -> int | None:
    version2 = bound.source == "cgroup-v2"
    name, cache = (
        ("memory.current", "inactive_file")
        if version2
        else ("memory.usage_in_bytes", "total_inactive_file")
    )
    now = _number(_text(os.path.join(bound.folder, name)))
    if now is None:
        return None
    stat = _table(os.path.join(bound.folder, "memory.stat"))
    return max(0, now - (_number(stat.get(cache)) or 0))


def _host_used(meminfo: dict[str, int]) -> int | None:
    total, available = meminfo.get("MemTotal"), meminfo.get("MemAvailable")
    return None if total is None or available is None else max(0, total - available)


def _meminfo(root: str) -> dict[str, int]:
    """Return the rows of ``/proc/meminfo`` that are needed here, in bytes."""
    rows = {}
    for line in _lines(os.path.join(root, "proc", "meminfo")):
        name, _, value = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            kilobytes = _number(value.replace("kB", ""))
            if kilobytes:
                rows[name] = kilobytes * 1024
    return rows


def _address_space_limit(pid: int | None, root: str) -> int | None:
    for line in _lines(_proc(root, pid, "limits")):
        if line.startswith("Max address space"):
            words = line[len("Max address space") :].split()
            return _finite(words[0] if words else None)  # the soft limit is the one that stops
    return None


def _address_space(pid: int | None, root: str) -> int | None:
    words = _text(_proc(root, pid, "statm")).split()
    pages = _number(words[0]) if words else None
    return pages * os.sysconf("SC_PAGE_SIZE") if pages else None


def _proc(root: str, pid: int | None, name: str) -> str:
    return os.path.join(root, "proc", "self" if pid is None else str(pid), name)


def _text(path: str) -> str:
    """Return a small file's text, empty when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read())
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    return _text(path).split("\n")


def _table(path: str) -> dict[str, str]:
    """Return a file of ``name value`` lines as a dict."""
    rows = (line.partition(" ") for line in _lines(path))
    return {name: value for name, _, value in rows}


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _finite(text: str | None) -> int | None:
    """Return a limit in bytes, or None for a word such as ``max``, zero, or "unlimited"."""
    size = _number(text)
    return size if size is not None and 0 < size < _UNLIMITED else None


def _unescaped(text: str) -> str:
    """Undo mountinfo's octal escapes (a space is written ``\\040``)."""
    if "\\" not in text:
        return text
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
