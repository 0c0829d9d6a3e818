"""The facts of a report in words, the same in every format. All texts are printable."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator

from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    LastUse,
    RecordingSummary,
    Report,
)
from memprobe.reporters.amounts import counted, duration, percent, size, size_range
from memprobe.reporters.printable import printable

ROOTS = {
    "notebook-namespace": "notebook namespace",
    "ipython-output": "IPython output history",
    "traceback": "last exception",
    "frame": "running frame",
    "suspended-frame": "suspended frame",
    "module": "module",
    "class-attribute": "class attribute",
    "closure": "closure",
    "lru-cache": "lru_cache",
    "figure": "open figure",
    "callback": "callback",
    "thread": "thread",
    "allocator": "allocator",
    "native": "native code",
    "child-process": "child process",
    "shared-memory": "shared memory",
    "spark-driver": "Spark driver",
    "spark-executor": "Spark executors",
    "interpreter": "interpreter",
}

ENDINGS = {
    "exit": "exited",
    "signal": "killed",
    "exec": "replaced by exec",
    "detach": "detached",
    "stop": "stopped",
    "lease-expired": "left: no client any more",
    "probe-left": "the probe left",
    "kernel-died": "the kernel died or restarted",
    "restarted": "a cell restarted the notebook's Python",
    "cancelled": "cancelled",
    "gone": "the process was gone",
    "cut off": "cut off",
    "running": "still running",
}


# The context has ended with the recording: there is nothing to let go any more.
OVER = frozenset(
    {
        "exit", "signal", "exec", "kernel-died", "kernel-restarted", "gone", "restarted",
        "cancelled",
    }
)  # fmt: skip
SHORTEST = 4  # digits of a fingerprint

# Where bytes come back, as it is said behind them.
PLACES = {
    "driver-python": "",
    "child-processes": " of child processes",
    "shared-memory": " of shared memory",
}
SIGKILL = 9
WORTH_TELLING = 0.02  # of the bytes: less that the allocator keeps is not told


def headline(report: Report) -> str:
    """Return the one sentence a report begins with: what can be had back."""
    told = [finding for finding in report.findings if finding.fails]
    total, failing = sum(finding.reclaim.bytes for finding in told), len(told)
    rss = report.recording.rss
    if any(finding.reclaim.where != "driver-python" for finding in told):
        rss = None  # that of the Python process, which is not all that they speak of
    if not failing:
        return _nothing_to_fix(report)
    of_rss = f" of {size(rss)}" if rss is not None and rss >= total else ""
    if not total:
        return f"{counted(failing, 'finding')}{_advice(report)}"
    return f"{size(total)}{of_rss} can come back: {counted(failing, 'finding')}{_advice(report)}"


def _nothing_to_fix(report: Report) -> str:
    if not report.recording.snapshots:
        return "Nobody looked at what holds the memory: no snapshot was taken"
    rss = report.recording.rss
    if _was_killed(report.recording) and report.holders and rss is not None:
        return _killed(report, rss)
    resident = f" in {size(rss)}" if rss is not None else ""
    known = f", {len(report.known)} known" if report.known else ""
    return f"Nothing to let go of{resident}: no leaking or suspect holder{known}{_advice(report)}"


def _was_killed(recording: RecordingSummary) -> bool:
    return recording.signal == SIGKILL or recording.ended == "cut off"


def _killed(report: Report, rss: int) -> str:
    """Say how full it was and what was there: whoever was killed for memory asks just that."""
    limit = report.recording.limit
    of_limit = f", {percent(rss / limit)} of the limit" if limit else ""
    most = max(report.holders, key=lambda row: row.exclusive_bytes + row.shared_bytes)
    held = size(most.exclusive_bytes + most.shared_bytes)
    return f"Ended at {size(rss)}{of_limit}: {printable(most.exprs[0])} held {held}"


def _advice(report: Report) -> str:
    pieces = sum(not finding.fails for finding in report.findings)
    return f", {counted(pieces, 'piece')} of advice" if pieces else ""


def program(recording: RecordingSummary) -> str:
    """Return the notebook's or script's name."""
    return printable(recording.program) or f"process {recording.pid}"


def location(finding: Finding, recording: RecordingSummary) -> str:
    """Return ``etl.ipynb:cell 7:1``, ``etl.py:41`` or the program's name alone."""
    created = finding.created
    if created is None:
        return program(recording)
    if created.cell is not None:
        return f"{program(recording)}:{place(created)}"
    name = printable(created.file) if created.file else program(recording)
    return f"{name}:{created.line}" if created.line else name


def place(created: Created | None, *, brief: bool = False) -> str:
    """Return ``cell 7:1``, ``etl.py:41`` or an empty text where it is not known.

    ``brief`` leaves out the line within a cell.
    """
    if created is None:
        return ""
    if created.cell is not None:
        line = "" if brief or not created.line else f":{created.line}"
        return f"cell {created.cell}{line}"
    if created.file is None:
        return f"line {created.line}" if created.line else ""
    return f"{printable(created.file)}:{created.line}" if created.line else printable(created.file)


def last_use(last: LastUse | None, *, brief: bool = False) -> str:
    """Return ``cell 9, 20 min ago``, as much of it as is known; the cell alone if ``brief``."""
    if last is None:
        return ""
    cell = f"cell {last.cell}" if last.cell is not None else ""
    if cell and brief:
        return cell
    return ", ".join(filter(None, [cell, _ago(last.seconds_ago)]))


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def described(held: HeldObject) -> str:
    """Return ``1,000,000 × 240`` or ``12 items``, empty where the object has no extent."""
    if held.shape:
        return " × ".join(f"{extent:,}" for extent in held.shape)
    return counted(held.length, "item") if held.length is not None else ""


def root(kind: str) -> str:
    """Return a root kind in words."""
    return ROOTS.get(kind, printable(kind).replace("-", " "))


def holders(finding: Finding) -> list[str]:
    """Return the expressions of all holders of ``finding``."""
    return [printable(holder.expr) for holder in finding.holders]


def gives(finding: Finding) -> str:
    """Return ``1.9 GiB back (estimate, 1.8 to 2.0 GiB)``, and what the allocator keeps of it."""
    reclaim = finding.reclaim
    if not reclaim.high:
        return ""  # it tells of a state, not of something to let go
    basis: str = reclaim.basis
    if size(reclaim.low) != size(reclaim.high):
        basis += f", {size_range(reclaim.low, reclaim.high)}"
    where = PLACES.get(reclaim.where, f" on {reclaim.where}")
    text = f"{size(reclaim.bytes)} back{where} ({basis})"
    return "; ".join([text, *_kept_by_allocator(finding)])


def release_line(finding: Finding, report: Report) -> str:
    """Return what to type so that memprobe does it; empty where it cannot, or all is over."""
    recording = report.recording
    if not finding.release or recording.ended in OVER or not finding.fingerprint:
        return ""
    if recording.method == "extension":
        return f"%memprobe release {short(finding, report)}"
    named = recording.program.endswith(".ipynb") and printable(recording.program)
    target = shlex.quote(named) if named else str(recording.pid)
    return f"memprobe release {target} {short(finding, report)}"


def short(finding: Finding, report: Report) -> str:
    """Return the shortest beginning of a fingerprint, of four digits or more, that is unique."""
    others = [one.fingerprint for one in report.findings if one is not finding]
    own = finding.fingerprint
    for length in range(SHORTEST, len(own)):
        if not any(other.startswith(own[:length]) for other in others):
            return own[:length]
    return own


def _kept_by_allocator(finding: Finding) -> Iterator[str]:
    """Yield what is freed but does not go back to the system, at once or at all."""
    reclaim = finding.reclaim
    if reclaim.at_once is None:
        return
    later = reclaim.bytes - reclaim.at_once
    never = finding.exclusive_bytes - reclaim.bytes
    if _matters(later, reclaim.bytes):
        kept = f"the allocator keeps {size(later)} until malloc_trim"
        yield f"{size(reclaim.at_once)} at once, {kept}"
    if _matters(never, finding.exclusive_bytes):
        yield (
            f"{size(finding.exclusive_bytes)} are freed, of which {size(never)} stay with the "
            "allocator for new objects"
        )


def _matters(part: int, whole: int) -> bool:
    return part > max(whole * WORTH_TELLING, 1 << 20)


def ending(recording: RecordingSummary) -> str:
    """Return how the recording ended, with the status or signal of a process that did."""
    text = ENDINGS.get(recording.ended, printable(recording.ended).replace("-", " "))
    if recording.signal is not None:
        return f"{text} by {_signal(recording.signal)}"
    return f"{text}, status {recording.status}" if recording.status is not None else text


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def facts(recording: RecordingSummary) -> list[str]:
    """Return the recording line's parts: context, Python, libraries, length, cells, ending."""
    parts: list[str] = [recording.context]
    if recording.python:
        parts.append(f"Python {printable(recording.python)}")
    shown = ("pandas", "numpy", "pyspark", "pyarrow", "polars")
    parts += [
        f"{name} {printable(recording.libraries[name])}"
        for name in shown
        if name in recording.libraries
    ]
    if recording.wall is not None:
        parts.append(duration(recording.wall))
    if recording.cells:
        parts.append(counted(recording.cells, "cell"))
    return [*parts, ending(recording)]
