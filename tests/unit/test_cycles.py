"""Garbage in cycles: found without collecting it, with what only it keeps, and told as MP103."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_evidence import MB, Cell, Held, findings, idle, notebook, program
from walked import allocated

from memprobe.recording.reader import Recording
from memprobe.recording.schema import Cycles, TypeCount
from memprobe_probes import cycles, native, native_walker, roots

HALF = 500_000
MANY = range(20_000)


class Ring:
    """Refers to itself, and keeps something."""

    def __init__(self, kept: Any) -> None:
        self.itself = self
        self.kept = kept


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # of what else is there, nothing needs to be looked at
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    gc.collect()


def found(budget: float = 20.0) -> dict[str, Any]:
    """Return what waits now; the program's other garbage was collected before."""
    rows, reason = cycles.waiting(int(budget * 1e9), roots.stop_ids())
    assert reason is None
    assert rows is not None
    return rows


def test_nothing_waits_where_nothing_was_left() -> None:
    assert found()["bytes"] < 10_000


@pytest.mark.parametrize(
    ("make", "nbytes"),
    [
        (lambda: np.ones(HALF), 8 * HALF),
        (lambda: [str(n) * 20 for n in range(1000)], 1000 * allocated("123" * 20)),
        (lambda: bytearray(HALF), HALF),
        (
            lambda: {n: float(n) for n in range(20_000)},
            20_000 * 64 + allocated(dict.fromkeys(range(20_000))),
        ),
        (
            lambda: np.array(["x" * 50 + str(n) for n in range(20_000)], dtype=object),
            20_000 * (8 + allocated("x" * 54)),
        ),
        (lambda: np.ones(HALF)[::2], 8 * HALF),
    ],
    ids=["array", "texts", "bytes", "big-dict", "object-array", "view"],
)
def test_what_only_garbage_keeps_counts_with_it(make: Any, nbytes: int) -> None:
    Ring(make())
    assert found()["bytes"] == pytest.approx(nbytes, rel=0.08)
    assert "Ring" in str(found()["types"])


def test_what_somebody_else_keeps_does_not_count() -> None:
    kept, shared = np.ones(HALF), [np.ones(HALF)]
    Ring(kept)
    Ring(kept[::2])
    Ring(shared)
    assert found()["bytes"] < 10_000
    assert len(shared) == 1


def test_elements_of_a_big_list_that_are_garbage_themselves_count_once() -> None:
    Ring([Ring(bytearray(1000)) for _ in range(10_000)])
    size = 10_000 * (8 + 1008 + 80)
    assert found()["bytes"] == pytest.approx(size, rel=0.15)


def test_a_ring_that_is_alive_is_no_garbage() -> None:
    alive = Ring([np.ones(HALF)])
    alive.kept.append(Ring(alive))
    assert found()["bytes"] < 10_000
    del alive
    assert found()["bytes"] > 8 * HALF


def test_looking_collects_nothing_and_leaves_nothing() -> None:
    Ring(np.ones(HALF))
    before = [sys.getrefcount(Ring), gc.get_count()[1:]]
    first, second = found(), found()
    assert [sys.getrefcount(Ring), gc.get_count()[1:]] == before
    assert first == second
    assert gc.collect() <= first["objects"] + 2
    assert found()["bytes"] < 10_000


def test_it_stops_where_the_pause_is_used_up_and_leaves_nothing() -> None:
    rows, reason = cycles.waiting(1000, set())
    assert rows is None
    assert reason is not None
    assert "pause" in reason
    assert found()["objects"] < 10


def test_without_time_for_everything_the_youngest_are_looked_at() -> None:
    gc.collect()
    Ring(np.ones(HALF))
    garbage = cycles.unreachable(0, lambda: None)
    assert [one for one in garbage if type(one) is Ring]
    assert len(garbage) < 100


@pytest.mark.parametrize(
    ("thresholds", "idle_"),
    [((700, 10, 10), False), ((0, 0, 0), True), ((10**7, 10, 10), True),
     ((50_000, 20, 20), False), ((700, 10, 10**7), True), ((2_000_000, 1, 1), True),
     ((2000, 10, 0), False)],
)  # fmt: skip
def test_thresholds_out_of_reach_are_as_good_as_off(
    thresholds: tuple[int, int, int], idle_: bool
) -> None:
    before = gc.get_threshold()
    gc.enable()
    try:
        gc.set_threshold(*thresholds)
        assert cycles.is_idle() is idle_
        gc.disable()
        assert cycles.is_idle()
    finally:
        gc.set_threshold(*before)


def test_while_the_collector_works_nothing_is_looked_for() -> None:
    gc.enable()
    gc.unfreeze()
    tables: dict[str, Any] = {"unmeasured": []}
    cycles.complete(tables, 10**9, set())
    assert tables == {"unmeasured": []}


def test_that_frozen_objects_cannot_be_seen_is_said() -> None:
    gc.enable()
    tables: dict[str, Any] = {"unmeasured": []}
    cycles.complete(tables, 10**9, set())
    assert "gc.freeze()" in tables["unmeasured"][0]["why"]


def test_a_reason_stands_in_the_record() -> None:
    tables: dict[str, Any] = {"unmeasured": []}
    cycles.complete(tables, 1000, set())
    assert tables["unmeasured"][0]["what"] == "reference cycles"
    assert "cycles" not in tables


def test_what_the_walker_found_is_completed_with_how_the_collector_is_set() -> None:
    tables: dict[str, Any] = {"unmeasured": [], "cycles": {"bytes": 7, "objects": 1}}
    cycles.complete(tables, 10**9, set())
    assert tables["cycles"]["bytes"] == 7
    assert tables["cycles"]["idle"] is True
    assert tables["cycles"]["thresholds"] == list(gc.get_threshold())


def test_the_saved_list_is_held_by_itself_alone() -> None:
    gc.garbage.append(np.ones(HALF))
    try:
        rows = [root for root in roots.script_roots() if root.expr == "gc.garbage"]
        assert [root.kind for root in rows] == ["interpreter"] * 2
    finally:
        gc.garbage.clear()


# --- MP103 ------------------------------------------------------------------------------------

OFF = Cycles(bytes=40 * MB, objects=100, enabled=False, idle=True, thresholds=[700, 10, 10],
             types=[TypeCount(type="buffer", count=5, bytes=39 * MB),
                    TypeCount(type="dict", count=9, bytes=9000),
                    TypeCount(type="Node", count=9, bytes=900)])  # fmt: skip


def with_cycles(recording: Recording, *found: Cycles | None, **fields: Any) -> Recording:
    """Give the recording one snapshot per entry; ``fields`` are those of each."""
    [last] = recording.snapshots
    recording.snapshots[:] = [
        type(last)(t=last.t, holders=last.holders, groups=last.groups, cycles=one, **fields)
        for one in found
    ]
    return recording


def told(recording: Recording, **config: Any) -> list[tuple[str, str, int, str]]:
    return [
        (one.code, one.holders[0].expr, one.exclusive_bytes // MB, one.fix)
        for one in findings(recording, **config)
    ]


def changed(**fields: Any) -> Cycles:
    values = {name: getattr(OFF, name) for name in OFF.__struct_fields__}
    return Cycles(**{**values, **fields})


@pytest.mark.parametrize(
    ("found", "expr", "megabytes", "fix"),
    [
        (OFF, "the collector is off", 40, "gc.enable(); gc.collect()"),
        (changed(enabled=True, thresholds=[0, 10, 10]), "its threshold 0 keeps the collector off",
         40, "gc.set_threshold(700, 10, 10); gc.collect()"),
        (changed(enabled=True, thresholds=[10**9, 10, 10]),
         "the collector's thresholds are out of reach", 40,
         "gc.set_threshold(700, 10, 10); gc.collect()"),
        (changed(enabled=True, idle=False, frozen=9, frozen_bytes=12 * MB),
         "gc.freeze() took them out of the collector's sight", 12, "gc.unfreeze(); gc.collect()"),
        (changed(frozen=9, frozen_bytes=12 * MB), "the collector is off", 40,
         "gc.enable(); gc.unfreeze(); gc.collect()"),
    ],
)  # fmt: skip
def test_cycles_that_stay_are_told_with_the_reason_and_what_to_type(
    found: Cycles, expr: str, megabytes: int, fix: str
) -> None:
    recording = with_cycles(notebook(Cell("x"), held=[]), found)
    expected = ("MP103", f"unreachable cycles ({expr})", megabytes, f"import gc; {fix}")
    assert told(recording) == [expected]
    assert "Node" in findings(recording)[0].title
    assert findings(recording)[0].status == "leaking"


@pytest.mark.parametrize(
    "found",
    [
        None, changed(bytes=9 * MB), changed(enabled=True, idle=False),
        changed(enabled=True, idle=False, frozen=9, frozen_bytes=9 * MB),
    ],
)  # fmt: skip
def test_garbage_that_a_collection_will_free_is_nobodys_business(found: Cycles | None) -> None:
    assert told(with_cycles(notebook(Cell("x"), held=[]), found)) == []


def test_while_a_cell_runs_the_snapshot_before_must_have_found_it_too() -> None:
    def seen(*found: Cycles | None) -> bool:
        return bool(told(with_cycles(notebook(Cell("x"), held=[]), *found, busy=True)))

    assert not seen(OFF)
    assert not seen(changed(bytes=0), OFF)
    assert seen(OFF, OFF)
    assert not seen(OFF, changed(bytes=0))


def test_in_a_script_its_end_counts_or_two_snapshots() -> None:
    assert told(with_cycles(program(), OFF, reason="exit"))
    assert not told(with_cycles(program(), OFF, reason="interval"))
    assert told(with_cycles(program(), OFF, OFF, reason="interval"))


def test_the_saved_list_is_one_holder() -> None:
    recording = notebook(Cell("x"), *idle(), held=[Held("gc.garbage gc.garbage2")])
    for holder in recording.snapshots[0].holders:
        holder.root, holder.expr = "interpreter", "gc.garbage"
    [one] = findings(recording)
    assert (one.code, [held.expr for held in one.holders]) == ("MP103", ["gc.garbage"])
    assert one.fix == "import gc; gc.set_debug(0); gc.garbage.clear(); gc.collect()"
    assert findings(recording, min_bytes=30 * MB) == []


# --- the native walker ------------------------------------------------------------------------


def by_walker() -> dict[str, Any]:
    """Return what the native walker says of garbage in this process."""
    module, reason = native_walker.load()
    if module is None:
        pytest.skip(f"no native walker here: {reason}")
    found = native.Native(module).here(roots.script_roots(), roots.stop_ids(), [], 10**10)
    cycles: dict[str, Any] = found["cycles"]
    return cycles


def test_the_walker_tells_apart_what_frozen_objects_keep() -> None:
    gc.collect()
    frozen = Ring(Ring(np.ones(HALF)))
    gc.freeze()
    assert by_walker()["frozen_bytes"] < 10_000
    del frozen
    Ring(np.ones(2 * HALF))
    found = by_walker()
    assert found["frozen_bytes"] == pytest.approx(8 * HALF, rel=0.01)
    assert found["bytes"] == pytest.approx(24 * HALF, rel=0.01)


def test_the_walker_counts_no_array_that_somebody_else_keeps() -> None:
    hidden = types.ModuleType("hidden")
    sys.modules["hidden"] = hidden
    try:
        vars(hidden)["array"] = np.ones(HALF)
        Ring(vars(hidden)["array"])
        assert by_walker()["bytes"] < 100_000
    finally:
        del sys.modules["hidden"]
