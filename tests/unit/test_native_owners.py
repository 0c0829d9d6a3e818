"""Which holders keep which bytes: the native walk against a few lines of plain Python."""

from __future__ import annotations

import gc
import itertools
import random
import sys
from typing import Any

import pytest

from memprobe_probes import native_walker
from memprobe_probes.native import Native
from memprobe_probes.native_answer import Answer
from memprobe_probes.roots import Root

WALKER, WHY = native_walker.load()
pytestmark = pytest.mark.skipif(WALKER is None, reason=str(WHY))
HOLDERS = 6

Graph = list[list[int]]
Kept = dict[frozenset[int], tuple[int, int]]


@pytest.fixture(scope="module")
def native() -> Native:
    return Native(WALKER)


def expected(graph: Graph, held: list[int]) -> Kept:
    """Return bytes and number of lists by the set of holders that reach them."""
    holders: list[set[int]] = [set() for _ in graph]
    for holder, start in enumerate(held):
        pending = [start]
        while pending:
            node = pending.pop()
            if holder not in holders[node]:
                holders[node].add(holder)
                pending += graph[node]
    found: Kept = {}
    for node, targets in enumerate(graph):
        size = sys.getsizeof([None] * len(targets)) + 15 & ~15
        total, count = found.get(frozenset(holders[node]), (0, 0))
        found[frozenset(holders[node])] = (total + size, count + 1)
    found.pop(frozenset(), None)
    return found


def lists(graph: Graph, held: list[int]) -> list[Any]:
    """Return the lists that are held; each has exactly the room that its elements need."""
    made: list[list[Any]] = [[None] * len(targets) for targets in graph]
    for one, targets in zip(made, graph, strict=True):
        one[:] = [made[target] for target in targets]
    return [made[start] for start in held]


def walked(native: Native, objects: list[Any]) -> Kept:
    """Return what the walk tells of the objects, which nobody else refers to."""
    roots = [Root("module", f"held_{at}", obj) for at, obj in enumerate(objects)]
    objects.clear()
    gc.collect()
    request, _ = native._prepared(roots, set(), (), 10**10)
    packed = request.packed(most_nodes=10**7, memory=1 << 30, milliseconds=0)
    try:
        answer = Answer(WALKER.here(packed))
    finally:
        request.forget()
    return {frozenset(group.holders): (group.bytes, group.objects) for group in answer.groups}


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_are_shared_out_as_by_hand(native: Native, seed: int) -> None:
    chance = random.Random(seed)
    count = chance.choice([3, 20, 300, 4000])
    degrees = [chance.choice([0, 1, 1, 2, 5]) for _ in range(count)]
    graph = [[chance.randrange(count) for _ in range(degree)] for degree in degrees]
    held = [chance.randrange(count) for _ in range(HOLDERS)]
    assert walked(native, lists(graph, held)) == expected(graph, held)


@pytest.mark.parametrize("step", [1, 97])
def test_holders_along_a_chain_that_was_met_from_its_other_end(native: Native, step: int) -> None:
    # The first holder lists the whole chain, so that nearly every edge of it leads back: what the
    # others reach comes to light against the order in which the walk has met it. In long steps
    # that takes so many looks that cycles are taken together instead.
    count = 100_000
    order = [node for first in range(step) for node in range(first, count, step)]
    graph: Graph = [[] for _ in range(count)]
    for below, node in itertools.pairwise(order):
        graph[node] = [below]
    graph.append(list(range(count))[::-1])  # traversal begins at the end of a list
    held = [count, *(order[(count // HOLDERS + 170) * at - 1] for at in range(1, HOLDERS))]
    assert walked(native, lists(graph, held)) == expected(graph, held)


def test_one_ring_that_every_holder_has_a_way_into(native: Native) -> None:
    count = 30_000
    ring = [[(node + 1) % count] for node in range(count)]
    ways = [[count + at + 1] if at % 10 else [at * 100] for at in range(10 * HOLDERS)]
    held = [count + 10 * at + 1 for at in range(HOLDERS)]
    ways[-1] = [5]
    graph = [*ring, *ways]
    assert walked(native, lists(graph, held)) == expected(graph, held)


def test_a_set_of_holders_is_told_apart_up_to_many(native: Native) -> None:
    chance = random.Random(3)
    shared = [[] for _ in range(200)]
    held = [[chance.randrange(200) for _ in range(40)] for _ in range(70)]
    graph: Graph = [*shared, *held]
    starts = list(range(200, 270))
    assert walked(native, lists(graph, starts)) == expected(graph, starts)
