"""Functions that somebody outside of the user's code will call, as roots: what they keep stays.

Each registry that can be read is one function here: exit handlers, signals, timers, finalizers,
calls of an event loop, IPython's events, the collector's callbacks, the interpreter's hooks, log
handlers. Only what the user registered is told: a callable whose code is the user's, or a method
of the data itself.
"""

from __future__ import annotations

import _thread
import gc
import os
import sys

from . import sizes, tasks
from .roots import Root, is_user_code, is_user_file, user_modules
from .walk import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .waiting import Waiting

KIND = "callback"
_MOST = 500  # entries of one registry
_LONGEST_NAME = 120
_DATA = frozenset({"pandas", "numpy", "polars", "pyarrow", "torch", "scipy"})
_HOOKS = (
    ("sys", "excepthook"), ("sys", "unraisablehook"), ("sys", "breakpointhook"),
    ("threading", "excepthook"),
)  # fmt: skip
_BUILT_IN = (types.BuiltinFunctionType, types.MethodWrapperType)

# One for good: a class is a cycle of its own, and would be garbage after every use.
_noted: list[Any] = []
_noting = _thread.allocate_lock()
_modules: list[Any] = [-1, []]  # how many there were, and the names of those that are the user's
_NOTE = type("Note", (), {"__slots__": (), "__eq__": _noted.append, "__hash__": None})()


class Registered:
    """Remembers since which cell each callback has been there."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], int | None] = {}

    def look(self, cell: int | None, shell: Any) -> None:
        """Note what is registered after ``cell``."""
        now = {(root.expr, id(root.take())) for root in registered(shell)}
        before = self._since
        self._since = {key: before.get(key, cell) for key in now}

    def tell(self, root: Root) -> None:
        """Add to a root of ``registered`` since which cell it has been there, where known."""
        cell = self._since.get((root.expr, id(root.obj)))
        if cell is not None:
            root.facts["since"] = cell


def callback_roots(shell: Any = None, waiting: Waiting | None = None) -> Iterator[Root]:
    """Yield the callbacks of the user, with the cell that registered each where it is known."""
    for root in registered(shell):
        if waiting is not None:
            waiting.callbacks.tell(root)
        yield root


def registered(shell: Any = None) -> Iterator[Root]:
    """Yield a root per callback of the user: exactly the reference that the registry has."""
    yield from _exit_handlers(shell)
    yield from _signals(shell)
    yield from _hooks(shell)
    yield from _collector(shell)
    yield from _events(shell)
    yield from _timers(shell)
    yield from _finalizers(shell)
    yield from _loop_calls(shell)
    yield from _log_handlers()


def is_users(callback: Any) -> bool:
    """Whether the user wrote the code of a callable, or gave a method of data away as one."""
    for _ in range(8):
        if sizes.type_name(type(callback)) != "functools.partial":
            break
        if any(map(_is_data, (*callback.args, *callback.keywords.values()))):
            return True
        callback = callback.func
    kind = type(callback)
    if sizes.is_one(kind, _BUILT_IN):
        return _is_data(callback.__self__)
    if kind is types.MethodType and _is_data(callback.__self__):
        return True
    code = _code_of(callback)
    return code is not None and is_user_code(code)


def name_of(callback: Any) -> str:
    """Return the qualified name of what runs when ``callback`` is called."""
    for _ in range(8):
        if sizes.type_name(type(callback)) != "functools.partial":
            break
        callback = callback.func
    kind = type(callback)
    if kind is types.MethodType:
        callback, kind = callback.__func__, type(callback.__func__)
    if kind is types.FunctionType or sizes.is_one(kind, _BUILT_IN):
        name = callback.__qualname__
        return name[:_LONGEST_NAME] if type(name) is str else "?"
    return sizes.type_name(kind)


def is_timer(thread: Any) -> bool:
    """Whether a thread is a ``threading.Timer``."""
    timer = getattr(sys.modules.get("threading"), "Timer", None)
    return timer is not None and timer in sizes.mro(type(thread))


def _is_data(obj: Any) -> bool:
    return sizes.module_of(type(obj)).partition(".")[0] in _DATA


def _code_of(callback: Any) -> types.CodeType | None:
    if type(callback) is types.MethodType:
        callback = callback.__func__
    if type(callback) is types.FunctionType:
        return callback.__code__
    for base in sizes.mro(type(callback)):
        call = sizes.class_namespace(base).get("__call__")
        if call is not None:
            return call.__code__ if type(call) is types.FunctionType else None
    return None


def _root(expr: str, callback: Any, shell: Any, held: Any = None, **facts: Any) -> Root:
    """Return the root of a registered ``callback``; ``held`` is what the registry refers to."""
    for _ in range(8):
        if sizes.type_name(type(callback)) != "functools.partial":
            break
        held = callback if held is None else held
        callback = callback.func
    code = _code_of(callback)
    if code is not None:
        facts.update(_place(code, shell))
    facts["function"] = name_of(callback)
    return Root(KIND, expr, callback if held is None else held, **facts)


def _place(code: types.CodeType, shell: Any) -> dict[str, Any]:
    """Return where a function was written: the cell, or file and line."""
    files = getattr(getattr(shell, "compile", None), "_filename_map", None)
    cell = files.get(code.co_filename) if type(files) is dict else None
    if type(cell) is int:
        return {"cell": cell}
    if not is_user_file(code.co_filename):
        return {}
    return {"file": os.path.basename(code.co_filename), "line": code.co_firstlineno}


# --- the interpreter's own registries -----------------------------------------------------------


def _exit_handlers(shell: Any) -> Iterator[Root]:
    for callback in exit_handlers():
        if is_users(callback):
            yield _root(f"atexit: {name_of(callback)}", callback, shell)


def exit_handlers() -> list[Any]:
    """Return the functions registered with ``atexit``; their arguments cannot be read.

    There is no list of them. But ``atexit.unregister`` compares each with what it is given:
    ``_NOTE`` takes down what it is compared with and equals nothing. Where the user defines a
    callable class that compares by code of its own, nothing is asked, since that code would run.
    """
    atexit = sys.modules.get("atexit")
    if atexit is None or any(map(_compares_and_is_called, _user_classes())):
        return []
    with _noting:
        try:
            atexit.unregister(_NOTE)
        except Exception:
            return []
        finally:
            found = _noted[:]
            _noted.clear()
    return found


def _user_classes() -> Iterator[type]:
    """Yield the classes in the namespaces of the main program and of the user's modules."""
    if _modules[0] != len(sys.modules):  # who is the user's is asked when modules came or went
        _modules[:] = [len(sys.modules), [name for name, _ in user_modules(set())]]
    for module in map(sys.modules.get, ["__main__", *_modules[1]]):
        for value in list(vars(module).values()) if type(module) is types.ModuleType else ():
            if type in sizes.mro(type(value)):
                yield value


def _compares_and_is_called(cls: type) -> bool:
    def own(name: str) -> bool:
        found = (sizes.class_namespace(base).get(name) for base in sizes.mro(cls))
        return type(next((one for one in found if one is not None), None)) is types.FunctionType

    return own("__eq__") and own("__call__")


def _signals(shell: Any) -> Iterator[Root]:
    module = sys.modules.get("_signal")
    if module is None:
        return
    for number in sorted(module.valid_signals()):
        handler = module.getsignal(number)
        if callable(handler) and is_users(handler):
            yield _root(f"signal.getsignal({_signal_name(number)})", handler, shell)


def _signal_name(number: int) -> str:
    names = vars(sys.modules.get("_signal")).items()
    known = [name for name, value in names if name[:3] == "SIG" and name[3:4] != "_"
             and type(value) is int and value == number]  # fmt: skip
    return f"signal.{min(known)}" if known else str(int(number))


def _hooks(shell: Any) -> Iterator[Root]:
    for module, name in _HOOKS:
        hook = vars(sys.modules[module]).get(name) if module in sys.modules else None
        if hook is not None and is_users(hook):
            yield _root(f"{module}.{name}", hook, shell)


def _collector(shell: Any) -> Iterator[Root]:
    for number, callback in enumerate(list(gc.callbacks)[:_MOST]):
        if is_users(callback):
            yield _root(f"gc.callbacks[{number}]", callback, shell)


def _events(shell: Any) -> Iterator[Root]:
    callbacks = getattr(getattr(shell, "events", None), "callbacks", None)
    for event, functions in list(callbacks.items()) if type(callbacks) is dict else ():
        users = [one for one in list(functions) if is_users(one)]
        for number, callback in enumerate(users):
            expr = f"get_ipython().events.callbacks[{event!r}][{number}]"
            yield _root(expr, callback, shell)


# --- registries of the standard library -----------------------------------------------------------


def _timers(shell: Any) -> Iterator[Root]:
    threading = sys.modules.get("threading")
    for thread in list(threading._active.values())[:_MOST] if threading is not None else ():
        names = sizes.instance_dict(thread) or {}
        if is_timer(thread) and is_users_timer(names):
            due = names.get("interval")
            yield _root(
                f"timer {names.get('_name')!r}", names.get("function"), shell, thread,
                due=float(due) if isinstance(due, (int, float)) else None,
            )  # fmt: skip


def is_users_timer(names: dict[str, Any]) -> bool:
    """Whether the attributes of a timer say that the user gave it its function or its data."""
    args, kwargs = names.get("args"), names.get("kwargs")
    given = list(args) if type(args) is tuple or type(args) is list else []
    given += kwargs.values() if type(kwargs) is dict else ()
    return is_users(names.get("function")) or any(map(_is_data, given))


def _finalizers(shell: Any) -> Iterator[Root]:
    finalize = getattr(sys.modules.get("weakref"), "finalize", None)
    registry = getattr(finalize, "_registry", None)
    for info in list(registry.values())[:_MOST] if type(registry) is dict else ():
        if is_users(info.func) or any(map(_is_data, info.args or ())):
            yield _root(f"weakref.finalize: {name_of(info.func)}", info.func, shell, info)


def _loop_calls(shell: Any) -> Iterator[Root]:
    for loop in tasks.loops():
        names = sizes.instance_dict(loop) or {}
        clock, planned = sys.modules["time"].monotonic(), names.get("_scheduled")
        for handle in list(planned)[:_MOST] if type(planned) is list else ():
            callback, args = handle._callback, handle._args
            if not (is_users(callback) or any(map(_is_data, args or ()))):  # None: cancelled
                continue
            due = max(0.0, handle._when - clock)
            yield _root(f"loop.call_later: {name_of(callback)}", callback, shell, handle, due=due)


def _log_handlers() -> Iterator[Root]:
    logging = sys.modules.get("logging")
    if logging is None:
        return
    loggers = {"": logging.root, **logging.root.manager.loggerDict}
    for name, logger in list(loggers.items()):
        handlers = (sizes.instance_dict(logger) or {}).get("handlers")
        for number, handler in enumerate(handlers if type(handlers) is list else ()):
            asked = repr(name) if name else ""
            expr = f"logging.getLogger({asked}).handlers[{number}]"
            yield from _log_handler(expr, handler)


def _log_handler(expr: str, handler: Any) -> Iterator[Root]:
    for base in sizes.mro(type(handler)):
        emit = sizes.class_namespace(base).get("emit")
        if emit is not None:
            if type(emit) is types.FunctionType and is_user_code(emit.__code__):
                yield Root(KIND, expr, handler, function=sizes.type_name(type(handler)))
                return
            break
    kept = (sizes.instance_dict(handler) or {}).get("buffer")
    if type(kept) is list and kept:
        yield Root(KIND, f"{expr}.buffer", kept, function=sizes.type_name(type(handler)))
