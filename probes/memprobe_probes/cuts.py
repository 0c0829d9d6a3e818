"""Letting go of references that Python keeps: names, outputs, tracebacks, contents of containers.

Each function here looks at one reference first, touching nothing, and returns what cuts it. What
was cut is put into ``space.held``, so that nothing ends before all cuts are made. Only dicts and
attributes are written to, past any code of the user's.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque

from . import artists, named_object, numpy_arrays, sizes
from .caches import LRU_CACHE, unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .release_space import Space

_MOST_CAUGHT = 10_000  # exceptions of one container
_HIDDEN = "get_ipython().user_ns_hidden["
_HOOK = "get_ipython().displayhook."
_RESULT = "get_ipython().last_execution_result."
_CONTAINERS: dict[type, Callable[[Any], None]] = {
    kind: kind.clear
    for kind in (list, dict, set, bytearray, deque, OrderedDict, defaultdict, Counter)
}


class Changed(Exception):
    """A reference is not what the snapshot saw; the text says how."""


class Refused(Exception):
    """It is not safe to cut; the text says why."""


def name(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """``del df``: the name leaves the notebook's namespace."""
    expected = space.same(cut)
    return lambda: space.take(space.shell.user_ns, cut["expr"], expected)


def output(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """One of the places in which IPython keeps what a cell displayed."""
    expected, expr, shell = space.same(cut), cut["expr"], space.shell
    if expr.startswith("Out["):
        return lambda: space.take(shell.user_ns["_oh"], int(expr[4:-1]), expected)
    if expr.startswith(_HIDDEN):
        hidden = expr[len(_HIDDEN) + 1 : -2]
        return lambda: space.take(shell.user_ns_hidden, hidden, expected)
    if expr.startswith(_HOOK):
        kept = sizes.instance_dict(shell.displayhook)
        return lambda: space.replace(kept, expr[len(_HOOK) :], expected, "")
    if expr.startswith(_RESULT):
        kept = sizes.instance_dict(shell.last_execution_result)
        return lambda: space.replace(kept, expr[len(_RESULT) :], expected, None)
    if expr.strip("_") == "":
        # IPython stops to bind these three where one of them is gone or somebody else's.
        return lambda: space.replace(shell.user_ns, expr, expected, "")
    return lambda: space.take(shell.user_ns, expr, expected)


def traceback(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """One of the places that keep the last exception: it becomes None."""
    expected, expr = space.same(cut), cut["expr"]
    owner, _, attribute = expr.rpartition(".")
    kept: Any = vars(sys)
    if owner != "sys":
        kept = sizes.instance_dict(getattr(space.shell, owner.partition(".")[2], None))
    return lambda: space.replace(kept, attribute, expected, None)


def frames(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """An exception that the user keeps, or a container of them: it stays, its frames go."""
    space.same(cut)
    caught = list(_caught(space.object_of(cut)))
    if not caught:
        raise Changed("no exception with frames is there any more")

    def drop() -> None:
        slot = vars(BaseException)["__traceback__"]
        for one in caught:
            space.held.append(slot.__get__(one))
            slot.__set__(one, None)
        caught.clear()

    return drop


def _caught(obj: Any) -> list[BaseException]:
    """Return the exceptions that ``obj`` is or holds, with those they were raised for."""
    pending = [obj]
    if type(obj) in (list, tuple, set, frozenset, deque) and len(obj) <= _MOST_CAUGHT:
        pending = list(obj)
    elif type(obj) is dict and len(obj) <= _MOST_CAUGHT:
        pending = list(obj.values())
    found: dict[int, BaseException] = {}
    slots = vars(BaseException)
    while pending:
        one = pending.pop()
        if one is None or id(one) in found or BaseException not in sizes.mro(type(one)):
            continue
        found[id(one)] = one
        pending += [slots[part].__get__(one) for part in ("__cause__", "__context__")]
    return [one for one in found.values() if slots["__traceback__"].__get__(one) is not None]


def clear(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """Empty a container of Python's own that nobody reaches by a way that was not shown."""
    obj = space.object_of(cut)
    empty = _CONTAINERS.get(type(obj))
    if empty is None:
        raise Changed(f"it is a {sizes.type_name(type(obj))} now")
    space.agrees(cut, obj)
    if space.is_root(cut):
        space.same(cut)
    others = space.strangers(obj, {cut["expr"], *cut.get("also", ())})
    if others:
        raise Refused(f"{others} leads to it too")
    by_roots = space.root_count(obj)
    known = 2 * by_roots + (0 if space.is_root(cut) else 1)  # the space refers to each as well
    if references(obj) > known:
        raise Refused("something that has no name refers to it too")
    return lambda: empty(obj)


def references(obj: Any) -> int:
    """Return how many references there are to ``obj`` besides one variable of the caller's."""
    return sys.getrefcount(obj) - _OF_NOBODY


def _of_nobody() -> int:
    """Return the count of an object that one variable refers to, taken as ``references`` does."""
    obj: list[Any] = []
    return _taken(obj)


def _taken(obj: Any) -> int:
    return sys.getrefcount(obj)


_OF_NOBODY = _of_nobody()


def cache_clear(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """Empty an ``lru_cache``."""
    space.same(cut)
    cache = unwrapped(space.object_of(cut))
    if type(cache) is not LRU_CACHE:
        raise Changed("it is no lru_cache any more")
    return lambda: vars(LRU_CACHE)["cache_clear"](cache)


def attribute(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """An attribute that an object or class stores: it becomes None."""
    owner, _, name_of = cut["expr"].rpartition(".")
    obj = space.object_of(cut)
    space.agrees(cut, obj)
    holder = named_object.find(space.shell.user_ns, owner)
    kept = None if type in sizes.mro(type(holder)) else sizes.instance_dict(holder)
    if kept is None or kept.get(name_of) is not obj:
        raise Refused("it is not stored as an attribute of its own")
    expected = id(obj)
    return lambda: space.replace(kept, name_of, expected, None)


def copy_array(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """``row = row.copy()``: what it shows stays under the name, and its base goes."""
    expected = space.same(cut)
    obj = space.object_of(cut)
    arrays = numpy_arrays.arrays()
    if arrays is None or type(obj) is not arrays.array or arrays.base(obj) is None:
        raise Changed("it is no view of an array any more")

    def put() -> None:
        # Two names of one view are two names of one copy.
        copied = space.copies.get(expected)
        if copied is None:
            copied = space.copies[expected] = arrays.copy(obj)
        space.replace(space.shell.user_ns, cut["expr"], expected, copied)

    return put


def close_figure(space: Space, cut: dict[str, Any]) -> Callable[[], None]:
    """``plt.close(3)``, of exactly this figure."""
    expected = space.same(cut)
    numbers = [number for number, manager in artists.open_figures() if id(manager) == expected]
    pyplot = sys.modules.get("matplotlib.pyplot")
    if not numbers or pyplot is None:
        raise Changed("pyplot does not know the figure any more")
    return lambda: pyplot.close(numbers[0])
