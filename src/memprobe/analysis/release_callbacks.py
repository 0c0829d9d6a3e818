"""How each registry is asked, in its documented way, to forget a callback."""

from __future__ import annotations

from memprobe.analysis.registries import event_of, logger_of, reset_of, signal_of
from memprobe.findings import Cut
from memprobe.recording.schema import Holder


def cut(holder: Holder) -> Cut:
    """Return the cut that takes a callback out of its registry."""
    return Cut(
        action="unregister", expr=holder.expr, root=holder.root, type=holder.type,
        says=_says(holder.expr, holder.function or "callback"),
    )  # fmt: skip


def _says(expr: str, function: str) -> str:
    if expr.startswith("atexit"):
        return f"atexit.unregister({function})"
    if expr.startswith("signal."):
        return f"signal.signal({signal_of(expr)}, signal.SIG_DFL)"
    if expr.startswith("timer "):
        return f"{expr}.cancel()"
    if expr.startswith("weakref."):
        return f"detach() of the finalizer {function}"
    if expr.startswith("loop."):
        return f"cancel() of the call of {function} that the event loop has planned"
    if expr.startswith("get_ipython()"):
        return f"get_ipython().events.unregister({event_of(expr)}, {function})"
    if expr.startswith("logging."):
        return f"{logger_of(expr)}.removeHandler({expr.removesuffix('.buffer')})"
    if expr.startswith("gc."):
        return f"gc.callbacks.remove({function})"
    return reset_of(expr)
