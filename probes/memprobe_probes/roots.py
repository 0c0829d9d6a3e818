"""What can hold an object, as references that a user can cut.

Each ``Root`` stands for exactly one reference in memory, so that the walk can compare the
references it has met with an object's reference count. ``expr`` is what a user types to reach it.
"""

from __future__ import annotations

import gc
import os
import sys
import types

from . import artists, frames, sizes, tasks
from .caches import facts, unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .waiting import Waiting

_IPYTHON_NAMES = frozenset(
    {"In", "Out", "_ih", "_oh", "_dh", "_i", "_ii", "_iii", "exit", "quit", "get_ipython", "open"}
)
_LAST_OUTPUTS = ("_", "__", "___")
# Files of the standard library in which a thread waits that has more to do.
_WHERE_WORK_COMES = ("/queue.py", "/selectors.py", "/socket.py", "/socketserver.py",
                     "/futures/thread.py", "/asyncio/base_events.py")  # fmt: skip
# The call of a thread's function keeps the tuple of its arguments until it returns.
_KEEPS_ARGUMENTS = sys.version_info < (3, 12)
_LAST_ERRORS = ("last_exc", "last_value", "last_traceback")


class Root:
    """One named reference: its kind, the expression that reaches it, facts for the report."""

    __slots__ = ("expr", "facts", "kind", "obj")

    def __init__(self, kind: str, expr: str, obj: Any, **facts: Any) -> None:
        self.kind = kind
        self.expr = expr
        self.obj = obj
        self.facts = {name: fact for name, fact in facts.items() if fact is not None}

    def take(self) -> Any:
        """Return the object and forget it: a root's own reference must not count."""
        obj, self.obj = self.obj, None
        return obj


def notebook_roots(shell: Any, waiting: Waiting | None = None) -> list[Root]:
    """Return every reference of an IPython shell that can keep a user's object.

    ``waiting`` knows since which cell threads and tasks wait.
    """
    found: list[Root] = []
    found += _namespace(shell)
    found += _outputs(shell)
    found += _errors(shell)
    found += _process_wide({id(shell.user_ns)}, waiting, shell)
    return _real(found)


def script_roots(*, at_exit: bool = False) -> list[Root]:
    """Return every reference of a script that can keep an object.

    At exit the interpreter's record of an uncaught exception is left out: it ends with the
    process, as everything else it would be blamed for.
    """
    main = sys.modules.get("__main__")
    names = vars(main) if main is not None else {}
    found = [
        _named("module", name, value)
        for name, value in list(names.items())
        if type(name) is str and not _dunder(name)
    ]
    if not at_exit:
        found += _last_errors()
    found += _process_wide({id(names)})
    return _real(found)


def named_roots(shell: Any = None) -> list[Root]:
    """Return the references that have a name: what takes a search through the heap is left out.

    Names of the notebook or the script, outputs, the user's modules and classes, and locals of
    running functions. ``shell`` is the IPython shell of a notebook.
    """
    main = sys.modules.get("__main__")
    names: dict[str, Any] = vars(main) if main is not None else {}
    found: list[Root] = []
    if shell is not None:
        names = shell.user_ns
        found += [*_namespace(shell), *_outputs(shell), *_errors(shell)]
    else:
        found += [
            _named("module", name, value)
            for name, value in list(names.items())
            if type(name) is str and not _dunder(name)
        ]
    spaces = [names]
    for module, held in user_modules({id(names)}):
        spaces.append(held)
        found += [
            _named("module", f"{module}.{name}", value)
            for name, value in list(held.items())
            if type(name) is str and not _dunder(name)
        ]
    found += _class_attributes(spaces)
    found += running_locals()
    return _real(found)


def stop_ids(shell: Any = None) -> set[int]:
    """Return the ids of the dicts and objects at which a walk is cut.

    Those whose references are roots are among them: met on the way up from an object, they
    would else pass for somebody unnamed who holds it too.
    """
    stops = {id(vars(module)) for module in list(sys.modules.values()) if _is_module(module)}
    stops.add(id(sys.modules))
    spaces = [names for _, names in user_modules(set())]
    main = sys.modules.get("__main__")
    spaces += [vars(main)] if main is not None else []
    for cls in _own_classes(spaces):
        stops.update(map(id, gc.get_referents(sizes.class_namespace(cls))))
    if shell is not None:
        stops |= {id(shell), id(shell.user_ns), id(shell.user_ns_hidden), id(shell.user_module)}
        parts = (
            getattr(shell, name, None) for name in ("displayhook", "InteractiveTB", "SyntaxTB")
        )
        stops.update(id(sizes.instance_dict(part)) for part in parts if part is not None)
        for name in ("In", "Out", "_ih", "_oh"):
            if name in shell.user_ns:
                stops.add(id(shell.user_ns[name]))
    return stops


def _real(roots: Iterable[Root]) -> list[Root]:
    return [root for root in roots if root.obj is not None and not _is_module(root.obj)]


def _is_module(obj: Any) -> bool:
    return types.ModuleType in sizes.mro(type(obj))


def _dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def is_output_name(name: str) -> bool:
    """Whether IPython itself binds ``name`` to a displayed object: ``_``, ``__``, ``_7``."""
    return name in _LAST_OUTPUTS or (name.startswith("_") and name[1:].isdigit())


def is_own_name(name: str) -> bool:
    """Whether ``name`` belongs to Python or IPython themselves: ``__name__``, ``_ih``, ``_i3``."""
    return _dunder(name) or _is_ipython_name(name)


def _is_ipython_name(name: str) -> bool:
    return name in _IPYTHON_NAMES or (name.startswith("_i") and name[2:].isdigit())


def _namespace(shell: Any) -> Iterator[Root]:
    displayed = _last_displayed(shell)
    outputs = shell.user_ns.get("Out")
    for name, value in list(shell.user_ns.items()):
        if type(name) is not str or _dunder(name) or _is_ipython_name(name):
            continue
        if is_output_name(name):
            own = not _is_last(displayed, value) if name in _LAST_OUTPUTS else False
            cell = int(name[1:]) if name[1:].isdigit() else _cell_of(outputs, value)
            kind = "notebook-namespace" if own else "ipython-output"
            yield Root(kind, name, value, cell=cell)
            continue
        yield _named("notebook-namespace", name, value)


def _named(kind: str, expr: str, value: Any) -> Root:
    """Return the root of a name: of its own kind where it is an ``lru_cache``."""
    cache = facts(unwrapped(value))
    if cache is None:
        return Root(kind, expr, value)
    return Root("lru-cache", expr, value, cache=cache)


def _last_displayed(shell: Any) -> list[Any]:
    hook = getattr(shell, "displayhook", None)
    return [getattr(hook, name, None) for name in _LAST_OUTPUTS]


def _is_last(displayed: list[Any], value: Any) -> bool:
    return any(value is one for one in displayed)


def _cell_of(outputs: Any, value: Any) -> int | None:
    if type(outputs) is not dict:
        return None
    cells = [number for number, one in list(outputs.items()) if one is value]
    return max(cells) if cells else None


def _outputs(shell: Any) -> Iterator[Root]:
    outputs = shell.user_ns.get("_oh")
    outputs = outputs if type(outputs) is dict else {}
    for number, value in list(outputs.items()):
        if type(number) is int:
            yield Root("ipython-output", f"Out[{number}]", value, cell=number)
    hook = getattr(shell, "displayhook", None)
    for name in _LAST_OUTPUTS:
        value = getattr(hook, name, None)
        cell = _cell_of(outputs, value)
        yield Root("ipython-output", f"get_ipython().displayhook.{name}", value, cell=cell)
    yield from _hidden(shell, outputs)
    result = getattr(shell, "last_execution_result", None)
    value = getattr(result, "result", None)
    cell = getattr(result, "execution_count", None)
    expr = "get_ipython().last_execution_result.result"
    yield Root("ipython-output", expr, value, cell=cell)


def _hidden(shell: Any, outputs: dict[Any, Any]) -> Iterator[Root]:
    """Yield what ``user_ns_hidden`` keeps: a copy of names as they were when hidden."""
    hidden = getattr(shell, "user_ns_hidden", None)
    for name, value in list(hidden.items()) if type(hidden) is dict else []:
        if type(name) is str and not _is_ipython_name(name) and not _dunder(name):
            expr = f"get_ipython().user_ns_hidden[{name!r}]"
            yield Root("ipython-output", expr, value, cell=_cell_of(outputs, value))


def _errors(shell: Any) -> Iterator[Root]:
    result = getattr(shell, "last_execution_result", None)
    cell = getattr(result, "execution_count", None)
    for name in ("error_in_exec", "error_before_exec"):
        expr = f"get_ipython().last_execution_result.{name}"
        yield Root("traceback", expr, getattr(result, name, None), cell=cell)
    for holder in ("InteractiveTB", "SyntaxTB"):
        for name in ("tb", "last_syntax_error"):
            value = getattr(getattr(shell, holder, None), name, None)
            cell = failed_cell(shell, value)
            yield Root("traceback", f"get_ipython().{holder}.{name}", value, cell=cell)
    for root in _last_errors():
        cell = failed_cell(shell, root.obj)
        yield Root(root.kind, root.expr, root.take(), cell=cell)


def failed_cell(shell: Any, error: Any) -> int | None:
    """Return the execution count of the cell an exception or traceback went through first."""
    files = getattr(getattr(shell, "compile", None), "_filename_map", None)
    if BaseException in sizes.mro(type(error)):
        error = vars(BaseException)["__traceback__"].__get__(error)
    while type(error) is types.TracebackType and type(files) is dict:
        cell = files.get(error.tb_frame.f_code.co_filename)
        if type(cell) is int:
            return cell
        error = error.tb_next
    return None


def _last_errors() -> Iterator[Root]:
    for name in _LAST_ERRORS:
        yield Root("traceback", f"sys.{name}", getattr(sys, name, None))


def _process_wide(
    own_namespaces: set[int], waiting: Waiting | None = None, shell: Any = None
) -> Iterator[Root]:
    """Yield the roots every context has: the user's modules, classes, threads, callbacks."""
    modules = list(user_modules(own_namespaces))
    for name, names in modules:
        for key, value in list(names.items()):
            if type(key) is str and not _dunder(key) and not _is_module(value):
                yield _named("module", f"{name}.{key}", value)
    main = sys.modules.get("__main__")
    spaces = [names for _, names in modules]
    if main is not None:
        spaces.append(vars(main))
    yield from _class_attributes(spaces)
    yield from _figures()
    yield from _threads(waiting)
    yield from _tasks(waiting)
    yield from running_locals(waiting)
    # Not where a script starts: see docs/how-it-works.md.
    from . import callbacks

    yield from callbacks.callback_roots(shell, waiting)
    yield from _saved_garbage()


def user_modules(own_namespaces: set[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and names of the modules that the user wrote, without their namespaces."""
    for name, module in list(sys.modules.items()):
        if not _is_module(module) or name == "__main__":
            continue
        names = vars(module)
        file = names.get("__file__")
        if id(names) in own_namespaces or type(file) is not str or not is_user_file(file):
            continue
        if not name.startswith(("memprobe", "__mp_main__")):
            yield name, names


def is_user_file(path: str) -> bool:
    """Whether a source file is the user's own: neither installed, standard nor generated."""
    if path.startswith("<") or "site-packages" in path or "dist-packages" in path:
        return False
    if "memprobe_probes" in path:
        return False
    return not path.startswith(_LIBRARY_FOLDERS)


def _library_folders() -> tuple[str, ...]:
    folder = os.path.dirname(os.__file__)
    return (folder + os.sep, os.path.realpath(folder) + os.sep)


_LIBRARY_FOLDERS = _library_folders()


def _class_attributes(spaces: list[dict[str, Any]]) -> Iterator[Root]:
    for cls in _own_classes(spaces):
        module = sizes.module_of(cls)
        prefix = "" if module == "__main__" else f"{module}."
        for attribute, held in list(sizes.class_namespace(cls).items()):
            name = f"{prefix}{type.__dict__['__name__'].__get__(cls)}.{attribute}"
            cache = facts(unwrapped(held), method=type(held) is not staticmethod)
            if cache is not None:
                yield Root("lru-cache", name, held, cache=cache)
            elif not _dunder(attribute) and not _is_behaviour(held):
                yield Root("class-attribute", name, held)


def _own_classes(spaces: list[dict[str, Any]]) -> Iterator[type]:
    """Yield the classes that the namespaces themselves define, each once."""
    seen: set[int] = set()
    for names in spaces:
        for value in list(names.values()):
            if type not in sizes.mro(type(value)) or id(value) in seen:
                continue
            seen.add(id(value))
            if _defined_in(value, names):
                yield value


def _defined_in(cls: type, names: dict[str, Any]) -> bool:
    return sizes.module_of(cls) == names.get("__name__")


_BEHAVIOUR = sizes.ids(
    types.FunctionType, property, staticmethod, classmethod, types.GetSetDescriptorType,
    types.MemberDescriptorType, types.BuiltinFunctionType,
)  # fmt: skip


def _is_behaviour(held: Any) -> bool:
    return id(type(held)) in _BEHAVIOUR


def _figures() -> Iterator[Root]:
    for number, manager in artists.open_figures():
        yield Root("figure", f"plt.figure({number})", manager)


def tell_cells(found: Iterable[Root], figures: artists.FigureCells, running: int | None) -> None:
    """Note with the roots of figures which cell opened them."""
    managers = {f"plt.figure({number})": number for number, _ in artists.open_figures()}
    for root in found:
        if root.kind == "figure" and root.expr in managers:
            cell = figures.cell_of(managers[root.expr], root.obj, running)
            if cell is not None:
                root.facts["cell"] = cell


def _threads(waiting: Waiting | None) -> Iterator[Root]:
    # The program's own module, where it has one: importing it here would make a second one.
    threading = sys.modules.get("threading")
    if threading is None:
        return
    main = threading.main_thread()
    for ident, thread in list(threading._active.items()):
        if thread is main or sizes.module_of(type(thread)).startswith("ipykernel"):
            continue
        names = sizes.instance_dict(thread) or {}
        expr = f"thread {names.get('_name')!r}"
        if _is_users_thread(thread, names):
            since = _waiting_since(ident, waiting)
            yield Root("thread", expr, thread, since=since)
            if _KEEPS_ARGUMENTS and names.get("_args"):
                yield Root("thread", expr, names["_args"], since=since)
            continue
        for name in ("_args", "_kwargs"):
            if names.get(name):
                yield Root("thread", expr, names[name])


def _is_users_thread(thread: Any, names: dict[str, Any]) -> bool:
    """Whether a thread runs a function of the user's; a timer is a callback."""
    from . import callbacks

    if callbacks.is_timer(thread):
        return False
    target = names.get("_target")
    if target is not None:
        return callbacks.is_users(target)
    runs = (sizes.class_namespace(base).get("run") for base in sizes.mro(type(thread)))
    return callbacks.is_users(next(run for run in runs if run is not None))


def _waiting_since(ident: int, waiting: Waiting | None) -> int | None:
    """Return the cell since which a thread waits, unless it waits for its next job."""
    if waiting is None or _serves(ident):
        return None
    return waiting.since_of_thread(ident)


def _serves(ident: int) -> bool:
    """Whether a thread waits in one of the places where work comes from."""
    step = sys._current_frames().get(ident)
    while step is not None:
        if step.f_code.co_filename.endswith(_WHERE_WORK_COMES):
            return True
        step = step.f_back
    return False


def _saved_garbage() -> Iterator[Root]:
    """Yield both references to the list: that of the module, and the collector's own."""
    if gc.garbage:
        yield Root("interpreter", "gc.garbage", gc.garbage)
        yield Root("interpreter", "gc.garbage", gc.garbage)


def _tasks(waiting: Waiting | None) -> Iterator[Root]:
    """Yield the asyncio tasks that have not ended: cancelling one lets its coroutine go."""
    for task in tasks.pending():
        frame = tasks.coroutine_of(task).cr_frame
        code, line = frame.f_code, frame.f_lineno
        frame = None
        yield Root(
            "suspended-frame", tasks.name_of(task), task, function=code.co_name,
            file=code.co_filename, line=line,
            since=waiting.since_of_task(task) if waiting is not None else None,
        )  # fmt: skip


def running_locals(waiting: Waiting | None = None) -> Iterator[Root]:
    """Yield the locals of the user's running functions, of every thread but the probe's."""
    for ident, frame in _user_frames():
        since = waiting.since_of_thread(ident) if waiting is not None else None
        for name, value in (frames.function_locals(frame) or {}).items():
            code = frame.f_code
            facts = {"function": code.co_name, "file": code.co_filename, "line": frame.f_lineno}
            yield Root("frame", f"{code.co_name}: {name}", value, since=since, **facts)


def _user_frames() -> Iterator[tuple[int, types.FrameType]]:
    step: types.FrameType | None = None
    frame: types.FrameType | None = None
    try:
        for ident, frame in list(sys._current_frames().items()):
            step = frame
            while step is not None:
                if frames.is_function(step) and is_user_code(step.f_code):
                    yield ident, step
                step = step.f_back
    finally:
        # One of them was this very frame: a cycle that would keep it and its callers alive.
        frame = step = None


def is_user_code(code: types.CodeType) -> bool:
    """Whether code was written by the user: in a file of theirs or in a notebook's cell."""
    name = code.co_filename
    return is_user_file(name) or "ipykernel_" in name or name.startswith("<ipython-input")
