"""Counting the items of named containers: what is counted, what changed, and nothing kept."""

from __future__ import annotations

import collections
import functools
import gc
import sys
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memprobe_probes import roots
from memprobe_probes.census import MOST_ENTRIES, Census


class Shell:
    def __init__(self, **names: Any) -> None:
        self.user_ns = {"__name__": __name__, **names}


class Named(list[int]):
    def __len__(self) -> int:
        raise AssertionError("the user's code must not run")


class Store:
    SEEN: list[int] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.inner: Any = None

    @staticmethod
    @functools.lru_cache(maxsize=None)  # noqa: UP033
    def load(key: int) -> int:
        return key

    def __getattribute__(self, name: str) -> Any:
        if name in ("frames", "inner") and sys._getframe(1).f_globals["__name__"] != __name__:
            raise AssertionError("the user's code must not run")
        return super().__getattribute__(name)


@pytest.fixture(autouse=True)
def _no_other_test_is_a_users_module(monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = roots.user_modules

    def ours(own: set[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        return (row for row in everybody(own) if row[0] == "counted_module")

    monkeypatch.setattr(roots, "user_modules", ours)


def counted(**names: Any) -> dict[str, int]:
    return Census(Shell(**names)).changes()


def test_containers_are_counted_by_the_built_in_types_own_length() -> None:
    assert counted(
        a=[1, 2], b={"x": 1}, c={1, 2, 3}, d=collections.deque([1]), e=Named([1, 2]),
        f=collections.defaultdict(None, x=1), g="text", h=7, i=(1, 2),
    ) == {"a": 2, "b": 1, "c": 3, "d": 1, "e": 2, "f": 1}  # fmt: skip


def test_frames_and_arrays_are_counted_by_their_first_axis() -> None:
    frame = pd.DataFrame({"x": range(5), "y": range(5)})
    found = counted(df=frame, s=frame["x"], a=np.zeros((4, 9)), scalar=np.array(3.0))
    assert found == {"df": 5, "s": 5, "a": 4}


def test_attributes_of_the_users_objects_and_classes_are_counted() -> None:
    store, inner = Store(), Store()
    store.frames += [1, 2]
    store.inner, inner.frames = inner, [1]
    found = counted(store=store, Store=Store)
    assert found == {"store.frames": 2, "store.inner.frames": 1}
    Store.SEEN.append(1)
    Store.load(1), Store.load(2)
    try:
        found = counted(Store=Store)
    finally:
        Store.SEEN.clear()
        Store.load.cache_clear()
    assert found == {"Store.SEEN": 1, "Store.load": 2}


def test_attributes_of_other_peoples_objects_are_not() -> None:
    assert counted(space=types.SimpleNamespace(rows=[1]), lock=weakref.WeakSet()) == {}


def test_containers_in_a_dict_are_counted_together_without_their_keys() -> None:
    assert counted(cache={"secret": [1, 2], "other": {3}, "plain": 1}) == {
        "cache": 3, "cache[*]": 3,
    }  # fmt: skip


def test_so_are_those_of_a_dict_that_fills_itself() -> None:
    rows = collections.defaultdict(list, x=[1, 2])
    assert counted(rows=rows) == {"rows": 1, "rows[*]": 2}


def test_what_has_a_bound_does_not_grow() -> None:
    assert counted(last=collections.deque([1, 2], maxlen=5)) == {}


def test_entries_of_a_cached_function_are_counted() -> None:
    cached = functools.lru_cache(maxsize=None)(lambda number: number)
    cached(1), cached(2), cached(2)
    assert counted(cached=cached) == {"cached": 2}


def test_only_changes_are_told_and_what_is_gone_is_empty() -> None:
    shell = Shell(a=[1], b=[1])
    census = Census(shell)
    assert census.changes() == {"a": 1, "b": 1}
    assert census.changes() == {}
    shell.user_ns["a"].append(2)
    del shell.user_ns["b"]
    assert census.changes() == {"a": 2, "b": 0}
    assert census.changes() == {}


def test_what_was_found_longer_time_and_again_is_growing() -> None:
    shell = Shell(a=[], b=[1], c=[])
    census = Census(shell)
    for round_ in range(3):
        shell.user_ns["a"].append(round_)
        shell.user_ns["c"] = [1] if round_ % 2 else []
        census.changes()
    assert census.growing() == ["a"]


def test_names_of_ipython_are_left_out() -> None:
    assert counted(In=[1], Out={1: 2}, _ih=[1], _oh={1: 2}, _1=[1], _=[1], _own=[1]) == {"_own": 1}


def test_nothing_counted_lives_on() -> None:
    class Gone:
        ROWS = [1]  # noqa: RUF012

    Gone.__qualname__ = "Gone"
    shell = Shell(Gone=Gone, obj=Gone())
    census = Census(shell)
    census.changes()
    kept = weakref.ref(Gone)
    shell.user_ns.clear()
    del Gone
    gc.collect()
    assert kept() is None


def test_a_namespace_that_is_no_dict_of_texts_or_breaks_is_survived() -> None:
    shell = Shell(a=[1])
    shell.user_ns[3] = [1, 2]  # type: ignore[index]
    assert Census(shell).changes() == {"a": 1}
    shell.user_ns = None  # type: ignore[assignment]
    assert Census(shell).changes() == {}


def test_the_count_is_bounded() -> None:
    found = counted(**{f"x{number}": [1] for number in range(MOST_ENTRIES * 2)})
    assert len(found) <= MOST_ENTRIES + 1


def test_what_was_not_reached_is_not_taken_for_gone() -> None:
    shell = Shell(a=[1], b=[1])
    census = Census(shell)
    census.changes()
    for number in range(MOST_ENTRIES + 5):
        shell.user_ns = {"__name__": __name__, f"x{number}": [1], **shell.user_ns}
    assert 0 not in census.changes().values()


@pytest.fixture
def user_module(tmp_path: Any) -> Iterator[types.ModuleType]:
    module = types.ModuleType("counted_module")
    module.__file__ = str(tmp_path / "counted_module.py")
    sys.modules["counted_module"] = module
    yield module
    del sys.modules["counted_module"]


def test_modules_of_the_user_are_counted(user_module: types.ModuleType) -> None:
    user_module.SEEN = [1, 2]  # type: ignore[attr-defined]
    assert counted()["counted_module.SEEN"] == 2


def test_two_hundred_names_take_as_long_as_a_few_passes_over_them() -> None:
    names: dict[str, Any] = {f"n{number}": number for number in range(140)}
    names |= {f"l{number}": [1] * number for number in range(40)}
    names |= {f"d{number}": pd.DataFrame({"a": [1]}) for number in range(20)}
    census = Census(Shell(**names))
    census.changes()

    def one_pass() -> list[tuple[str, type, int]]:
        return [(name, type(value), id(value)) for name, value in list(names.items())]

    assert shortest(census.changes) < 25 * shortest(one_pass)  # measured: 7


def shortest(work: Callable[[], object]) -> int:
    """Return the CPU time of ``work`` in ns: the least of thirty."""
    took = []
    for _ in range(30):
        start = time.thread_time_ns()
        work()
        took.append(time.thread_time_ns() - start)
    return min(took)
