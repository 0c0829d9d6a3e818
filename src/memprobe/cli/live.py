"""``memprobe live``: a full-screen view of a running context."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprobe.cli.servers import drop_output_option
from memprobe.errors import UsageError

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.findings import Finding
    from memprobe.live.app import LiveApp
    from memprobe.live.follower import Follower
    from memprobe.targets.contexts import KernelContext
    from memprobe.targets.kernel import AttachOptions

DOCS = "verbs/live.md"
LEAVE = 40.0  # seconds the probe is given to leave after the screen has gone


@click.command("live")
@click.argument("target", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Keep the recording."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--interval", metavar="SECONDS", help="Time between two samples.  [default: 1]")
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for a snapshot.  [default: 0.25]"
)
@click.option(
    "--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the target's answer.",
)  # fmt: skip
@drop_output_option
def command(
    target: str | None, output: Path | None, force: bool, interval: str | None,
    max_pause: str | None, timeout: float, drop_output: bool,
) -> None:  # fmt: skip
    """Show a running notebook or Python process full-screen: memory, holders, findings.

    TARGET is what memprobe attach takes. Keys: s takes a snapshot, g has Python collect garbage,
    r lets go of the finding under the cursor (it asks first), q leaves. The target goes on as it
    was.
    """
    from memprobe import config

    _require_textual()
    _require_terminal()
    from memprobe.targets.discovery import Asked, resolve
    from memprobe.targets.kernel import AttachOptions

    settings = config.load(interval=interval, max_pause=max_pause)
    context = resolve(target, Asked("live"))
    with tempfile.TemporaryDirectory(prefix="memprobe-live-") as scratch:
        options = AttachOptions(
            output=output or Path(scratch, "live.memprobe"), program=_name(context),
            interval=settings.interval, timeout=timeout, max_pause=settings.max_pause,
            cap=settings.cap, force=force, lease=settings.lease, cpu_share=settings.cpu_share,
            pull=2.0,
        )  # fmt: skip
        _watch(context, options, settings, drop_output, Path(scratch))
    if output is not None:
        click.echo(f"recording: {output}", err=True)


def _watch(
    context: KernelContext, options: AttachOptions, settings: Config, drop_output: bool,
    scratch: Path,
) -> None:  # fmt: skip
    from memprobe.live.app import LiveApp
    from memprobe.live.follower import Follower
    from memprobe.targets.entering import attach_to

    def make(app: LiveApp) -> Follower:
        return Follower(
            lambda: attach_to(context, options, drop_output=drop_output), options.output, settings,
            app.show, app.tell, app.over,
        )  # fmt: skip

    app = LiveApp(make, _releaser(context, options, settings, scratch), settings.max_pause)
    try:
        app.run()
    finally:
        app.follower.leave()
        app.follower.join(LEAVE)
    if app.error is not None:
        raise app.error


def _releaser(
    context: KernelContext, options: AttachOptions, settings: Config, scratch: Path
) -> Callable[[Finding], str] | None:
    """Return what lets go of one finding and tells what came of it; None where that cannot be."""
    file = context.connection_file
    if file is None:
        return None

    def release(finding: Finding) -> str:
        from dataclasses import replace

        from memprobe.errors import TargetError
        from memprobe.targets import release as module
        from memprobe.targets.interrupts import Interrupts

        look = replace(options, output=scratch / "release.memprobe", force=True)
        with Interrupts(()) as none, module.look(file, context.pid, look, settings, none) as found:
            same = [f for f in found.report.findings if f.fingerprint == finding.fingerprint]
            if not same:
                raise TargetError("changed since", cause="a new look does not find it any more")
            answer = module.release(found, same)
        if answer["state"] == "busy":
            return f"nothing was touched: {answer['why']}; try again when the cell has ended"
        return f"released {finding.fingerprint}; press s to see what is left"

    return release


def _require_textual() -> None:
    import importlib.util

    if importlib.util.find_spec("textual") is None:
        raise UsageError(
            "memprobe live needs textual, which is not installed",
            remedy="pip install 'memprobe-spark[live]'", docs=DOCS,
        )  # fmt: skip


def _require_terminal() -> None:
    import sys

    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "memprobe live needs a terminal",
            cause="input, output or stderr is a pipe or a file",
            remedy="watch without one: memprobe attach TARGET", docs=DOCS,
        )  # fmt: skip


def _name(context: KernelContext) -> str:
    return Path(context.notebook).name if context.notebook else context.name
