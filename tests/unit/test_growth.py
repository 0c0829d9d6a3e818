"""Growth over equal runs of a cell and over windows of a script, judged by the real rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from memprobe import detectors
from memprobe.analysis.evidence import gather
from memprobe.analysis.growth import windows_grown
from memprobe.config import Config
from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import (
    Cache,
    Group,
    Header,
    Holder,
    Marker,
    Sample,
    Snapshot,
    Step,
)

MB = 10**6
SECOND = 10**9


@dataclass
class Run:
    """One run of a cell: its source, names, and the lengths of what it changed."""

    source: str = "load"
    bound: str = ""
    used: str = "load frames"
    lengths: dict[str, int] = field(default_factory=dict)
    advanced: str = ""
    rss: int = 100  # megabytes at its end


def recording(
    runs: list[Run], holders: list[Holder], groups: list[Group], **more: Any
) -> Recording:
    markers, before = [], 100
    for number, run in enumerate(runs, 1):
        fields: dict[str, Any] = {
            "cell": number, "hash": run.source, "used": run.used.split(),
            "bound": dict.fromkeys(run.bound.split(), 1),
        }  # fmt: skip
        start = Marker(t=number * SECOND, phase="start", rss=before * MB, **fields)
        end = Marker(
            t=number * SECOND + 1, rss=run.rss * MB, lengths=run.lengths,
            advanced=run.advanced.split(), **fields,
        )  # fmt: skip
        markers += [start, end]
        before = run.rss
    snapshot = Snapshot(t=99 * SECOND, holders=holders, groups=groups, **more)
    return Recording(
        path=Path("x.memprobe"), header=Header(t=0, context="notebook"), markers=markers,
        samples=[Sample(t=99 * SECOND)], snapshots=[snapshot],
    )  # fmt: skip


def holder(expr: str, number: int = 0, **fields: Any) -> Holder:
    row = {"root": "notebook-namespace", "type": "list", "object": number, **fields}
    return Holder(id=number, expr=expr, **row)


def growing(count: int = 4, expr: str = "frames", **fields: Any) -> list[Run]:
    return [Run(lengths={expr: number}, **fields) for number in range(1, count + 1)]


def findings(found: Recording, **config: Any) -> list[Finding]:
    return detectors.run(gather(found, replace(Config(), **config)))


def told(runs: list[Run], *, megabytes: float = 80, **fields: Any) -> list[tuple[str, str]]:
    found = recording(
        runs, [holder("frames", **fields)], [Group(holders=[0], bytes=int(megabytes * MB))]
    )
    return [(one.code, one.status) for one in findings(found)]


LEAK = [("MP101", "leaking")]


# --- equal rounds -----------------------------------------------------------------------------


def test_a_list_that_grew_in_every_equal_run_leaks() -> None:
    [one] = findings(recording(growing(), [holder("frames")], [Group(holders=[0], bytes=80 * MB)]))
    assert (one.code, one.status, one.exclusive_bytes) == ("MP101", "leaking", 80 * MB)
    assert one.growth is not None
    assert (one.growth.rounds, one.growth.bytes_per_round) == (4, 20 * MB)
    assert one.fix.startswith("frames.clear()")
    assert one.also == ["MP204"]


@pytest.mark.parametrize(("rounds", "fires"), [(2, False), (3, True)])
def test_growth_takes_three_rounds(rounds: int, fires: bool) -> None:
    assert told(growing(rounds)) == (LEAK if fires else [])


def test_a_run_that_adds_nothing_ends_it() -> None:
    assert told([*growing(4), Run()]) == []
    assert told([Run(), *growing(4)]) == LEAK


def test_a_container_that_was_emptied_since_does_not_leak() -> None:
    assert told([*growing(4), Run("other", lengths={"frames": 0})]) == []
    assert told([*growing(4), Run("other", lengths={"frames": 3})]) == []


def test_starting_over_in_every_run_is_no_growth() -> None:
    assert (
        told([Run(bound="frames", lengths={"frames": 3} if not n else {}) for n in range(4)]) == []
    )


@pytest.mark.parametrize(
    "between",
    [
        Run("other", bound="day", used=""),
        Run("other", bound="", used="", lengths={"day": 7}),
        Run("other", bound="frames", used=""),
    ],
)
def test_runs_between_which_an_input_changed_are_no_equal_rounds(between: Run) -> None:
    runs = [step for run in growing(used="load frames day") for step in (between, run)]
    assert told(runs) == []


def test_cells_between_that_touch_nothing_of_it_do_not_matter() -> None:
    between = Run("other", bound="x", used="frames", lengths={"y": 3})
    runs = [step for run in growing(bound="orders") for step in (between, run)]
    assert told(runs) == LEAK


def test_a_name_the_cell_binds_itself_is_no_input() -> None:
    between = Run("other", bound="orders", used="orders")
    runs = [step for run in growing(bound="orders", used="load orders frames")
            for step in (between, run)]  # fmt: skip
    assert told(runs) == LEAK


def test_runs_that_read_on_or_count_on_are_no_equal_rounds() -> None:
    assert told(growing(advanced="reader")) == []
    assert told(growing(advanced="frames")) == LEAK


def test_runs_that_work_off_a_list_are_no_equal_rounds() -> None:
    runs = [
        Run(used="load frames todo", lengths={"frames": number, "todo": 9 - number})
        for number in range(1, 5)
    ]
    assert told([Run("start", lengths={"todo": 9}), *runs]) == []


def test_different_cells_that_call_one_function_are_no_rounds() -> None:
    runs = [Run(f"load {n}", lengths={"frames": n}) for n in range(1, 6)]
    assert told(runs) == []


def test_what_another_cell_has_read_since_is_only_suspected() -> None:
    assert told([*growing(), Run("report", used="frames")]) == [("MP101", "suspect")]


def test_small_growth_is_none() -> None:
    assert told(growing(), megabytes=9.9) == []


def test_what_a_name_in_use_keeps_as_well_is_left_out() -> None:
    holders = [holder("frames"), holder("orders", 1, type="pandas.DataFrame")]
    groups = [Group(holders=[0], bytes=60 * MB), Group(holders=[0, 1], bytes=20 * MB)]
    [one] = findings(recording(growing(bound="orders"), holders, groups))
    assert (one.exclusive_bytes, one.shared_bytes) == (60 * MB, 20 * MB)


def test_two_names_of_one_list_are_one_finding() -> None:
    holders = [holder("frames"), holder("alias", 1, object=0)]
    [one] = findings(recording(growing(), holders, [Group(holders=[0, 1], bytes=60 * MB)]))
    assert {held.expr for held in one.holders} == {"frames", "alias"}


def test_a_list_inside_an_object_is_told_with_its_own_part() -> None:
    store = holder("store", type="Store", parts={"store.frames": 50 * MB})
    path = [Step(edge=".frames", type="list"), Step(edge="[0]", type="pandas.DataFrame")]
    groups = [Group(holders=[0], bytes=80 * MB, path=path)]
    [one] = findings(recording(growing(expr="store.frames"), [store], groups))
    assert [held.expr for held in one.holders] == ["store.frames"]
    assert (one.exclusive_bytes, one.object.type) == (50 * MB, "pandas.DataFrame")
    assert one.fix.startswith("store.frames.clear()")


# --- MP204 ------------------------------------------------------------------------------------


def test_a_frame_joined_to_itself_grows_with_the_runs() -> None:
    runs = growing(bound="frames")
    assert told(runs, type="pandas.DataFrame", shape=[4, 6]) == [("MP204", "suspect")]


def rss_runs(per_run: int, used: str = "ready") -> list[Run]:
    return [Run(used=used, rss=100 + per_run * number) for number in range(1, 5)]


def test_an_object_whose_bytes_are_the_processes_growth_is_named() -> None:
    groups = [Group(holders=[0], bytes=78 * MB)]
    opaque = [holder("ready", type="concurrent.futures._base.Future")]
    [one] = findings(recording(rss_runs(20), opaque, groups))
    assert (one.code, one.holders[0].expr) == ("MP204", "ready")
    assert one.growth is not None
    assert one.growth.bytes_per_round == 20 * MB
    assert findings(recording(rss_runs(9), opaque, groups)) == []
    assert findings(recording(rss_runs(20, used="other"), opaque, groups)) == []
    assert findings(recording(rss_runs(20), opaque, [Group(holders=[0], bytes=300 * MB)])) == []


def test_a_frame_that_kept_its_length_has_not_grown() -> None:
    groups = [Group(holders=[0], bytes=78 * MB)]
    frame = [holder("ready", type="pandas.DataFrame", shape=[9, 9])]
    assert findings(recording(rss_runs(20), frame, groups)) == []


# --- MP102 ------------------------------------------------------------------------------------


def cached(runs: list[Run], cache: Cache, *, root: str = "lru-cache") -> list[tuple[str, str]]:
    kept = holder("load", root=root, type="functools._lru_cache_wrapper", cache=cache)
    found = recording(runs, [kept], [Group(holders=[0], bytes=80 * MB)])
    return [(one.code, one.status) for one in findings(found)]


IDLE = [Run("idle", used="", bound=f"x{n}") for n in range(5)]


@pytest.mark.parametrize(
    ("cache", "status"),
    [
        (Cache(size=4, misses=4), "suspect"),
        (Cache(size=4, misses=4, hits=900), "suspect"),
        (Cache(size=4, maxsize=8, misses=4), None),
        (Cache(size=4, misses=4, method=True, lost=4), "leaking"),
    ],
)
def test_a_cache_nobody_asks_any_more(cache: Cache, status: str | None) -> None:
    assert cached([Run(), *IDLE], cache) == ([("MP102", status)] if status else [])


@pytest.mark.parametrize(
    ("cache", "status"),
    [
        (Cache(size=4, misses=4), None),
        (Cache(size=40, misses=40), None),  # grown in one cell
        (Cache(size=4, misses=4, method=True, instances=4, lost=2), None),
        (Cache(size=4, misses=4, method=True, instances=4, lost=3), "leaking"),
        (Cache(size=4, misses=4, method=True, instances=1, lost=1), "leaking"),
        (Cache(size=4, misses=4, method=True, instances=1, lost=0), None),
    ],
)
def test_a_cache_that_was_asked_lately(cache: Cache, status: str | None) -> None:
    runs = [Run(lengths={"load": cache.size})]
    assert cached(runs, cache) == ([("MP102", status)] if status else [])


def test_a_cache_that_grows_in_equal_rounds_leaks() -> None:
    assert cached(growing(expr="load"), Cache(size=4, misses=4)) == [("MP102", "leaking")]


@pytest.mark.parametrize(("hits", "fires"), [(0, True), (1, True), (30, False)])
def test_a_cache_that_hardly_ever_has_the_answer(hits: int, fires: bool) -> None:
    runs = [Run(f"cell {n}", lengths={"load": 4 * n}) for n in range(1, 4)]
    found = cached(runs, Cache(size=12, misses=12, hits=hits))
    assert found == ([("MP102", "suspect")] if fires else [])


@pytest.mark.parametrize(("expr", "memos"), [("CACHE", []), ("found", ["found"])])
def test_a_dict_used_or_named_as_a_cache(expr: str, memos: list[str]) -> None:
    runs = [Run(used=expr), *IDLE]
    found = recording(runs, [holder(expr, type="dict")], [Group(holders=[0], bytes=80 * MB)],
                      memos=memos)  # fmt: skip
    assert [(one.code, one.also) for one in findings(found)] == [("MP102", ["MP202"])]


@pytest.mark.parametrize(
    ("grown", "warm", "cache", "fires"),
    [
        (5, 0, None, True),
        (4, 0, None, False),  # a few tables, each loaded once
        (6, 1, None, False),  # a cell found what it asked for
        (6, 0, Cache(size=6, misses=6), True),
        (6, 0, Cache(size=6, misses=6, hits=2), False),  # cells ask it more than once
        (6, 0, Cache(size=6, misses=6, maxsize=9), False),
    ],
)
def test_a_cache_that_every_cell_adds_to(
    grown: int, warm: int, cache: Cache | None, fires: bool
) -> None:
    runs = [Run(f"cell {n}", used="CACHE", lengths={"CACHE": n}) for n in range(1, grown + 1)]
    runs += [Run(f"warm {n}", used="CACHE") for n in range(warm)]
    kept = holder("CACHE", type="dict", cache=cache)
    found = findings(recording(runs, [kept], [Group(holders=[0], bytes=80 * MB)]))
    assert [(one.code, one.status) for one in found] == [("MP102", "suspect")] * fires


# --- scripts ----------------------------------------------------------------------------------


def script(lengths: list[int], *, grown: bool = True, expr: str = "_SEEN") -> list[Finding]:
    """Judge a script that had a sample per second."""
    samples = [Sample(t=n * SECOND, lengths={expr: count}) for n, count in enumerate(lengths, 1)]
    snapshot = Snapshot(
        t=len(lengths) * SECOND, reason="exit", holders=[holder(expr, root="module")],
        groups=[Group(holders=[0], bytes=80 * MB)], grown=[expr] if grown else [],
    )  # fmt: skip
    return findings(
        Recording(path=Path("x.memprobe"), header=Header(t=0, context="script"), samples=samples,
                  snapshots=[snapshot])
    )  # fmt: skip


def test_a_list_that_is_only_filled_leaks_in_a_script() -> None:
    assert [one.code for one in script([2, 4, 6, 8, 10, 12])] == ["MP101"]
    assert [one.code for one in script([30])] == ["MP101"]


def test_one_that_is_read_or_filled_once_or_has_few_items_does_not() -> None:
    assert script([2, 4, 6, 8, 10, 12], grown=False) == []
    assert script([12, 12, 12, 12, 12, 12]) == []
    assert script([4]) == []


@pytest.mark.parametrize(
    ("lengths", "grew"),
    [
        ([0, 0, 0, 1, 2, 3], True),
        ([1, 2, 3, 3, 3, 3], False),
        ([1, 1, 1, 1, 1, 9], False),
        ([3], None),
        ([], None),
    ],
)
def test_windows_begin_where_the_container_was_last_empty(
    lengths: list[int], grew: bool | None
) -> None:
    samples = [Sample(t=n * SECOND, lengths={"x": one}) for n, one in enumerate(lengths, 1)]
    assert windows_grown(samples, 0, "x", 3) is grew


# --- MP106 ------------------------------------------------------------------------------------


def waiting(runs: list[Run], kept: Holder, via: str = "suspended-frame") -> list[Finding]:
    groups = [Group(holders=[0], bytes=80 * MB, via=[via] if via else [])]
    return findings(recording(runs, [kept], groups))


def test_a_generator_that_nobody_goes_on_with() -> None:
    kept = holder("batches", type="generator")
    [one] = waiting([Run(bound="batches"), *IDLE], kept)
    assert (one.code, one.also, one.fix) == ("MP106", ["MP202"], "batches.close()")
    assert waiting([Run(bound="batches"), *IDLE[:4]], kept) == []
    assert waiting([*IDLE, Run(used="batches")], kept) == []


@pytest.mark.parametrize(("since", "fires"), [(1, True), (2, False), (None, False)])
def test_a_task_that_waits_for_long(since: int | None, fires: bool) -> None:
    expr = "asyncio task 'Task-7' (watch)"
    kept = holder(expr, root="suspended-frame", type="_asyncio.Task", function="watch", since=since)
    found = waiting([Run(), *IDLE], kept)
    assert [one.code for one in found] == (["MP106"] if fires else [])
    assert not fires or "'watch'" in found[0].fix


def test_a_thread_that_waits_with_a_batch_in_hand() -> None:
    kept = holder("work: batch", root="frame", type="pandas.DataFrame", since=1)
    [one] = waiting([Run(), *IDLE], kept, via="")
    assert (one.code, one.holders[0].expr) == ("MP106", "work: batch")
