"""Giving back the memory of a probe that nobody needs any more, without a garbage collection.

Modules, functions, classes and the probe's parts refer to each other in circles. What an injected
probe leaves would stay until Python collects its oldest generation, which a program with many
objects rarely does; and to ask for that would stop such a program for seconds.
"""

from __future__ import annotations

import _thread
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_OURS = "<memprobe"  # what the files of injected code are called, of requests too
# First those of which others hold functions: a caller may have copied its list of callbacks.
_CALLED_FROM_OUTSIDE = ("notebook", "restarts", "courier", "bootstrap")


def dissolve(modules: list[types.ModuleType], probe: object) -> None:
    """Take modules and probe apart: one of their functions that is still called does nothing then.

    Nothing happens where another thread runs code of ours, or where the modules are in use again:
    then they are left to the collector. Nor without modules: a package that was installed stays,
    and somebody may have a probe of it in hand. The last thing that a thread of ours does.
    """
    if (
        not modules
        or any(sys.modules.get(one.__name__) is one for one in modules)
        or _somebody_inside()
    ):
        return
    package = __name__.split(".")[0]
    names = [one.__dict__ for one in sorted(modules, key=_turn)]
    made = [value for one in names for value in one.values() if _is_of(value, package)]
    parts = _parts(probe, {id(value) for value in made})
    for value in made:
        _empty(value, package)
    for one in parts + names:  # of this module too: from here on nothing global is there
        one.clear()


def _somebody_inside() -> bool:
    me = _thread.get_ident()
    for thread, top in sys._current_frames().items():
        frame: types.FrameType | None = top if thread != me else None
        while frame is not None:
            if frame.f_code.co_filename.startswith(_OURS):
                return True
            frame = frame.f_back
    return False


def _turn(module: types.ModuleType) -> int:
    """Return when it is the module's turn; that of this one comes last."""
    if module.__name__ == __name__:
        return 2
    return 0 if module.__name__.rpartition(".")[2] in _CALLED_FROM_OUTSIDE else 1


def _is_of(value: Any, package: str) -> bool:
    """Whether it is a function or a class of the package. Asks nothing of anybody's objects."""
    kind = type(value)
    if kind is not types.FunctionType and not issubclass(kind, type):
        return False
    return str(getattr(value, "__module__", "")).split(".")[0] == package


def _parts(probe: object, classes: set[int]) -> list[dict[str, Any]]:
    """Return the attributes of the probe, of what it is made of, and so on.

    Other objects that it holds, as the user's, are left alone: ``classes`` has the ids of ours.
    """
    found: dict[int, dict[str, Any]] = {}
    open_ends = [probe]
    while open_ends:
        one = open_ends.pop()
        names = getattr(one, "__dict__", None) if id(type(one)) in classes else None
        if type(names) is dict and id(names) not in found:
            found[id(names)] = names
            open_ends += names.values()
    return list(found.values())


def _empty(value: Any, package: str) -> None:
    """Have a function do nothing; take a class's functions away from it, once they do nothing."""
    if isinstance(value, types.FunctionType):
        _still(value, package)
        return
    for name, part in list(vars(value).items()):
        for function in _functions(part):
            _still(function, package)
        if isinstance(part, (types.FunctionType, staticmethod, classmethod, property)):
            delattr(value, name)


def _functions(part: Any) -> Iterator[Any]:
    yield part
    for name in ("__func__", "fget", "fset"):
        yield getattr(part, name, None)


def _still(function: Any, package: str) -> None:
    # Libraries put functions of their own into classes: those are everybody's.
    if not isinstance(function, types.FunctionType) or not _is_of(function, package):
        return
    if function.__closure__ is None:
        function.__code__ = _nothing.__code__
        function.__defaults__ = function.__kwdefaults__ = None


def _nothing(*args: Any, **options: Any) -> None:
    """Stand for a function that is gone."""
