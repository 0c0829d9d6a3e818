"""``memprobe attach``: put the probe into a running context, record, report, leave."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from memprobe.cli.entering import METHODS
from memprobe.cli.rules import known_before, rule_options
from memprobe.cli.servers import drop_output_option

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.recording.schema import Record
    from memprobe.targets.contexts import KernelContext
    from memprobe.targets.entering import AnyAttachment
    from memprobe.targets.interrupts import Interrupts

POLL = 0.2  # seconds between two looks at the spool
KERNEL_GONE = ("exit", "kernel-died", "kernel-restarted", "restarted")
RESTARTED = ("kernel-restarted", "restarted")
AGAIN, COMING_BACK = 2.0, 90.0  # seconds between two looks for a new process, and for all of them


@click.command("attach")
@click.argument("target", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Record there."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Attach to every kernel of yours at once, and tell who holds what.",
)
@click.option(
    "--cell",
    is_flag=True,
    help="Print a cell to paste into a notebook that cannot be entered from outside.",
)
@click.option("--duration", type=float, metavar="SECONDS", help="Stop by itself after so long.")
@click.option("--interval", metavar="SECONDS", help="Time between two samples.  [default: 1]")
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for a snapshot.  [default: 0.25]"
)
@click.option(
    "--timeout",
    type=float,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the target's answer.",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=METHODS[0],
    show_default=True,
    help="How to get in; auto is the safest that works.",
)
@drop_output_option
@rule_options
@click.option(
    "--output-format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(["text", "concise", "json", "markdown", "junit"]),
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the report.")
def command(
    target: str | None, output: Path | None, force: bool, duration: float | None,
    interval: str | None, max_pause: str | None, timeout: float, drop_output: bool,
    select: str | None, ignore: str | None, baseline: str | None, form: str, quiet: bool,
    method: str, everything: bool, cell: bool,
) -> int:  # fmt: skip
    """Put the probe into a running notebook or Python process, from outside, also while it works.

    TARGET is a notebook's name or path, a kernel id, a connection file, a script's name, the PID of
    any Python process, or the address of a Jupyter Server (with the notebook's path after it);
    without it, choose from a list. Records until Ctrl-C, --duration or the target's end, prints
    the report and takes the probe out again. The target goes on undisturbed.
    """
    from memprobe import config
    from memprobe.cli.judge import judge
    from memprobe.errors import TargetError
    from memprobe.recording.naming import default_path, free
    from memprobe.targets import discovery
    from memprobe.targets.interrupts import Interrupts

    settings = config.load(interval=interval, max_pause=max_pause, select=select, ignore=ignore)
    if cell:
        from memprobe.cli.pasted_cell import show

        show(settings, quiet)
        return 0
    known = known_before(settings, baseline)
    if everything:
        return _all(settings, known, target, output, duration, timeout, form, quiet, drop_output)
    context = discovery.resolve(target)
    first = output or free(default_path(_name(context), context.pid or context.kernel_id[:8]))
    visit = Visit(settings, timeout, method, drop_output, quiet)
    with Interrupts() as interrupts:
        attachment = visit.attach(context, first, interrupts, force=force)
        until = time.monotonic() + duration if duration is not None else float("inf")
        visit.follow(context, attachment, interrupts, until, duration)
        paths = [first]
        while again := _after_restart(target, context, attachment, interrupts, until, quiet):
            context, path = again, free(first)
            try:
                attachment = visit.attach(context, path, interrupts)
            except TargetError as error:
                _say(quiet, f"its new process cannot be entered: {error.summary}")
                break
            paths.append(path)
            visit.follow(context, attachment, interrupts, until, duration)
    verdict = judge([str(path) for path in paths], settings, known)
    if verdict.reports:
        verdict.show(form)
    _say(quiet, ("recording: " if len(paths) == 1 else "recordings: ") + ", ".join(map(str, paths)))
    return verdict.exit_code(exit_zero=True)


class Visit(NamedTuple):
    """How a context is entered and followed."""

    settings: Config
    timeout: float
    method: str
    drop_output: bool
    quiet: bool

    def attach(
        self, context: KernelContext, path: Path, interrupts: Interrupts, *, force: bool = False
    ) -> AnyAttachment:
        """Put the probe in. Raises TargetError, UsageError, RecordingError, KeyboardInterrupt."""
        from memprobe.targets.entering import attach_to, chosen
        from memprobe.targets.kernel import AttachOptions

        settings = self.settings
        options = AttachOptions(
            output=path, program=_name(context), interval=settings.interval, timeout=self.timeout,
            max_pause=settings.max_pause, cap=settings.cap, force=force, lease=settings.lease,
            cpu_share=settings.cpu_share,
        )  # fmt: skip
        return attach_to(
            context, options, interrupts, method=chosen(context, self.method),
            say=lambda text: _say(self.quiet, text), drop_output=self.drop_output,
        )  # fmt: skip

    def follow(
        self, context: KernelContext, attachment: AnyAttachment, interrupts: Interrupts,
        until: float, duration: float | None,
    ) -> None:  # fmt: skip
        """Record until the end, take the probe out, and say how it went."""
        from memprobe.targets.entering import chosen

        try:
            how = chosen(context, self.method)
            _say(self.quiet, _welcome(context, attachment, duration, how))
            _follow(attachment, interrupts, until, self.quiet)
        finally:
            heard = attachment.detach()
        _tell_end(attachment, heard, self.quiet)


def _after_restart(
    target: str | None, context: KernelContext, attachment: AnyAttachment, interrupts: Interrupts,
    until: float, quiet: bool,
) -> KernelContext | None:  # fmt: skip
    """Return the new process of a Databricks notebook whose Python was restarted, once it is there.

    None: there was no restart, nobody wants to see more, or the notebook has not come back.
    """
    from memprobe.databricks import address
    from memprobe.errors import MemprobeError
    from memprobe.targets import discovery

    ended = attachment.ended
    if ended is None or ended.reason not in RESTARTED or not address.is_databricks(target):
        return None
    if not context.notebook:
        _say(quiet, "its notebook is not known by name, so its new process is not looked for")
        return None
    again = address.Address(address.parsed(str(target)).cluster, context.notebook.strip("/")).shown
    deadline = min(until, time.monotonic() + COMING_BACK)
    while time.monotonic() < deadline and not interrupts.wait(AGAIN):
        try:
            found = discovery.resolve(again)
        except MemprobeError:
            continue
        if found.pid != context.pid:
            return found
    _say(quiet, "its new process has not been seen")
    return None


def _all(
    settings: Config, known: frozenset[str], target: str | None, output: Path | None,
    duration: float | None, timeout: float, form: str, quiet: bool, drop_output: bool,
) -> int:  # fmt: skip
    """Record every kernel, each into a file of its own in the folder ``output``."""
    from memprobe.cli import attach_all
    from memprobe.cli.judge import judge
    from memprobe.cli.output import emit
    from memprobe.errors import UsageError
    from memprobe.targets.interrupts import Interrupts
    from memprobe.targets.kernel import AttachOptions

    folder = output or Path()
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder",
            cause="with --all each kernel has a recording of its own",
            remedy="name a folder that exists: --output FOLDER", docs="verbs/attach.md",
        )  # fmt: skip
    options = AttachOptions(
        output=folder, interval=settings.interval, timeout=timeout, max_pause=settings.max_pause,
        cap=settings.cap, lease=settings.lease, cpu_share=settings.cpu_share,
    )  # fmt: skip
    with Interrupts() as interrupts:
        paths = attach_all.record(
            attach_all.kernels(target), options, folder, interrupts, duration,
            lambda text: _say(quiet, text), drop_output=drop_output,
        )  # fmt: skip
    verdict = judge([str(path) for path in paths], settings, known)
    if verdict.reports:
        if form == "text":
            emit(attach_all.shares(verdict.reports) + "\n")
        verdict.show(form)
    _say(quiet, "recordings: " + ", ".join(map(str, paths)))
    return verdict.exit_code(exit_zero=True)


def _follow(attachment: AnyAttachment, interrupts: Interrupts, until: float, quiet: bool) -> None:
    """Poll until Ctrl-C, which is the normal end, the time, or the end of the kernel."""
    while attachment.ended is None and (left := until - time.monotonic()) > 0:
        for record in attachment.poll():
            _say(quiet, _news(record))
        if attachment.writer.failed:
            _say(quiet, f"the recording cannot be written any more: {attachment.writer.failed}")
            return
        if interrupts.wait(min(POLL, left)):
            _say(quiet, "leaving …")
            return


def _tell_end(attachment: AnyAttachment, heard: bool, quiet: bool) -> None:
    if attachment.ended is not None and attachment.ended.reason == "gone":
        _say(quiet, "the process has ended; this is what was recorded")
    if attachment.ended is not None and attachment.ended.reason in KERNEL_GONE:
        _say(quiet, "the kernel has ended or was restarted; this is what was recorded")
    if attachment.ended is not None and attachment.ended.reason == "connection-lost":
        _say(quiet, "the server cannot be reached any more; this is what came until then")
    if why := getattr(attachment, "why", ""):
        _say(quiet, f"  {why}")
    if not heard:
        _say(quiet, "the target does not answer; the probe leaves as soon as C code there lets it")


def _news(record: Record) -> str:
    from memprobe.recording.schema import Marker

    if isinstance(record, Marker) and record.phase == "end" and record.cell is not None:
        took = f"{record.seconds:.1f} s" if record.seconds is not None else ""
        return " · ".join(filter(None, [f"cell {record.cell} ended", took, record.error]))
    return ""


def _welcome(
    context: KernelContext, attachment: AnyAttachment, duration: float | None, method: str
) -> str:
    from memprobe.targets.entering import SAID, where

    done = "joined the probe in" if attachment.joined else "attached to"
    way = "" if attachment.joined else f" {SAID[method]}"
    until = f"for {duration:g} s" if duration is not None else "until Ctrl-C"
    return f"{done} {_name(context)} ({where(context)}){way}; recording {until}"


def _name(context: KernelContext) -> str:
    return Path(context.notebook).name if context.notebook else context.name


def _say(quiet: bool, text: str) -> None:
    if text and not quiet:
        click.echo(text, err=True)
