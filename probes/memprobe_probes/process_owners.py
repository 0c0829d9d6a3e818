"""Which Python objects stand for child processes, and by what names they are reached.

A pool, an executor, a ``Popen``: whatever leads to an attribute ``pid`` with the number of a child.
"""

from __future__ import annotations

import sys

from . import named_values, sizes
from .roots import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_LIBRARIES = frozenset({"multiprocessing", "concurrent", "subprocess", "asyncio", "joblib", "loky",
                        "pexpect", "ptyprocess", "multiprocess", "billiard"})  # fmt: skip
# Modules that keep one executor for everybody, and what a user types to have it.
_REUSED = {
    "joblib.externals.loky.reusable_executor": "joblib.externals.loky.get_reusable_executor()",
    "loky.reusable_executor": "loky.get_reusable_executor()",
}
# What stands for one process, by type or by the module of what multiprocessing keeps of it.
_ONE = ("multiprocessing.process.BaseProcess", "subprocess.Popen", "asyncio.subprocess.Process")
_ONE_MODULES = ("multiprocessing.popen", ".backend.popen")


def holders(pids: Iterable[int], named: list[Root]) -> list[dict[str, Any]]:
    """Return a row per reference that leads to processes: its names, type and state.

    ``named`` is emptied: nothing of it is kept.
    """
    wanted = set(pids)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    named += _reused()
    try:
        for root, step in named_values.below(named):
            pid = pid_of(step.obj)
            if pid in wanted:
                _add(found, root, step, pid)
    finally:
        for one in named:
            one.take()
        named.clear()
    return list(found.values())


def pid_of(obj: Any) -> int | None:
    """Return the number of the process that an object stands for, as its attributes say."""
    names = sizes.instance_dict(obj)
    if not names:
        return None
    for name in ("pid", "_pid"):
        pid = names.get(name)
        if type(pid) is int:
            return pid
    return None


def _add(found: dict[Any, Any], root: Root, step: named_values.Step, pid: int) -> None:
    chain = step.chain()
    at = _owner(chain)
    key = id(root), id(chain[at].obj)
    row = found.get(key)
    if row is None:
        row = found[key] = _row(root, chain, at)
    if pid not in row["pids"]:
        row["pids"].append(pid)


def _owner(chain: list[named_values.Step]) -> int:
    """Return the position of what manages the process: a pool, or else what stands for it alone."""
    last = len(chain) - 1
    library = [n for n, one in enumerate(chain) if _is_library(type(one.obj))]
    managers = [n for n in library if not _stands_for_one(type(chain[n].obj))]
    return managers[-1] if managers else library[0] if library else last


def _row(root: Root, chain: list[named_values.Step], at: int) -> dict[str, Any]:
    owner = chain[at].obj
    return {
        "expr": root.expr, "root": root.kind, "cell": root.facts.get("cell"),
        "type": sizes.type_name(type(owner)), "pids": [],
        "path": [{"edge": one.edge, "type": sizes.type_name(type(one.obj))}
                 for one in chain[1 : at + 1]],
        **_state(owner),
    }  # fmt: skip


def _state(owner: Any) -> dict[str, Any]:
    """Return how much work an executor or pool still has, and when its workers end by themselves.

    ``pending`` is None where that cannot be told.
    """
    names = sizes.instance_dict(owner) or {}
    work: Any = names.get("_pending_work_items", names.get("_cache"))
    timeout: Any = names.get("_timeout")
    return {
        "pending": dict.__len__(work) if dict in sizes.mro(type(work)) else None,
        "timeout": float(timeout) if type(timeout) in (int, float) else None,
    }


def _stands_for_one(cls: type) -> bool:
    return any(
        sizes.type_name(base) in _ONE or any(mark in sizes.module_of(base) for mark in _ONE_MODULES)
        for base in sizes.mro(cls)
    )


def _is_library(cls: type) -> bool:
    return any(
        sizes.module_of(base).partition(".")[0] in _LIBRARIES for base in sizes.mro(cls)[:-1]
    )


def _reused() -> Iterator[Root]:
    for module, expr in _REUSED.items():
        executor = getattr(sys.modules.get(module), "_executor", None)
        if executor is not None:
            yield Root("module", expr, executor)
