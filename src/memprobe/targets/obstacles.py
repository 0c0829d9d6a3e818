"""Why a context cannot be attached to, and what to do instead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from memprobe.targets.kernel_argv import KernelProcess, connection
from memprobe.targets.processes import Process, link, user_name

RUN_INSTEAD = "start it under memprobe: memprobe run SCRIPT.py"


class Obstacle(NamedTuple):
    """``why`` names the cause, ``remedy`` what a user can do."""

    why: str
    remedy: str


def of_kernel(kernel: KernelProcess, kernelspec_remote: bool = False) -> Obstacle | None:
    """Return what stands in the way of attaching to a kernel, None when nothing does."""
    return (
        _other_user(kernel.process)
        or _remote(kernel.remote or kernelspec_remote)
        or _language(kernel.language)
        or _other_network(kernel.process)
        or _stopped(kernel.process)
        or _unreadable(kernel.file)
    )


def of_recorded(process: Process) -> Obstacle:
    """Return why a script that ``memprobe run`` records is not attached to as well."""
    return Obstacle(
        "a script that is being recorded already",
        f"look at it: memprobe snapshot {process.pid}",
    )


def way_into(process: Process) -> str | Obstacle:
    """Return the method for a process that is no kernel, or why it cannot be attached to."""
    from memprobe.targets import plain_python
    from memprobe.targets.pending.refusal import Refused

    other = _other_user(process)
    if other is not None:
        return other
    try:
        return plain_python.way_into(process.pid)
    except Refused as reason:
        return Obstacle(reason.why, reason.remedy)


def of_program(process: Process) -> Obstacle:
    """Return why a process that is no Python cannot be attached to."""
    program = process.program or "a program without a command line"
    return _other_user(process) or Obstacle(
        f"it is not a Python process but {program}", "memprobe ps lists what can be attached to"
    )


def of_left_over(file: Path) -> Obstacle:
    """Return why a connection file that no process serves leads nowhere."""
    return Obstacle(
        f"its kernel has ended; only its connection file is left: {file}",
        "restart the kernel, or choose another from: memprobe ps",
    )


def not_ours(pid: int, uid: int | None) -> Obstacle:
    """Return the refusal for a process of another user."""
    if os.geteuid() == 0 and uid is not None:
        remedy = f"become that user: sudo -u '#{uid}' memprobe attach {pid}"
    else:
        remedy = "run memprobe as that user, or " + RUN_INSTEAD
    return Obstacle(
        f"it belongs to user {user_name(uid)}, and this is user {user_name(os.geteuid())}", remedy
    )


def _other_user(process: Process) -> Obstacle | None:
    return None if process.is_ours else not_ours(process.pid, process.uid)


def _remote(remote: bool) -> Obstacle | None:
    if not remote:
        return None
    return Obstacle(
        "a Livy (sparkmagic) kernel: its code runs on another machine, not in this process",
        "run memprobe on the machine of the Spark driver",
    )


def _language(language: str) -> Obstacle | None:
    if language == "Python":
        return None
    return Obstacle(
        f"its cells do not run in Python but in {language}", "memprobe reads Python kernels only"
    )


def _other_network(process: Process) -> Obstacle | None:
    theirs, ours = link(process.pid, "ns/net"), link(os.getpid(), "ns/net")
    if theirs is None or theirs == ours:
        return None
    return Obstacle(
        "it runs in a container with a network of its own", "run memprobe inside that container"
    )


def _stopped(process: Process) -> Obstacle | None:
    if process.status not in ("stopped", "tracing-stop"):
        return None
    return Obstacle("it is stopped and answers nothing", f"let it go on: kill -CONT {process.pid}")


def _unreadable(file: Path) -> Obstacle | None:
    if connection(file) is not None:
        return None
    if not os.path.exists(file):
        return Obstacle(f"its connection file is gone: {file}", "restart the kernel")
    if not os.access(file, os.R_OK):
        return Obstacle(
            f"its connection file may not be read: {file}", "run memprobe as the file's owner"
        )
    return Obstacle(f"its connection file is damaged: {file}", "restart the kernel")
