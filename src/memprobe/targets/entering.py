"""The ways into a context, the safest first: the kernel's own protocol, then its interpreter's.

A kernel is asked over its control channel: no rights but its connection file, nothing interrupted;
where it is behind a Jupyter Server, through that with the server's token.
A plain process of Python 3.14 or later takes ``sys.remote_exec``, an older one a pending call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from memprobe.errors import UsageError
from memprobe.targets.contexts import KernelContext
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import Attachment, AttachOptions

if TYPE_CHECKING:
    from memprobe.targets.jupyter_server import RemoteAttachment

    AnyAttachment = Attachment | RemoteAttachment

AUTO, KERNEL, SERVER, SIDE = "auto", "kernel", "server", "side-context"
SAID = {
    KERNEL: "through its control channel",
    SERVER: "through the server",
    SIDE: "through a context beside it",
    "remote-exec": "by sys.remote_exec",
    "pending-call": "by a pending call",
}


def attach_to(
    context: KernelContext, options: AttachOptions, interrupts: Interrupts | None = None, *,
    method: str = AUTO, say: Callable[[str], None] = lambda text: None, drop_output: bool = False,
) -> AnyAttachment:  # fmt: skip
    """Put the probe into ``context`` by ``method``, or join the one there.

    ``drop_output``: also where a server keeps output for nobody but a browser that has gone.
    Raises UsageError where it cannot be entered that way, TargetError where it refuses or does
    not answer.
    """
    how = chosen(context, method)
    if context.remote is not None:
        from memprobe.targets import jupyter_server

        if not drop_output:
            context.remote.refuse_unwatched()
        return jupyter_server.attach(context.remote, options, interrupts)
    if how == KERNEL:
        from memprobe.targets import kernel

        assert context.connection_file is not None
        return kernel.attach(context.connection_file, context.pid, options, interrupts)
    from memprobe.targets import process

    return process.attach(
        context.pid, options, interrupts, method=how, say=say,
        context="notebook" if context.kernel_id else "script",
    )  # fmt: skip


def chosen(context: KernelContext, method: str) -> str:
    """Return the method that is meant. Raises UsageError for ``kernel`` where there is none."""
    if context.remote is not None:
        if method in (AUTO, KERNEL, context.remote.method):
            return context.remote.method
        raise UsageError(
            f"cannot enter {context.name} by {method}",
            cause="it runs behind a server, where nothing but its own protocol reaches it",
            remedy="leave --method out",
            docs="verbs/attach.md",
        )
    if method == AUTO:
        return context.method or KERNEL
    if method == KERNEL and context.connection_file is None:
        raise UsageError(
            f"cannot attach to process {context.pid} as to a kernel",
            cause="it is no Jupyter kernel",
            remedy=f"leave --method out: memprobe attach {context.pid}",
            docs="verbs/attach.md",
        )
    return method


def where(context: KernelContext) -> str:
    """Return where a context runs, as a report of progress says it."""
    return f"process {context.pid}" if context.remote is None else f"on {context.server}"
