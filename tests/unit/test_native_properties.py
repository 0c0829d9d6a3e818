"""Exclusive and shared bytes of random object graphs, by every engine, against plain bookkeeping.

More examples than the few that a quick run has room for: ``MEMPROBE_EXAMPLES=2000``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import compared
import pytest
from compared import Engine, differing, here, in_a_copy, in_batches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from object_graphs import KINDS, Made, Plan

from memprobe_probes import heap, native

EXAMPLES = int(os.environ.get("MEMPROBE_EXAMPLES", "40"))
MB = 1 << 20  # from so many bytes on every engine asks whether only garbage has a reference

bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
needs_walker = pytest.mark.skipif(compared.FOUND is None, reason=str(compared.REASON))


@some.composite
def plans(draw: some.DrawFn) -> Plan:
    kinds = draw(some.lists(some.sampled_from(KINDS), min_size=1, max_size=24))
    number = some.integers(0, len(kinds) - 1)
    links = draw(some.lists(some.tuples(number, number), max_size=60))
    names = draw(some.lists(number, min_size=1, max_size=6))
    few = some.lists(number, max_size=2)
    return Plan(kinds, links, names, draw(few), draw(few))


@pytest.fixture(autouse=True)
def told_in_full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Groups of every size; and no collection that makes garbage disappear."""
    monkeypatch.setattr(native, "LEAST_GROUP", 1)
    monkeypatch.setattr(heap, "LEAST_GROUP", 1)
    gc.disable()
    yield
    gc.enable()


def compare(engine: Engine, made: Made, plan: Plan) -> None:
    words = differing(engine(made.names), made.ledger.groups())
    assert not words, (plan, words)


@needs_walker
@bounded
@given(plan=plans())
def test_a_copy_attributes_every_byte_and_takes_garbage_for_nobody(plan: Plan) -> None:
    compare(in_a_copy, Made(plan), plan)


@needs_walker
@bounded
@given(plan=plans())
def test_the_walk_in_place_attributes_every_byte(plan: Plan) -> None:
    made = Made(plan.without_garbage())
    gc.collect()  # what no name has reached may have been a cycle
    compare(here, made, plan)


@bounded
@given(plan=plans())
def test_the_walk_in_batches_attributes_every_byte(plan: Plan) -> None:
    made = Made(plan.without_garbage())
    gc.collect()
    compare(in_batches, made, plan)


@needs_walker
@settings(bounded, max_examples=EXAMPLES // 4)
@given(plan=plans())
def test_where_much_depends_on_it_the_walk_in_place_asks_for_garbage_too(plan: Plan) -> None:
    plan = Plan(["list", "bytes", *plan.kinds], [(0, 1)], [0], [], [0])
    compare(here, Made(plan, MB), plan)


def test_the_ledger_itself_on_a_graph_worked_out_by_hand() -> None:
    # Two lists, one text in both, a second one in the first only; the first also has a cycle.
    plan = Plan(["list", "list", "text", "text"], [(0, 2), (1, 2), (0, 3), (0, 0)], [0, 1], [3], [])
    made = Made(plan)
    text = made.names["name1"][0]
    found = made.ledger.groups()
    assert {names: objects for names, (_, _, objects) in found.items()} == {
        frozenset({"name0"}): 1, frozenset({"name1"}): 1,
        frozenset({"name0", "name1"}): 1, frozenset({"name0", "?"}): 1,
    }  # fmt: skip
    least, most, _ = found[frozenset({"name0", "name1"})]
    assert least == most == (text.__sizeof__() + 15) // 16 * 16
