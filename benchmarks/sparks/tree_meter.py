"""Run a command and print what it and all that it started took, as JSON.

    python -S -E tree_meter.py SECONDS COMMAND...

A JVM outlives the Python that started it, and then nobody would wait for it: this process adopts
what is left (``PR_SET_CHILD_SUBREAPER``) and waits for all of it, so that the kernel tells the CPU
time of every process. ``own`` is that of the command's first process alone.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the command for at most so many seconds; ``status`` None: killed."""
    if ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    start = time.monotonic()
    first = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    own, status, wall = 0.0, None, None
    killed = False
    printed = b""
    os.set_blocking(first.stdout.fileno(), False)
    while True:
        printed += first.stdout.read() or b""
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            break
        if ended is not None:
            if ended.si_pid == first.pid:
                own, wall = _own(first.pid), time.monotonic() - start
            _, code = os.waitpid(ended.si_pid, 0)
            if ended.si_pid == first.pid:
                status = first.returncode = os.waitstatus_to_exitcode(code)
            continue
        if time.monotonic() - start > float(sys.argv[1]) and not killed:
            _kill_all()
            killed = True
        time.sleep(0.02)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        json.dumps(
            {
                "cpu": usage.ru_utime + usage.ru_stime,
                "own": own,
                "wall": wall,
                "status": None if killed else status,
                "printed": printed.decode(errors="replace"),
            }
        )
    )


def _own(pid: int) -> float:
    """Return the CPU seconds of a process that has ended, without what it waited for."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _kill_all() -> None:
    """Kill every descendant: what this process has started, and nothing else."""
    found, pending = [], [os.getpid()]
    while pending:
        pid = pending.pop()
        try:
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
                children = [int(child) for child in file.read().split()]
        except OSError:
            continue
        found += children
        pending += children
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
