"""The ways into a context, the safest first: the kernel's own protocol, then its interpreter's.

A kernel is asked over its control channel: no rights but its connection file, nothing interrupted.
A plain process of Python 3.14 or later takes ``sys.remote_exec``, an older one a pending call.
"""

from __future__ import annotations

from collections.abc import Callable

from memprobe.errors import UsageError
from memprobe.targets.contexts import KernelContext
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import Attachment, AttachOptions

AUTO, KERNEL = "auto", "kernel"
SAID = {
    KERNEL: "through its control channel",
    "remote-exec": "by sys.remote_exec",
    "pending-call": "by a pending call",
}


def attach_to(
    context: KernelContext, options: AttachOptions, interrupts: Interrupts | None = None, *,
    method: str = AUTO, say: Callable[[str], None] = lambda text: None,
) -> Attachment:  # fmt: skip
    """Put the probe into ``context`` by ``method``, or join the one there.

    Raises UsageError where it cannot be entered that way, TargetError where it refuses or does
    not answer.
    """
    how = chosen(context, method)
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
