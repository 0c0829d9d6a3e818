"""What to type so that a registry lets go of a callback."""

from __future__ import annotations

from memprobe.analysis.evidence import NAMESPACE, THREAD
from memprobe.analysis.registries import event_of, logger_of, reset_of, signal_of
from memprobe.analysis.retention import Bundle
from memprobe.recording.schema import Holder


def undo(holder: Holder, bundle: Bundle) -> str:
    """Return what to type so that the registry lets go."""
    expr = holder.expr
    if holder.root == THREAD:
        return f"end the {expr}: set the event, or release the lock, that it waits for"
    if expr.startswith("signal."):
        return f"import signal; signal.signal({signal_of(expr)}, signal.SIG_DFL);"
    if expr.startswith("atexit"):
        return _unregister_at_exit(holder, bundle)
    if expr.startswith("timer "):
        return _cancel_timer(holder, bundle)
    if expr.startswith("weakref."):
        ours = _is_function_of(holder, "one.peek()[1]")
        return (
            f"import weakref; [one.detach() for one in list(weakref.finalize._registry) if {ours}];"
        )
    if expr.startswith("loop."):
        ours = _is_function_of(holder, "one._callback")
        return (
            "import asyncio; [one.cancel() for one in asyncio.get_running_loop()._scheduled "
            f"if {ours}];"
        )
    return _take_out(holder)


def _is_function_of(holder: Holder, place: str) -> str:
    """Return code that tells whether the holder's function is in a place."""
    return f"getattr({place}, '__qualname__', None) == {holder.function!r}"


def _name_of(holder: Holder, bundle: Bundle) -> str | None:
    """Return a name in the bundle that the callback itself has."""
    same = (one for one in bundle.holders if one.object == holder.object and one is not holder)
    return next((one.expr for one in same if one.root in (NAMESPACE, "module")), None)


def _unregister_at_exit(holder: Holder, bundle: Bundle) -> str:
    name = _name_of(holder, bundle)
    if name is not None:
        return f"import atexit; atexit.unregister({name})"
    ours = _is_function_of(holder, "one")
    return f"import atexit, gc; [atexit.unregister(one) for one in gc.get_objects() if {ours}];"


def _cancel_timer(holder: Holder, bundle: Bundle) -> str:
    name = _name_of(holder, bundle)
    if name is not None:
        return f"{name}.cancel(); {name}.join()"
    ours = f"one.name == {holder.expr[len('timer ') :]}"
    return (
        "import threading; "
        f"[(one.cancel(), one.join()) for one in threading.enumerate() if {ours}];"
    )


def _take_out(holder: Holder) -> str:
    """Return the removal of what stands in a list or is an attribute."""
    expr = holder.expr
    if expr.startswith("get_ipython()"):
        event, ours = event_of(expr), _is_function_of(holder, "one")
        return (
            f"[get_ipython().events.unregister({event}, one) "
            f"for one in list(get_ipython().events.callbacks[{event}]) if {ours}];"
        )
    if expr.startswith("logging."):
        return f"import logging; {logger_of(expr)}.handlers.clear()"
    if expr.startswith("gc."):
        return f"import gc; del {expr}"
    return f"import sys; {reset_of(expr)}"
