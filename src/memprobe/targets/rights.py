"""Whether this user may look into a process, and what stands in the way.

Linux asks the same for reading another process's memory as for tracing it: its user, that it may
be dumped, and what the Yama module allows.
"""

from __future__ import annotations

import os
from pathlib import Path

from memprobe.targets.pending.refusal import Refused
from memprobe.targets.processes import status_fields, user_name

_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_PTRACE = 1 << 19  # CAP_SYS_PTRACE


def why_not(pid: int, error: OSError | None = None) -> Refused:
    """Return the refusal for a process whose memory could not be opened."""
    fields = status_fields(pid)
    if not fields:
        return Refused("it has ended", "memprobe ps lists what can be attached to")
    uid = int(fields.get("Uid", "-1").split()[1])
    if uid != os.geteuid() and os.geteuid() != 0:
        return Refused(
            f"it belongs to user {user_name(uid)}, and this is user {user_name(os.geteuid())}",
            f"run memprobe as that user: sudo -u '#{uid}' memprobe attach {pid}",
        )
    scope = yama()
    if scope >= 1 and not _may_trace():
        return Refused(
            f"this system lets nobody trace a process (kernel.yama.ptrace_scope is {scope})"
            if scope >= 3
            else f"only an administrator may trace here (kernel.yama.ptrace_scope is {scope})",
            "run memprobe with CAP_SYS_PTRACE, or start it under memprobe: memprobe run SCRIPT.py",
        )
    if int(fields.get("CapPrm", "0"), 16) & ~_own_capabilities():
        return Refused("it has more rights (capabilities) than memprobe has",
                       "run memprobe with the same rights")  # fmt: skip
    told = f" ({error.strerror})" if error is not None and error.strerror else ""
    return Refused(
        f"its memory may not be opened: the process is protected (not dumpable){told}",
        "run memprobe as root, or start it under memprobe: memprobe run SCRIPT.py",
    )


def yama() -> int:
    """Return what Yama restricts tracing to; 0 where it is not there."""
    try:
        return int(_YAMA.read_text())
    except (OSError, ValueError):
        return 0


def tracer_of(pid: int) -> int:
    """Return the PID of whoever traces the process; 0: nobody."""
    told = status_fields(pid).get("TracerPid", "0")
    return int(told) if told.isdecimal() else 0


def may_open(pid: int) -> bool:
    """Whether the memory of a process could be opened, which changes nothing in it."""
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _may_trace() -> bool:
    return bool(_own_capabilities() & _PTRACE) and yama() < 3


def _own_capabilities() -> int:
    return int(status_fields(os.getpid()).get("CapEff", "0"), 16)
