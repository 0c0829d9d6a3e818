"""Entering CPython 3.14 and later by ``sys.remote_exec``, which both sides have to have.

memprobe's own Python may be another: so the target's interpreter is started once more, to call it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from memprobe.targets import left_behind
from memprobe.targets.main_thread import MainThread
from memprobe.targets.pending.address_space import Memory, read_maps
from memprobe.targets.pending.refusal import Queued, Refused
from memprobe.targets.pending.runtime import find_runtime
from memprobe.targets.pending.scratch import interpreter_for
from memprobe.targets.session import SessionFolder, write_private

PATIENCE = 20.0  # seconds for the interpreter that asks
LOOK = 0.005
TOLD = 0.25
_SCRIPT = "request.py"
_ASK = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"


def run(
    pid: int, text: bytes, folder: SessionFolder, seen: Callable[[], bool], timeout: float,
    waiting: Callable[[str], None],
) -> None:  # fmt: skip
    """Have the target run ``text``, until ``seen`` tells that it did.

    Raises Refused where it may not be asked, Queued when it did not take it in ``timeout``
    seconds. The request cannot be taken back then, so its file stays, and is empty: nothing will
    happen. (Were it gone, Python would print an error into the program's output.)
    """
    place = folder.path.parent / secrets.token_hex(8)
    script = _written(place, pid, text)
    try:
        _ask(pid, str(script))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    try:
        _await(pid, seen, timeout, waiting)
    except BaseException:
        os.truncate(script, 0)
        raise
    shutil.rmtree(place, ignore_errors=True)


def _written(place: Path, pid: int, text: bytes) -> Path:
    """Write the script into a folder of its own, which stays as long as the target lives."""
    place.mkdir(mode=0o700)
    for name, content in ((left_behind.HOST, left_behind.host_line(pid).encode()), (_SCRIPT, text)):
        write_private(place / name, content)
    return place / _SCRIPT


def _await(
    pid: int, seen: Callable[[], bool], timeout: float, waiting: Callable[[str], None]
) -> None:
    deadline, told, main = time.monotonic() + timeout, 0.0, MainThread(pid)
    while not seen():
        now = time.monotonic()
        if now > deadline:
            raise Queued(main.where())
        if not os.path.exists(f"/proc/{pid}"):
            raise Refused("it has ended", "memprobe ps lists what can be attached to")
        if now > told + TOLD:
            waiting(main.where())
            told = now
        time.sleep(LOOK)


def _ask(pid: int, script: str) -> None:
    with _readable(pid) as memory:
        python = interpreter_for(pid, find_runtime(read_maps(pid), memory.read))
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", _ASK, str(pid), script], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"{python} could not be started: {error}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise Refused(f"its Python does not take remote requests: {said}")


def _readable(pid: int) -> Memory:
    try:
        return Memory(pid)
    except OSError as error:
        from memprobe.targets.rights import why_not

        raise why_not(pid, error) from None
