"""A probe's modules are taken apart when it has left, and only then."""

from __future__ import annotations

import gc
import posixpath
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from memprobe.targets import payload

PACKAGE = "memprobe_leaving"  # stands for the probe's own, which the tests themselves need
PART = """
class Hooks:
    def __init__(self, probe):
        self.probe, self.held = probe, bytearray(1 << 20)
    def after(self, wait=None):
        if wait is not None:
            wait()
        return helper(self)
    @staticmethod
    def fixed():
        return 1
    @property
    def known(self):
        return 2
def helper(hooks):
    return hooks.held
def with_closure():
    n = 3
    def inner():
        return n
    return inner
inner = with_closure()
borrowed = __import__("os").getcwd
"""


@pytest.fixture
def modules() -> Iterator[dict[str, Any]]:
    """The modules of a probe that has just left: ``dissolve`` as it is, and one that has hooks."""
    made = {}
    for name, text in (
        ("", ""),
        ("dissolve", payload.texts()["memprobe_probes.dissolve"]),
        ("notebook", PART),
    ):
        module = types.ModuleType(f"{PACKAGE}.{name}".rstrip("."))
        exec(compile(text, f"<memprobe_probes/{name}.py>", "exec"), module.__dict__)
        made[name] = module
    yield made
    for name in [one for one in sys.modules if one.startswith(PACKAGE)]:
        del sys.modules[name]


def dissolve(modules: dict[str, Any], probe: object = None) -> None:
    modules["dissolve"].dissolve(list(modules.values()), probe)


def test_whoever_still_calls_a_function_finds_that_it_does_nothing(modules: dict[str, Any]) -> None:
    hooks = modules["notebook"].Hooks(None)
    late = [hooks.after, modules["notebook"].helper, hooks.fixed]
    assert len(hooks.after()) == 1 << 20
    dissolve(modules)
    assert [call() for call in late] == [None, None, None]
    assert all(module.__dict__ == {} for module in modules.values())


def test_what_the_probe_held_is_free_at_once(modules: dict[str, Any]) -> None:
    hooks = modules["notebook"].Hooks(None)
    hooks.probe = modules["notebook"].Hooks(hooks)  # in a circle
    parts = [hooks.__dict__, hooks.probe.__dict__]
    gc.disable()
    try:
        dissolve(modules, hooks)
        assert parts == [{}, {}]
    finally:
        gc.enable()


def test_the_library_of_somebody_else_is_not_touched(modules: dict[str, Any]) -> None:
    mine = modules["notebook"]
    before = vars(threading.Thread).copy()
    mine.Thread, mine.join = threading.Thread, posixpath.join
    mine.Hooks.join = posixpath.join  # as dataclasses and enumerations do with theirs
    mine.Hooks.split = staticmethod(posixpath.split)
    dissolve(modules, threading.current_thread())
    assert vars(threading.Thread) == before
    assert threading.current_thread().name
    assert posixpath.join("a", "b") == "a/b"
    assert posixpath.split("a/b") == ("a", "b")


def test_a_probe_of_an_installed_package_stays_as_it_is(modules: dict[str, Any]) -> None:
    hooks = modules["notebook"].Hooks(None)
    modules["dissolve"].dissolve([], hooks)
    assert len(hooks.after()) == 1 << 20


def test_nothing_is_taken_from_under_a_thread_that_is_inside(modules: dict[str, Any]) -> None:
    inside, go_on = threading.Event(), threading.Event()
    hooks = modules["notebook"].Hooks(None)
    found: list[Any] = []

    def wait() -> None:
        inside.set()
        go_on.wait(30)

    thread = threading.Thread(target=lambda: found.append(hooks.after(wait)))
    thread.start()
    assert inside.wait(30)
    dissolve(modules, hooks)
    go_on.set()
    thread.join(30)
    assert found == [hooks.held]


def test_modules_that_are_in_use_again_stay(modules: dict[str, Any]) -> None:
    sys.modules[modules["notebook"].__name__] = modules["notebook"]
    hooks = modules["notebook"].Hooks(None)
    dissolve(modules, hooks)
    assert hooks.after() is hooks.held
