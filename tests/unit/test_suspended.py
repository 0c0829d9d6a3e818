"""Caches, old classes, tasks and threads as holders: named, and promised what they alone keep."""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from memprobe_probes import caches, heap, roots, tasks
from memprobe_probes.old_classes import outlived
from memprobe_probes.roots import Root
from memprobe_probes.waiting import Waiting

MB = 10**6


def big(megabytes: int = 2) -> Any:
    return np.ones(megabytes * MB, dtype=np.uint8)


def alone(*held: Root, asked: tuple[str, ...] = ()) -> dict[str, float]:
    """Return expr → megabytes that only this root keeps, and what its parts keep."""
    tables = heap.tables(list(held), roots.stop_ids(), 10**10, 1.0, asked)
    exprs = {row["id"]: row["expr"] for row in tables["holders"]}
    found = {
        exprs[row["holders"][0]]: round(row["bytes"] / MB, 1)
        for row in tables["groups"]
        if len(row["holders"]) == 1
    }
    for row in tables["holders"]:
        found |= {expr: round(kept / MB, 1) for expr, kept in row.get("parts", {}).items()}
    return found


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> types.ModuleType:
    """Return a module of the user's with a class that caches 2 MB, and a way to define it again."""
    found = types.ModuleType("kept_models")
    found.__file__ = str(tmp_path / "kept_models.py")
    found.__dict__["big"] = big
    monkeypatch.setitem(sys.modules, "kept_models", found)
    define(found)
    return found


def define(module: types.ModuleType) -> None:
    exec("class Model:\n    TABLE = {'rows': big()}\n    def f(self): return 1\n", vars(module))


# --- caches -----------------------------------------------------------------------------------


class Source:
    def __init__(self) -> None:
        self.data = big(1)

    @functools.lru_cache(maxsize=None)  # noqa: B019, UP033
    def load(self, part: int) -> Any:
        return big(1)

    @staticmethod
    @functools.lru_cache(maxsize=4)
    def table(part: int) -> Any:
        return part


@pytest.fixture
def source() -> Iterator[type[Source]]:
    yield Source
    Source.load.cache_clear()
    Source.table.cache_clear()


def test_a_methods_cache_counts_the_instances_that_only_it_keeps(source: type[Source]) -> None:
    named = source()
    for instance in (named, source(), source()):
        instance.load(1), instance.load(2)
    instance = None
    facts = caches.facts(vars(source)["load"], method=True)
    assert facts == {
        "size": 6, "maxsize": None, "hits": 0, "misses": 6, "method": True,
        "instances": 3, "lost": 2,
    }  # fmt: skip


class Equal:
    """Every instance finds what another has asked for."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared by a probe")

    def __hash__(self) -> int:
        return id(self)

    @functools.lru_cache(maxsize=None)  # noqa: B019, UP033
    def load(self, part: int) -> Any:
        return big(1)


def test_an_instance_that_an_equal_one_stands_in_for_is_not_lost() -> None:
    Equal().load(1)
    facts = caches.facts(vars(Equal)["load"], method=True)
    Equal.load.cache_clear()
    assert facts is not None
    assert (facts["instances"], facts["lost"]) == (1, 0)


def test_a_static_methods_cache_is_no_methods(source: type[Source]) -> None:
    source.table(1), source.table(1)
    facts = caches.facts(caches.unwrapped(vars(source)["table"]))
    assert facts is not None
    assert (facts["hits"], facts["maxsize"], facts["method"]) == (1, 4, False)


def test_what_is_no_cache_has_no_facts() -> None:
    assert caches.facts(caches.unwrapped(big)) is None


def test_a_caches_entries_are_kept_by_its_root(source: type[Source]) -> None:
    source().load(1)
    root = Root("lru-cache", "Source.load", vars(source)["load"])
    assert alone(root) == {"Source.load": 2.0}


# --- containers inside objects ----------------------------------------------------------------


class Store:
    def __init__(self) -> None:
        self.lookup = big(3)
        self.frames = [big(1), big(1)]
        self.both = self.frames[:1]


def test_a_part_is_what_only_the_container_keeps() -> None:
    store = Root("module", "store", Store())
    assert alone(store, asked=("store.frames", "store.none", "other.frames")) == {
        "store": 5.0, "store.frames": 1.0,
    }  # fmt: skip


# --- old classes ------------------------------------------------------------------------------


def test_a_class_is_outlived_once_its_name_stands_for_another(module: types.ModuleType) -> None:
    old = module.Model
    assert not outlived(old)
    define(module)
    assert outlived(old)
    assert not outlived(module.Model)
    assert not outlived(dict)


def test_an_instance_keeps_what_its_older_class_holds(module: types.ModuleType) -> None:
    models = [module.Model()]
    assert alone(Root("module", "models", models)) == {}
    define(module)
    models.append(module.Model())
    assert alone(Root("module", "models", models)) == {"models": 2.0}


def test_a_registry_of_classes_keeps_the_older_ones(module: types.ModuleType) -> None:
    registry = [module.Model]
    for _ in range(3):
        define(module)
        registry.append(module.Model)
    assert alone(Root("module", "registry", registry)) == {"registry": 6.0}


# --- tasks ------------------------------------------------------------------------------------


async def wait(held: Any, event: asyncio.Event) -> None:
    await event.wait()


def task_roots() -> list[Root]:
    return [root for root in roots._process_wide(set()) if root.kind == "suspended-frame"]


def test_a_pending_task_keeps_its_arguments_and_is_named() -> None:
    async def main() -> dict[str, float]:
        event = asyncio.Event()  # else the task is garbage: nobody could ever wake it
        task = asyncio.create_task(wait(big(), event), name="seven")
        await asyncio.sleep(0)
        del task
        return alone(*(one for one in task_roots() if "(wait)" in one.expr))

    assert asyncio.run(main()) == {"asyncio task 'seven' (wait)": 2.0}


def test_a_task_that_sleeps_is_promised_although_a_timer_refers_to_its_future() -> None:
    async def sleep(held: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> list[float]:
        task = asyncio.create_task(sleep(big()))
        await asyncio.sleep(0)
        found = alone(*(one for one in task_roots() if "(sleep)" in one.expr))
        task.cancel()
        return list(found.values())

    # `task` is a local of this test and no root: something unnamed keeps the task as well. Only
    # a reference to the task itself counts so little, its future's do not matter.
    assert asyncio.run(main()) == [2.0]


def test_an_object_that_a_task_waits_on_does_not_keep_the_task() -> None:
    async def main() -> dict[str, float]:
        event = asyncio.Event()
        kept = {asyncio.create_task(wait(big(), event))}
        await asyncio.sleep(0)
        found = alone(Root("module", "event", event))
        kept.clear()
        return found

    assert asyncio.run(main()) == {}


def test_a_task_that_has_ended_is_none() -> None:
    async def main() -> list[Root]:
        event = asyncio.Event()
        task = asyncio.create_task(wait(big(), event))
        event.set()
        await task
        return [one for one in task_roots() if "(wait)" in one.expr]

    assert asyncio.run(main()) == []


def test_a_task_that_was_woken_waits_anew() -> None:
    async def loop(wake: asyncio.Event) -> None:
        while True:
            await wake.wait()
            wake.clear()

    async def main() -> list[int | None]:
        waiting, wake = Waiting(), asyncio.Event()
        task = asyncio.create_task(loop(wake))
        await asyncio.sleep(0)
        seen = []
        for cell in (1, 2, 3):
            waiting.look(cell)
            seen.append(waiting.since_of_task(task))
            if cell == 2:
                wake.set()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        task.cancel()
        return seen

    assert asyncio.run(main()) == [1, 1, 3]


def test_without_asyncio_there_are_no_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "_asyncio")
    assert tasks.pending() == []


# --- threads ----------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_thread_that_was_woken_waits_anew() -> None:
    jobs: queue.Queue[Any] = queue.Queue()
    done = threading.Event()

    def work() -> None:
        while jobs.get() is not None:
            done.set()

    def settled(cell: int) -> int | None:
        """Look until the thread is seen waiting: what it does before takes it a moment."""
        for _ in range(1000):
            waiting.look(cell)
            before = waiting.since_of_thread(ident)
            if before is not None and before == waiting.since_of_thread(ident):
                return before
        return None

    worker = threading.Thread(target=work)
    worker.start()
    ident = worker.ident or 0
    waiting = Waiting()
    try:
        jobs.put(1)
        assert done.wait(10)
        while worker.is_alive() and settled(1) != 1:
            continue
        waiting.look(2)
        first = waiting.since_of_thread(ident)
        done.clear()
        jobs.put(2)
        assert done.wait(10)
        waiting.look(3)
        assert waiting.since_of_thread(ident) in (3, None)
        assert first in (1, 2)
    finally:
        jobs.put(None)
        worker.join(10)
