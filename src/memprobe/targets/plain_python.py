"""Whether a plain Python process can be attached to, and how: looked up without entering it."""

from __future__ import annotations

import os
import re

from memprobe.targets import rights
from memprobe.targets.pending.address_space import Mapping, Memory, read_maps
from memprobe.targets.pending.elf import NotAnImage
from memprobe.targets.pending.refusal import Refused
from memprobe.targets.pending.runtime import Runtime, find_runtime
from memprobe.targets.pending.tracing import state_of
from memprobe.targets.processes import link, status_fields

PENDING, REMOTE = "pending-call", "remote-exec"
_FIRST_REMOTE, _OLDEST = (3, 14), (3, 10)
_VERSION = re.compile(r"python(3)\.(\d+)(t?)")
_MACHINES = ("x86_64",)
_CONTAINER = "run memprobe inside of it: memprobe attach PID, with the PID that it has there"
_NEWER = "run the program with Python 3.10 or newer"


def way_into(pid: int) -> str:
    """Return the method for process ``pid``: ``pending-call`` or ``remote-exec``.

    Raises Refused, with cause and remedy, where it cannot be attached to. Only reads.
    """
    _refuse_state(pid)
    _refuse_elsewhere(pid)
    try:
        with Memory(pid) as memory:
            maps = read_maps(pid)
            _refuse_libraries(maps)
            runtime = find_runtime(maps, memory.read)
            version = _version(pid, runtime, memory)
    except OSError as error:
        raise rights.why_not(pid, error) from None
    return _method(version)


def _refuse_state(pid: int) -> None:
    state = state_of(pid, pid)
    tracer = rights.tracer_of(pid)
    if tracer:
        raise Refused(
            f"process {tracer} traces it (a debugger or strace)", "end that, then try again"
        )
    if state in ("T", "t"):
        raise Refused("it is stopped and answers nothing", f"let it go on: kill -CONT {pid}")
    if state in ("Z", "X", ""):
        raise Refused("it has ended", "memprobe ps lists what can be attached to")


def _refuse_elsewhere(pid: int) -> None:
    """Raise Refused where files, users or allowed calls are not the same as ours."""
    for kind, what in (("mnt", "a file system"), ("user", "users")):
        theirs = link(pid, f"ns/{kind}")
        if theirs is not None and theirs != link(os.getpid(), f"ns/{kind}"):
            raise Refused(f"it has {what} of its own (a container, or a service's)", _CONTAINER)
    root = link(pid, "root")
    if root is not None and root != link(os.getpid(), "root"):
        raise Refused(f"it lives in a part of the file system (chroot {root})", _CONTAINER)
    theirs_filters, ours = (_filters(one) for one in (pid, os.getpid()))
    if theirs_filters > ours:
        raise Refused("it has restricted its own system calls (seccomp): others could end it")
    if os.uname().machine not in _MACHINES:
        raise Refused(f"memprobe has not been measured on {os.uname().machine}")


def _filters(pid: int) -> int:
    """Return how many seccomp filters a process has; strict mode counts as many."""
    fields = status_fields(pid)
    if fields.get("Seccomp") == "1":
        return 1 << 16
    return int(fields.get("Seccomp_filters", fields.get("Seccomp", "0")) or 0)


def _refuse_libraries(maps: list[Mapping]) -> None:
    if any("/ld-musl" in one.path for one in maps):
        raise Refused("its C library is musl, on which memprobe has not been measured")
    if maps and maps[-1].end < 1 << 32:
        raise Refused("it is a 32-bit process", "run the program with a 64-bit Python")


def _version(pid: int, runtime: Runtime, memory: Memory) -> tuple[int, int]:
    """Return major and minor of its Python, from its memory or else by its name."""
    try:
        address = runtime.image.symbol("Py_Version")
    except NotAnImage:
        address = None
    named = _VERSION.search(os.path.basename(runtime.file.path)) or _VERSION.search(
        os.path.basename(link(pid, "exe") or "")
    )
    if named is not None and named[3]:
        raise Refused("its Python is free-threaded (built without the GIL)")
    if address is not None:
        number = memory.number(address, 4)
        return number >> 24, number >> 16 & 0xFF
    if named is None:
        raise Refused("which Python it runs cannot be told")
    return int(named[1]), int(named[2])


def _method(version: tuple[int, int]) -> str:
    if version < _OLDEST:
        raise Refused(f"it runs Python {version[0]}.{version[1]}, and 3.10 is the oldest", _NEWER)
    return REMOTE if version >= _FIRST_REMOTE else PENDING
