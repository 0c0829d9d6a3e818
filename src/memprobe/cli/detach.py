"""``memprobe detach``: stop and remove the probe in a running context."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memprobe.cli.servers import drop_output_option

if TYPE_CHECKING:
    from memprobe.targets.contexts import KernelContext

LEAVE = 30.0  # seconds: the last snapshot alone may take 25


@click.command("detach")
@click.argument("target", required=False)
@drop_output_option
def command(target: str | None, drop_output: bool) -> None:
    """Take the probe out of TARGET, whoever put it there.

    All clients that are attached get their report. Without a probe in it, nothing is done.
    """
    from memprobe.targets import discovery
    from memprobe.targets.live_sessions import live_sessions
    from memprobe.targets.processes import read_processes
    from memprobe.targets.session import SessionFolder

    context = discovery.resolve(target)
    if context.remote is not None:
        _on_server(context, drop_output)
        return
    table = read_processes()
    session = live_sessions({one.pid: one.created for one in table}).get(context.pid)
    if session is None:
        click.echo(f"no probe in process {context.pid}", err=True)
        return
    folder = SessionFolder(Path(session.folder), {})
    reply = folder.send("detach", timeout=LEAVE)
    deadline = time.monotonic() + LEAVE
    while reply is not None and time.monotonic() < deadline:
        if folder.send("status", timeout=0.5) is None:
            click.echo(f"the probe has left process {context.pid}", err=True)
            return
        time.sleep(0.05)
    raise _stays(f"process {context.pid}")


def _on_server(context: KernelContext, drop_output: bool) -> None:
    from memprobe.targets import jupyter_server

    assert context.remote is not None
    if not drop_output:
        context.remote.refuse_unwatched()
    left = jupyter_server.detach_all(context.remote)
    if left is False:
        raise _stays(context.name)
    said = f"no probe in {context.name}" if left is None else f"the probe has left {context.name}"
    click.echo(f"{said} (on {context.server})", err=True)


def _stays(where: str) -> Exception:
    from memprobe.errors import TargetError

    return TargetError(
        f"the probe in {where} did not leave within {LEAVE:.0f} s",
        cause="C code there holds the GIL",
        remedy="try again when it has returned; without a client it leaves by itself after 60 s",
        docs="verbs/detach.md",
    )
