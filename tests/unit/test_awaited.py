"""Names that code outside of any cell may read: callbacks, timers, exit handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from memprobe_probes import names

SOURCE = """
big = other = third = fourth = fifth = 0
def callback(): return helper()
def helper(): return big
def idle(): return other
class Store:
    def method(self): return third
decorated = idle
late = lambda: fourth
store = Store()
handlers = []
"""


@pytest.fixture
def namespace() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "cells"}
    exec(compile(SOURCE, "<cells>", "exec"), found)
    return found


def test_functions_that_only_their_names_hold_await_nothing(namespace: dict[str, Any]) -> None:
    assert names.awaited(namespace) == set()


def _in_a_list(namespace: dict[str, Any]) -> Iterator[Any]:
    yield [namespace["callback"]]


def _in_a_partial(namespace: dict[str, Any]) -> Iterator[Any]:
    yield partial(namespace["callback"])


@pytest.mark.parametrize("hold", [_in_a_list, _in_a_partial])
def test_a_function_that_something_else_holds_awaits_what_it_may_read(
    namespace: dict[str, Any], hold: Callable[[dict[str, Any]], Iterator[Any]]
) -> None:
    held = list(hold(namespace))
    assert names.awaited(namespace) == {"helper", "big"}
    assert held


def test_a_registered_method_counts(namespace: dict[str, Any]) -> None:
    registered = [namespace["store"].method]
    assert names.awaited(namespace) == {"third"}
    assert registered


def test_without_a_look_at_the_heap_every_mention_counts(namespace: dict[str, Any]) -> None:
    assert names.mentioned(namespace) == {"helper", "big", "other", "fourth"}
