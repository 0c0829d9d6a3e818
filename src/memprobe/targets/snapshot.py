"""One snapshot of a running context: of a kernel, or of a script that ``memprobe run`` records.

A snapshot is there when its record is: whoever takes it may answer long before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from memprobe.errors import NothingMeasured, TargetError
from memprobe.recording.drain import Drain
from memprobe.recording.schema import End, Event, Record, Snapshot
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import AttachOptions
from memprobe.targets.live_sessions import live_sessions
from memprobe.targets.outside import OutsideSampler
from memprobe.targets.processes import read_processes
from memprobe.targets.session import SessionFolder

if TYPE_CHECKING:
    from memprobe.targets.entering import AnyAttachment

Place = TypeVar("Place", bound="AnyAttachment")

REASON = "request"
POLL = 0.02  # seconds between two looks at the spool
EAGER = 0.3  # seconds between two questions to a kernel on another machine
DOCS = "verbs/snapshot.md"
FAILURES = {
    "snapshot-dropped": "the recording of the probe that is there has reached its size cap",
    "snapshot-missed": "the probe that is there takes another one, which does not come to its end",
    "probe-error": "the probe met an error of its own",
}
GIL = "C code in it holds the GIL"
COLLECTOR = (
    "a script's probe works when Python collects garbage, and it has not done so meanwhile: "
    "the script waits, or is in a long call"
)


@dataclass(frozen=True)
class Wait:
    """How to wait for the record: where from, which one counts, until when, and whom to blame."""

    poll: Callable[[], list[Record]]
    ended: Callable[[], bool]  # whether the target has

    asked: int  # monotonic ns; an earlier snapshot was another's
    deadline: float  # monotonic seconds
    timeout: float
    interrupts: Interrupts
    silence: str  # why a probe that lives does not answer


def of_attached(
    enter: Callable[[AttachOptions], AnyAttachment], options: AttachOptions, interrupts: Interrupts
) -> bool:
    """Record one snapshot of the context that ``enter`` attaches to, and leave it.

    A probe that is there already is asked and stays. Returns whether the probe has heard that
    we leave. Raises NothingMeasured where no snapshot came, and what ``enter`` raises.
    """
    return enter_and_look(enter, options, interrupts).detach()


def enter_and_look(
    come_in: Callable[[AttachOptions], Place], options: AttachOptions, interrupts: Interrupts
) -> Place:
    """Record one snapshot and stay in the context; ``detach`` is the caller's to call.

    Raises what ``of_attached`` does; then nothing is left there.
    """
    options = replace(
        options, first_snapshot=REASON, last_snapshot=False, peak_reset=False, pull=EAGER
    )
    attachment = come_in(options)
    try:
        _look(attachment, options, interrupts, asks=attachment.joined)
    except BaseException:
        attachment.detach()
        attachment.writer.discard()
        raise
    return attachment


def look_again(attachment: AnyAttachment, options: AttachOptions, interrupts: Interrupts) -> None:
    """Record one more snapshot of a context that we are in. Raises NothingMeasured."""
    _look(attachment, options, interrupts, asks=True)


def _look(
    attachment: AnyAttachment, options: AttachOptions, interrupts: Interrupts, *, asks: bool
) -> None:
    """Wait for a snapshot: for one that is asked for, or that a new probe begins with."""
    wait = Wait(
        poll=attachment.poll, ended=lambda: attachment.ended is not None,
        asked=0, deadline=time.monotonic() + options.timeout, timeout=options.timeout,
        interrupts=interrupts, silence=GIL,
    )  # fmt: skip
    if not asks:
        _await_record(wait)
        return
    with attachment.requested("snapshot", **_asked(options)) as asked:
        _await_record(replace(wait, asked=asked))


def of_script(pid: int, options: AttachOptions, interrupts: Interrupts) -> None:
    """Record one snapshot of a script, into a copy of what its probe has recorded so far.

    Raises NothingMeasured where none came in ``options.timeout`` seconds, TargetError where there
    is no probe in it.
    """
    folder = _session_folder(pid)
    writer = RecordingWriter.create(options.output, force=options.force)
    drain = Drain(folder.spool, writer, hold_end=True)
    wait = Wait(
        poll=drain.pull, ended=lambda: not os.path.exists(f"/proc/{pid}"),
        asked=time.monotonic_ns(), deadline=time.monotonic() + options.timeout,
        timeout=options.timeout, interrupts=interrupts, silence=COLLECTOR,
    )  # fmt: skip
    try:
        with folder.request("snapshot", **_asked(options)):
            _await_record(wait)
        _write_last(pid, writer)
    except BaseException:
        writer.discard()
        raise
    finally:
        drain.close()
        writer.close()


def _asked(options: AttachOptions) -> dict[str, Any]:
    """Return what a probe that is there already is asked for."""
    return {
        "max_pause": options.max_pause, "inside": list(options.inside),
        "jvm_histogram": options.jvm_histogram,
    }  # fmt: skip


def _session_folder(pid: int) -> SessionFolder:
    created = {process.pid: process.created for process in read_processes()}
    session = live_sessions(created).get(pid)
    if session is None:
        raise TargetError(
            f"no probe is in process {pid} any more", remedy="see what runs: memprobe ps", docs=DOCS
        )
    return SessionFolder(session.folder, {})


def _await_record(wait: Wait) -> None:
    """Copy records until the snapshot is among them.

    Raises NothingMeasured where it was skipped or does not come, KeyboardInterrupt for Ctrl-C.
    """
    while True:
        over = wait.ended()  # asked first: what it still wrote counts
        if any(_is_answer(record, wait.asked) for record in wait.poll()):
            return
        if over:
            raise _ended()
        if time.monotonic() >= wait.deadline:
            raise _nothing(
                f"no snapshot came within {wait.timeout:g} s",
                wait.silence,
                "try again when it goes on, or wait longer: --timeout 120",
            )
        wait.interrupts.wait(POLL)
        wait.interrupts.check()


def _is_answer(record: Record, asked: int) -> bool:
    """Whether ``record`` is the snapshot; raises NothingMeasured where it says there is none."""
    if isinstance(record, End):
        raise _ended()
    if record.t < asked:
        return False
    if isinstance(record, Event) and record.event in FAILURES:
        cause = FAILURES[record.event] + (f": {record.detail}" if record.detail else "")
        raise _nothing("the snapshot could not be taken", cause, "try again")
    if not isinstance(record, Snapshot) or record.reason != REASON:
        return False
    if record.skipped is not None:
        raise _nothing(
            "the snapshot was skipped", record.skipped, "allow a longer one: --max-pause 2"
        )
    return True


def _ended() -> NothingMeasured:
    return _nothing(
        "the target ended before a snapshot was taken", "", "record all of it: memprobe run TARGET"
    )


def _write_last(pid: int, writer: RecordingWriter) -> None:
    """Write a reading from outside, and the end: we leave, the script goes on."""
    sample = OutsideSampler(pid).sample()
    if sample is not None:
        writer.write(sample)
    writer.write(End(t=time.monotonic_ns(), reason="detach"))


def _nothing(summary: str, cause: str, remedy: str) -> NothingMeasured:
    return NothingMeasured(summary, cause=cause, remedy=remedy, docs=DOCS)
