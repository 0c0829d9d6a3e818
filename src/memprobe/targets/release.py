"""Letting go of what findings name in a kernel: look, ask the probe, read what it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.errors import NothingMeasured, TargetError
from memprobe.findings import Finding, Report
from memprobe.recording.reader import read
from memprobe.releases import Bucket
from memprobe.targets import snapshot
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import Attachment, AttachOptions, attach

DOCS = "verbs/release.md"
LONGEST = 150.0  # seconds for the cuts: ends of objects may run code of the user's
LEASE = 300.0  # seconds: the probe does not see to its leases meanwhile
LOOK = 0.25  # seconds between two looks at whether the cell has ended


@dataclass(frozen=True)
class Look:
    """One snapshot of a kernel that we are still in."""

    attachment: Attachment
    report: Report
    number: int  # by which the probe knows the snapshot
    again: Callable[[], Report]  # takes one more, for what is there afterwards


@contextmanager
def look(
    file: Path, pid: int, options: AttachOptions, config: Config, interrupts: Interrupts
) -> Iterator[Look]:
    """Take a snapshot and yield it; the probe leaves with the block.

    Raises NothingMeasured where no snapshot came, TargetError where the kernel cannot be entered.
    """
    options = replace(options, lease=max(options.lease, LEASE))
    attachment = snapshot.enter_and_look(
        lambda asked: attach(file, pid, asked, interrupts), options, interrupts
    )

    def again() -> Report:
        snapshot.look_again(attachment, options, interrupts)
        return build.report(read(options.output), config)

    try:
        recording = read(options.output)
        asked = [one for one in recording.snapshots if one.reason == snapshot.REASON]
        number = asked[-1].number if asked else None
        if number is None:
            raise NothingMeasured(
                "the probe in the kernel cannot let go of anything",
                cause="it is that of an older memprobe",
                remedy=f"memprobe detach {pid}, then try again", docs=DOCS,
            )  # fmt: skip
        yield Look(attachment, build.report(recording, config), number, again)
    finally:
        attachment.detach()


def release(found: Look, findings: Sequence[Finding]) -> dict[str, Any]:
    """Have the probe make the cuts of ``findings`` and return its answer, ``busy`` included.

    Raises TargetError where it does not answer, or does nothing for another reason.
    """
    wanted = [
        {"fingerprint": one.fingerprint, "cuts": [msgspec.to_builtins(cut) for cut in one.cuts]}
        for one in findings
    ]
    reply = found.attachment.ask(
        "release", timeout=LONGEST, number=found.number, findings=wanted
    )  # fmt: skip
    if reply is None or not reply.get("ok"):
        raise TargetError(
            "the kernel did not say what was released",
            cause="it is gone, or C code in it holds the GIL"
            if reply is None
            else f"the probe met an error of its own: {reply.get('error')}",
            remedy="look what is still there: memprobe snapshot", docs=DOCS,
        )  # fmt: skip
    answer: dict[str, Any] = reply["result"]
    if answer["state"] in ("done", "busy"):
        return answer
    raise TargetError(
        "changed since: nothing was released"
        if answer["state"] == "changed"
        else "the release did not come to its end",
        cause=str(answer.get("why")), remedy="try again", docs=DOCS,
    )  # fmt: skip


def buckets(found: Look) -> list[Bucket]:
    """Return where the process's memory lies now and lay before; empty where nobody can tell."""
    try:
        after = found.again()
    except NothingMeasured:
        return []
    was, now = (dict(one.account.processes[0].buckets) for one in (found.report, after))
    return [Bucket(name=name, before=was[name], after=now[name]) for name in was if name in now]


def wait_for_cell(found: Look, until: float, check: Callable[[], None]) -> bool:
    """Wait until no cell runs, at most until ``until`` (monotonic); return whether none does."""
    while time.monotonic() < until:
        found.attachment.poll()
        check()
        reply = found.attachment.ask("status")
        if reply is not None and not (reply.get("result") or {}).get("busy", True):
            return True
        time.sleep(LOOK)
    return False
