"""Taking the user's callbacks out of the registries that keep them, each in its documented way.

What a registry holds is compared by identity where the registry lets us: an ``==`` could be code
of the user's.
"""

from __future__ import annotations

import gc
import sys

from .cuts import Changed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .release_space import Space

_TIMER_ENDS = 5.0  # seconds in which a cancelled timer's thread has gone


def unregister(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """Have a registry forget a callback; all of them where several have one name."""
    found = space.all_same(cut, int(cut.get("number") or 1))
    expr = cut["expr"]
    forget = _forgetting(space, expr)

    def do() -> None:
        while found:
            forget(found.pop())

    return do


def _forgetting(space: Space, expr: str) -> Callable[[Any], None]:
    if expr.startswith("atexit"):
        return lambda one: _module("atexit").unregister(one)
    if expr.startswith("signal."):
        return lambda _: _default_signal(expr[len("signal.getsignal(") : -1])
    if expr.startswith("timer "):
        return _cancel_timer
    if expr.startswith("weakref."):
        return _detach
    if expr.startswith("loop."):
        return lambda handle: handle.cancel()
    if expr.startswith("get_ipython()"):
        event = expr.split("[")[1].strip("]'")
        return lambda one: _remove(space.shell.events.callbacks[event], one)
    if expr.startswith("logging."):
        return lambda _: _remove_handler(expr)
    if expr.startswith("gc."):
        return lambda one: _remove(gc.callbacks, one)
    if expr.partition(".")[0] in ("sys", "threading"):
        return lambda _: _default_hook(*expr.split("."))
    raise Refused("its registry is not known")


def _module(name: str) -> Any:
    module = sys.modules.get(name)
    if module is None:
        raise Changed(f"{name} is not loaded any more")
    return module


def _remove(listed: list[Any], one: Any) -> None:
    """Remove an entry by identity."""
    for position, entry in enumerate(listed):
        if entry is one:
            del listed[position]
            return
    raise Changed("it is not registered any more")


def _default_signal(name: str) -> None:
    module = _module("signal")
    number = getattr(module, name.partition(".")[2], None) if "." in name else int(name)
    module.signal(number, module.SIG_DFL)


def _cancel_timer(thread: Any) -> None:
    threading = _module("threading")
    threading.Timer.cancel(thread)
    threading.Thread.join(thread, _TIMER_ENDS)  # until then its thread refers to it


def _detach(info: Any) -> None:
    finalize = _module("weakref").finalize
    for one, known in list(finalize._registry.items()):
        if known is info:
            finalize.detach(one)
            return
    raise Changed("it is not registered any more")


def _remove_handler(expr: str) -> None:
    logging = _module("logging")
    name = expr[len("logging.getLogger(") : expr.index(")")].strip("'\"")
    position = int(expr.partition(".handlers[")[2].partition("]")[0])
    logger = logging.getLogger(name) if name else logging.root
    logging.Logger.removeHandler(logger, logger.handlers[position])


def _default_hook(module: str, name: str) -> None:
    owner = _module(module)
    setattr(owner, name, getattr(owner, f"__{name}__"))
