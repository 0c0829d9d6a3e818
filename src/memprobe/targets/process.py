"""Attach to a plain Python process: one that is no kernel and was not started by ``memprobe run``.

The probe comes in by one of two ways, each of which runs a short text in the target: an entry in
its ring of pending calls (``pending/``, Python 3.10 to 3.13) or ``sys.remote_exec`` (3.14 and
later). The text starts a thread, the thread reads the probe from the private session folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets import plain_python, remote_exec
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import Attachment, AttachOptions, follow, session_config
from memprobe.targets.live_sessions import live_sessions
from memprobe.targets.pending.bootstrap_text import bootstrap_text, read_payload
from memprobe.targets.pending.injector import Failed, Injector
from memprobe.targets.pending.refusal import Queued, Refused
from memprobe.targets.process_payload import NAME, payload
from memprobe.targets.processes import read_processes
from memprobe.targets.session import SessionFolder, write_private

DOCS = "attaching.md"
PENDING, REMOTE = "pending-call", "remote-exec"
REPORT = 5.0  # seconds between two words about a request that waits
SLICE = 0.005

Say = Callable[[str], None]


def attach(
    pid: int, options: AttachOptions, interrupts: Interrupts | None = None, *, method: str = "",
    context: str = "script", say: Say = lambda text: None,
) -> Attachment:  # fmt: skip
    """Put the probe into process ``pid``, or join the one that is there.

    ``method`` is ``pending-call``, ``remote-exec`` or empty: what its Python allows. ``say`` is
    told what the target is waiting for. Raises TargetError where the process cannot be entered or
    did not take the request in ``options.timeout`` seconds; it is then as before.
    """
    interrupts = interrupts or Interrupts()
    try:
        possible = plain_python.way_into(pid)
    except Refused as reason:
        raise _refused(pid, reason) from None
    method = _chosen(pid, method, possible)
    config = {**session_config(pid, options), "context": context, "method": method}

    def come_in(folder: SessionFolder) -> dict[str, Any]:
        present = _present(pid)
        if present is not None:
            return _joined(present, folder, options.timeout)
        return _entered(pid, method, folder, options.timeout, interrupts, say)

    return follow(pid, config, options, None, interrupts, come_in)


def _chosen(pid: int, method: str, possible: str) -> str:
    if method in ("", possible):
        return possible
    raise TargetError(
        f"cannot attach to process {pid} by {method}",
        cause="its Python is 3.14 or newer"
        if possible == REMOTE
        else "its Python is 3.13 or older",
        remedy=f"leave --method out, or: --method {possible}",
        docs=DOCS,
    )


def _present(pid: int) -> Path | None:
    """Return the session folder of a probe with a thread that is in the process already."""
    session = live_sessions({one.pid: one.created for one in read_processes()}).get(pid)
    return session.folder if session is not None else None


def _joined(present: Path, folder: SessionFolder, timeout: float) -> dict[str, Any]:
    client = folder.config["client"]
    reply = SessionFolder(present, {}).send("join", timeout=timeout, client=client)
    if reply is None or not reply.get("ok"):
        raise TargetError(
            "the probe that is in the process does not answer",
            cause="C code there holds the GIL, or it was put there by memprobe run or record()",
            remedy="try again, or look at it as it is: memprobe snapshot PID",
            docs=DOCS,
        )
    answer: dict[str, Any] = reply["result"]
    return answer


def _entered(
    pid: int, method: str, folder: SessionFolder, timeout: float, interrupts: Interrupts, say: Say
) -> dict[str, Any]:
    """Have the target read the payload; return the probe's answer."""
    deadline = time.monotonic() + timeout
    write_private(folder.path / NAME, payload(folder.config, time.time() + timeout))
    try:
        with Replies(folder) as replies:
            waiting = _Waiting(interrupts, say)
            _run(pid, method, folder, replies, timeout, waiting)
            return _answer(replies, deadline, waiting, timeout)
    except Refused as reason:
        raise _refused(pid, reason) from None
    except Queued as reason:
        raise _in_vain(pid, timeout, f"{reason.where}; the request was withdrawn") from None
    except Failed as reason:
        raise _in_vain(pid, timeout, f"it took the request, but the probe does not answer: "
                                     f"{reason}") from None  # fmt: skip
    finally:
        with contextlib.suppress(OSError):
            os.unlink(folder.path / NAME)


def _run(
    pid: int,
    method: str,
    folder: SessionFolder,
    replies: Replies,
    timeout: float,
    waiting: _Waiting,
) -> None:
    text = bootstrap_text(pid, read_payload(str(folder.path)))
    if method == REMOTE:
        remote_exec.run(pid, text, folder, replies.taken, timeout, waiting)
        return
    with contextlib.closing(Injector(pid)) as injector:
        injector.run(text, replies.taken, timeout, waiting)


class Replies:
    """What the target writes into the session's FIFO while it is being entered."""

    def __init__(self, folder: SessionFolder) -> None:
        # Read-write, so that the FIFO never reports an end between two writers.
        self._descriptor = os.open(folder.replies, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._text = b""
        self._taken = False
        self.answer: dict[str, Any] | None = None

    def __enter__(self) -> Replies:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def taken(self) -> bool:
        """Whether the target's thread has begun."""
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self._descriptor, 65536)
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                said = json.loads(line)
                self._taken = self._taken or said.get("id") in ("taken", "entered")
                if said.get("id") == "entered":
                    self.answer = said
        return self._taken


class _Waiting:
    """Called while the target has not answered: looks at Ctrl-C, and tells what it waits for."""

    def __init__(self, interrupts: Interrupts, say: Say) -> None:
        self._interrupts = interrupts
        self._say = say
        self._next = time.monotonic() + REPORT / 2

    def __call__(self, where: str) -> None:
        self._interrupts.check()
        if time.monotonic() >= self._next:
            self._say(f"{where}; the request is queued")
            self._next = time.monotonic() + REPORT


def _answer(replies: Replies, deadline: float, waiting: _Waiting, timeout: float) -> dict[str, Any]:
    """Wait for the probe's own answer: it is being loaded."""
    while replies.taken() and replies.answer is None:
        if time.monotonic() > deadline:
            raise Failed("it is being loaded")
        waiting("the probe is being loaded")
        time.sleep(SLICE)
    answer = replies.answer or {}
    if not answer.get("ok"):
        raise TargetError(
            "the probe could not start in the process",
            cause=str(answer.get("error")),
            remedy="try again; if it stays, report it",
            docs=DOCS,
        )
    return answer


def _refused(pid: int, reason: Refused) -> TargetError:
    return TargetError(
        f"cannot attach to process {pid}", cause=reason.why, remedy=reason.remedy, docs=DOCS
    )


def _in_vain(pid: int, timeout: float, cause: str) -> TargetError:
    return TargetError(
        f"process {pid} did not let the probe in within {timeout:g} s",
        cause=cause,
        remedy="try again when that call has returned, or wait longer: --timeout 300",
        docs=DOCS,
    )
