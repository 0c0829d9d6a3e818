"""``memprobe attach --all``: every kernel of this user at once, and who holds what."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memprobe.cli.failure import print_error
from memprobe.errors import MemprobeError, TargetError, UsageError

if TYPE_CHECKING:
    from memprobe.findings import Report
    from memprobe.targets.contexts import KernelContext
    from memprobe.targets.entering import AnyAttachment
    from memprobe.targets.interrupts import Interrupts
    from memprobe.targets.kernel import AttachOptions

POLL = 0.2  # seconds between two rounds over all recordings
DOCS = "verbs/attach.md"


@dataclass
class Watched:
    """One kernel that is being recorded."""

    name: str
    attachment: AnyAttachment
    path: Path


def kernels(target: str | None) -> list[KernelContext]:
    """Return every kernel that can be attached to: here, or on the server at ``target``.

    Raises TargetError where there is none, UsageError where ``target`` is no server's address.
    """
    from memprobe.targets.contexts import contexts
    from memprobe.targets.server_choice import listed
    from memprobe.targets.server_url import is_url

    if target and not is_url(target):
        raise UsageError(
            "--all takes no TARGET but a server's address",
            remedy=f"leave {target} out, or leave --all out", docs=DOCS,
        )  # fmt: skip
    rows = listed(target) if target else contexts()
    found = [row.context() for row in rows if row.kind == "kernel" and row.attachable]
    if not found:
        raise TargetError(
            "there is no kernel to attach to", remedy="see what runs and why not: memprobe ps",
            docs=DOCS,
        )  # fmt: skip
    return found


def record(
    found: Sequence[KernelContext], options: AttachOptions, folder: Path,
    interrupts: Interrupts, duration: float | None, say: Callable[[str], None],
    *, drop_output: bool,
) -> list[Path]:  # fmt: skip
    """Record all of them until Ctrl-C, the duration or the end of the last; return the files.

    One that cannot be entered is told on stderr and left out. Raises TargetError for none at all.
    """
    watched: list[Watched] = []
    try:
        for context in found:
            one = _entered(context, options, folder, interrupts, drop_output)
            watched += [one] if one is not None else []
        if not watched:
            raise TargetError("none of the kernels could be entered", docs=DOCS)
        until = f"for {duration:g} s" if duration is not None else "until Ctrl-C"
        say(f"attached to {len(watched)} of {len(found)} kernels; recording {until}")
        _follow(watched, interrupts, duration, say)
    finally:
        for one in watched:
            one.attachment.detach()
    return [one.path for one in watched]


def _entered(
    context: KernelContext, options: AttachOptions, folder: Path, interrupts: Interrupts,
    drop_output: bool,
) -> Watched | None:  # fmt: skip
    from memprobe.recording.naming import default_path, free
    from memprobe.targets.entering import attach_to

    name = Path(context.notebook).name if context.notebook else context.name
    path = free(folder / default_path(name, context.pid or context.kernel_id[:8]))
    try:
        chosen = replace(options, output=path, program=name)
        return Watched(name, attach_to(context, chosen, interrupts, drop_output=drop_output), path)
    except MemprobeError as error:
        print_error(error)
        return None


def _follow(
    watched: Sequence[Watched], interrupts: Interrupts, duration: float | None,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    until = time.monotonic() + duration if duration is not None else float("inf")
    while (left := until - time.monotonic()) > 0:
        for one in watched:
            ended = one.attachment.ended is not None
            one.attachment.poll()
            if one.attachment.ended is not None and not ended:
                say(f"{one.name} has ended")
        if all(one.attachment.ended is not None for one in watched):
            return
        if interrupts.wait(min(POLL, left)):
            say("leaving …")
            return


def shares(reports: Sequence[Report]) -> str:
    """Return who holds what of the machine, as lines of text, the largest first."""
    from memprobe.reporters.amounts import percent, size
    from memprobe.reporters.printable import printable

    rows = sorted(reports, key=lambda report: -(report.recording.rss or 0))
    limit = next((r.recording.limit for r in rows if r.recording.limit), None)
    total = sum(report.recording.rss or 0 for report in rows)
    cells = [("NOTEBOOK", "PID", "RSS", "SHARE", "CAN GO", "FINDINGS")]
    for report in rows:
        one = report.recording
        own = percent(one.rss / one.limit) if one.rss is not None and one.limit else "?"
        rss = size(one.rss) if one.rss is not None else "?"
        cells.append((
            printable(one.program), str(one.pid), rss, own,
            size(sum(finding.exclusive_bytes for finding in report.findings)),
            " ".join(sorted({finding.code for finding in report.findings})) or "none",
        ))  # fmt: skip
    share = f", {percent(total / limit)} of {size(limit)}" if limit else ""
    return _aligned(cells) + f"\n{len(rows)} kernels hold {size(total)} resident{share}\n"


def _aligned(cells: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    lines = []
    for row in cells:
        left, last = 0, len(row) - 1
        lines.append("  ".join(
            text.ljust(widths[place]) if place in (left, last) else text.rjust(widths[place])
            for place, text in enumerate(row)
        ).rstrip())  # fmt: skip
    return "\n".join(lines) + "\n"
