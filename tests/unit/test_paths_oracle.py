"""Recorded paths against objgraph: the same objects, and each edge leads where its name says."""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable
from typing import Any

import objgraph
import pytest

from memprobe_probes import heap, native, native_walker, roots, sizes
from memprobe_probes.roots import Root

SIZE = 1_000_000
SECOND = 10**9
Engine = Callable[[list[Root]], dict[str, Any]]


def fallback(found: list[Root]) -> dict[str, Any]:
    return heap.tables(found, roots.stop_ids(), 20 * SECOND, heap.NS_PER_OBJECT)


def walker(found: list[Root]) -> dict[str, Any]:
    module, reason = native_walker.load()
    if module is None:
        pytest.skip(f"the native walker is not there: {reason}")
    return native.Native(module).here(found, roots.stop_ids(), (), 20 * SECOND)


class Store:
    def __init__(self, payload: bytes) -> None:
        self.names = ["a", "b"]
        self.frames = [[], [payload]]

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, payload: bytes) -> None:
        self.inner = [payload]


class Child(Slotted):
    pass


def closing(payload: bytes) -> Callable[[], bytes]:
    return lambda: payload


def waiting(payload: bytes) -> Any:
    def waits() -> Any:
        mine = [payload]
        yield mine

    generator = waits()
    next(generator)
    return generator


def raised(payload: bytes) -> Exception:
    def fails(given: list[bytes]) -> None:
        raise ValueError

    try:
        fails([payload])
    except ValueError as error:
        return error
    raise AssertionError


def tree(payload: bytes) -> Any:
    leaf = Store(payload)
    leaf.parent = Store(b"")  # type: ignore[attr-defined]
    leaf.parent.children = [leaf]  # type: ignore[attr-defined]
    return leaf.parent  # type: ignore[attr-defined]


HOLDERS: dict[str, Callable[[bytes], Any]] = {
    "attribute": Store,
    "dict": lambda payload: {"key": [payload]},
    "slot": Slotted,
    "inherited slot": Child,
    "tuple": lambda payload: (1, [payload], "x"),
    "closure": closing,
    "generator": waiting,
    "exception": raised,
    "bound method": lambda payload: Store(payload).method,
    "partial": lambda payload: functools.partial(print, [payload]),
    "cycle": tree,
    "deep": lambda payload: [[[[{"a": Store(payload)}]]]],
}


def chain_of(holder: Any, payload: bytes) -> list[Any]:
    """Return objgraph's chain, without the dicts in which attributes are kept."""
    found = objgraph.find_backref_chain(payload, lambda one: one is holder)
    assert found[0] is holder
    kept = found[:1]
    for above, below in itertools.pairwise(found):
        if below is not sizes.instance_dict(above) and not is_own_frame(above, below):
            kept.append(below)
    return kept


def is_own_frame(above: Any, below: Any) -> bool:
    return isinstance(above, types.GeneratorType) and below is above.gi_frame


def leads_to(above: Any, edge: str, below: Any) -> bool:
    """Whether ``edge``, typed on ``above``, gives ``below``."""
    if isinstance(above, types.GeneratorType):
        above = above.gi_frame
    if isinstance(above, types.FrameType):
        return above.f_locals[edge] is below
    if edge == "[key]":
        return any(one is below for one in above.values())
    if edge == "closure":
        return above.__closure__ is below
    if edge.startswith("["):
        return above[int(edge[1:-1])] is below
    return getattr(above, edge.lstrip(".")) is below


@pytest.mark.parametrize("engine", [fallback, walker])
@pytest.mark.parametrize("kind", HOLDERS)
def test_the_recorded_path_is_objgraphs_chain(kind: str, engine: Engine) -> None:
    payload = bytes(SIZE)
    holder = HOLDERS[kind](payload)
    chain = chain_of(holder, payload)
    (group,) = (one for one in engine([Root("module", "holder", holder)])["groups"]
                if one["bytes"] >= SIZE)  # fmt: skip
    path = group["path"]
    assert [step["type"] for step in path] == [sizes.type_name(type(one)) for one in chain[1:]]
    for above, step, below in zip(chain, path, chain[1:]):
        assert leads_to(above, step["edge"], below), step
