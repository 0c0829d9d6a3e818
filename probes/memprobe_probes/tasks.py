"""The asyncio tasks that run the user's coroutines, read through asyncio's own C types."""

from __future__ import annotations

import sys
import types

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_REGISTRIES = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")
_WRAPPERS = 8  # coroutines of asyncio itself around the user's, as in ``wait_for``
_TRIES = 3


def task_type() -> Any:
    """Return asyncio's C type of tasks, or None where asyncio was never imported."""
    return getattr(sys.modules.get("_asyncio"), "Task", None)


def is_task(cls: type) -> bool:
    """Whether instances of ``cls`` are tasks of the C implementation."""
    task = task_type()
    return task is not None and task in sizes.mro(cls)


def is_loop(cls: type) -> bool:
    """Whether ``cls`` is an event loop: from there the walk would reach every waiting callback."""
    base = getattr(sys.modules.get("asyncio.events"), "AbstractEventLoop", None)
    return base is not None and base in sizes.mro(cls)


def may_wake(cls: type) -> bool:
    """Whether an instance of ``cls`` may be what a future calls to go on with a task."""
    return cls is types.BuiltinFunctionType or (
        sizes.module_of(cls) == "_asyncio" and cls.__name__.endswith("MethWrapper")
    )


def is_wakeup(obj: Any) -> bool:
    """Whether ``obj`` is what a future calls to go on with a task: cancelling takes it back."""
    return type(obj) is not types.BuiltinFunctionType or is_task(type(obj.__self__))


def kept_by(task: Any, referents: list[Any]) -> list[Any]:
    """Return what a task refers to, without the future it waits for and its context."""
    waiting = waits_for(task)
    return [one for one in referents if one is not waiting and not _is_context(one)]


def _is_context(obj: Any) -> bool:
    return sizes.type_name(type(obj)).rpartition(".")[2] == "Context"


def waits_for(task: Any) -> Any:
    """Return the future a task waits for, or None."""
    return vars(task_type())["_fut_waiter"].__get__(task)


def pending() -> list[Any]:
    """Return the user's tasks that have not ended."""
    task = task_type()
    if task is None:
        return []
    found = {id(one): one for one in _registered() if is_task(type(one)) and not task.done(one)}
    return [one for one in found.values() if coroutine_of(one) is not None]


def loops() -> list[Any]:
    """Return the event loops that run tasks, or that tornado drives."""
    found = {id(loop): loop for loop in _loops()}
    task = task_type()
    for one in _registered() if task is not None else ():
        if is_task(type(one)):
            loop = task.get_loop(one)
            found[id(loop)] = loop
    tornado = getattr(sys.modules.get("tornado.ioloop"), "IOLoop", None)
    driven = getattr(tornado, "_ioloop_for_asyncio", None)
    if type(driven) is dict:
        found.update((id(loop), loop) for loop in list(driven))
    return list(found.values())


def coroutine_of(task: Any) -> Any:
    """Return the user's coroutine that a task runs, or None where it runs somebody else's."""
    from .roots import is_user_code  # which asks this module for its tasks

    coroutine = task_type().get_coro(task)
    for _ in range(_WRAPPERS):
        if type(coroutine) is not types.CoroutineType:
            return None
        if is_user_code(coroutine.cr_code):
            return coroutine
        if "/asyncio/" not in coroutine.cr_code.co_filename:
            return None
        coroutine = coroutine.cr_await
    return None


def name_of(task: Any) -> str:
    """Return how a report calls a task: ``asyncio task 'Task-7' (worker)``."""
    coroutine = coroutine_of(task)
    function = coroutine.cr_code.co_name if coroutine is not None else "?"
    return f"asyncio task {task_type().get_name(task)!r} ({function})"


def _registered() -> Iterator[Any]:
    module = sys.modules.get("asyncio.tasks")
    for name in _REGISTRIES:
        registry = getattr(module, name, None)
        for _ in range(_TRIES):
            try:
                yield from list(registry or ())
                break
            except RuntimeError:  # a task was made on another thread meanwhile
                continue
    in_c = getattr(sys.modules.get("_asyncio"), "all_tasks", None)
    if in_c is not None:  # from Python 3.14 on the registry is C's own
        for loop in _loops():
            yield from in_c(loop)


def _loops() -> list[Any]:
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    loop = running() if running is not None else None
    return [] if loop is None else [loop]
