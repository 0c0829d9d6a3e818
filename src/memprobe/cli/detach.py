"""``memprobe detach``: stop and remove the probe in a running context."""

from __future__ import annotations

import time
from pathlib import Path

import click

LEAVE = 30.0  # seconds: the last snapshot alone may take 25


@click.command("detach")
@click.argument("target", required=False)
def command(target: str | None) -> None:
    """Take the probe out of TARGET, whoever put it there.

    All clients that are attached get their report. Without a probe in it, nothing is done.
    """
    from memprobe.errors import TargetError
    from memprobe.targets import discovery
    from memprobe.targets.live_sessions import live_sessions
    from memprobe.targets.processes import read_processes
    from memprobe.targets.session import SessionFolder

    context = discovery.resolve(target)
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
    raise TargetError(
        f"the probe in process {context.pid} did not leave within {LEAVE:.0f} s",
        cause="C code there holds the GIL",
        remedy="try again when it has returned; without a client it leaves by itself after 60 s",
        docs="verbs/detach.md",
    )
