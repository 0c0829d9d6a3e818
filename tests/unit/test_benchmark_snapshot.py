"""The benchmark of snapshots: its heaps are as large as it says, its goals judged by numbers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def snapshots() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules by name; they are imported from its folder, as it does."""
    import importlib

    sys.path.insert(0, str(BENCHMARKS))
    try:
        names = ("heaps", "waits", "goals", "page", "drive")
        yield {name: importlib.import_module(f"snapshots.{name}") for name in names}
    finally:
        sys.path.remove(str(BENCHMARKS))


def reached(namespace: dict[str, Any], name: str) -> dict[int, Any]:
    """Return what a name reaches, by plain referents, classes left out."""
    found: dict[int, Any] = {}
    pending = [namespace[name]]
    while pending:
        obj = pending.pop()
        if id(obj) not in found and not isinstance(obj, type):
            found[id(obj)] = obj
            pending += gc.get_referents(obj)
    return found


@pytest.mark.parametrize(("kind", "one", "other"), [
    ("_slots", "first", "second"), ("_dicts", "records", "picked"),
])  # fmt: skip
def test_the_bytes_that_a_name_alone_keeps_are_those_of_what_only_it_reaches(
    snapshots: dict[str, ModuleType], kind: str, one: str, other: str
) -> None:
    heaps = snapshots["heaps"]
    namespace: dict[str, Any] = {}
    truth = getattr(heaps, kind)(namespace, 2000)
    for name, rest in ((one, other), (other, one)):
        shared = reached(namespace, rest)
        alone = [obj for key, obj in reached(namespace, name).items() if key not in shared]
        # Texts and small numbers are common to all.
        alone = [obj for obj in alone if type(obj) in (list, dict, heaps.Row)]
        assert truth.exclusive[name] == heaps.total(alone)


def test_work_that_keeps_the_lock_stands_in_both_measures(
    snapshots: dict[str, ModuleType],
) -> None:
    waits, long = snapshots["waits"], list(range(3_000_000))

    def work() -> int:
        return max(long)  # one call into C

    for measure in (waits.beside_a_ticker, waits.beside_a_loop):
        # On a busy machine the other thread may have been asleep all the time: a few attempts.
        seen = [measure(work) for _ in range(20)]
        assert {waited.answer for waited in seen} == {len(long) - 1}
        assert any(waited.gap >= 0.5e9 * waited.seconds for waited in seen)


def test_what_a_tool_raises_comes_through(snapshots: dict[str, ModuleType]) -> None:
    def work() -> None:
        raise KeyError("a tool's own")

    with pytest.raises(KeyError):
        snapshots["waits"].beside_a_loop(work)


def test_a_goal_is_met_or_missed_by_the_number_beside_it(
    snapshots: dict[str, ModuleType],
) -> None:
    goals, drive = snapshots["goals"], snapshots["drive"]
    native = drive.Told({
        "truth": [{"rss": 2_000_000_000, "exclusive": {"a": 1000}, "objects": 6}],
        "ticker": [{"seconds": 1.0, "gap": 0}, {"seconds": 3.0, "gap": 0}],
        "details": [{"prepared_cpu": 0.1}, {"prepared_cpu": 0.2}],
        "loop": [{"gap": 400_000_000}, {"gap": 170_000_000}],
        "written": [{"bytes": 4_000_000}],
        "seen": [{"exclusive": {"a": 1020}}],
    })  # fmt: skip
    guppy = drive.Told({
        "seen": [{"details": {"heap_alone": 30.0}}], "details": [{"heap_alone": 21.0}],
    })  # fmt: skip
    found = {("slots-6m", "memprobe native"): native, ("slots-6m", "guppy3"): guppy}
    [row] = [
        line for line in goals.goals(found, ["slots-6m"], {"slots-6m": "it"}) if "| it |" in line
    ]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "it", "10.5 ×: met", "15.0 ×", "75: met", "85: **missed**", "4.0 MB: met",
        "2.00 %: **missed**",
    ]  # fmt: skip


def test_a_process_that_was_cut_off_leaves_what_it_told(snapshots: dict[str, ModuleType]) -> None:
    told = snapshots["drive"].read('{"kind": "first", "seconds": 2}\n{"kind": "tick')
    assert told.values("first", "seconds") == [2]
    assert told.one("ticker") == {}
