"""MP401 to MP408, and MP302 for Spark, on recordings in a few words."""

from __future__ import annotations

from typing import Any

import pytest
from spark_recordings import (
    broadcast,
    cache,
    executor,
    heap,
    noted,
    reach,
    script,
    spark,
    sparking,
    workers,
)
from test_evidence import MB, SECOND, Cell, Held, findings, idle, told

from memprobe.analysis.build import report
from memprobe.config import Config
from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Marker, Sample, Spark, SparkCache, SparkReach

RDD = "spark.sparkContext._jsc.getPersistentRDDs()"
MADE = [Cell("df", used="spark")]


def codes(recording: Recording, **config: Any) -> list[tuple[str, str]]:
    return [(one.code, one.status) for one in findings(recording, **config)]


def one_of(recording: Recording) -> Finding:
    [found] = findings(recording)
    return found


# --- MP401 ------------------------------------------------------------------------------------


def orphaned(*caches: SparkCache, cells: int = 1, **fields: Any) -> Recording:
    """The first cell made what is cached, ``cells`` more ran."""
    return sparking(spark(*caches), cells=[*MADE, *idle(cells)], **fields)


def test_a_cache_without_any_holder_is_an_orphan() -> None:
    found = one_of(orphaned(cache(8)))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP401", "leaking", 20 * MB)
    assert [(one.root, one.expr) for one in found.holders] == [("spark-executor", f"{RDD}[18]")]
    assert found.fix == f"{RDD}[18].unpersist()"
    assert (found.reclaim.where, found.reclaim.basis) == ("executors", "exact")
    assert found.created is not None
    assert found.created.cell == 1
    assert "19.1 MiB in memory" in found.why
    assert [step.edge for step in found.path] == ["CacheManager", "RDD 18"]
    assert found.path[-1].cut


def test_disk_counts_and_is_told_apart() -> None:
    found = one_of(orphaned(cache(8, disk=30 * MB)))
    assert found.exclusive_bytes == 50 * MB
    assert "19.1 MiB in memory and 28.6 MiB on disk" in found.why


@pytest.mark.parametrize(
    "fields",
    [
        {"holders": "df"}, {"holders": "df~"}, {"holders": "frames[0]"}, {"holders": "?"},
        {"views": ["orders"]}, {"table": "orders"}, {"ours": False}, {"known": False},
        {"megabytes": 9}, {"memory": None}, {"holders": "?~"}, {"holders": "d^"},
    ],
)  # fmt: skip
def test_what_anything_reaches_or_may_reach_is_no_orphan(fields: dict[str, Any]) -> None:
    assert codes(orphaned(cache(8, **fields))) == []


def test_frames_of_modules_functions_and_attributes_are_no_names_and_in_use() -> None:
    for root in ("module", "closure", "class-attribute", "suspended-frame", "callback"):
        assert codes(orphaned(cache(8, "store.df", root=root), cells=9)) == []


def test_a_cache_that_another_one_in_use_is_computed_from_is_no_orphan() -> None:
    for fields in ({"holders": "df"}, {"views": ["orders"]}, {"table": "t"}, {"holders": "?"}):
        below, above = cache(8, above=[9]), cache(9, reads=1, **fields)
        assert "MP401" not in [code for code, _ in codes(orphaned(below, above))]
    both = orphaned(cache(8, above=[9]), cache(9))
    assert codes(both) == [("MP401", "leaking")] * 2


def test_orphans_of_one_place_are_added_up() -> None:
    small = [cache(n, megabytes=6, shape="s") for n in (1, 2, 3)]
    found = one_of(orphaned(*small))
    assert (found.code, found.exclusive_bytes, len(found.holders)) == ("MP401", 18 * MB, 3)
    assert found.fix.splitlines() == [f"{RDD}[{n}].unpersist()" for n in (11, 12, 13)]


def test_only_an_output_of_an_earlier_cell_leads_to_it() -> None:
    cells = [Cell("df", used="spark", shows=True), *idle(1)]
    found = one_of(sparking(spark(cache(8, "Out[1] _1")), cells=cells))
    assert (found.code, found.status) == ("MP401", "suspect")
    assert [one.expr for one in found.holders] == ["Out[1]", "_1"]
    assert found.fix == "Out[1].unpersist()"
    read = [*cells, Cell(used="Out")]
    assert codes(sparking(spark(cache(8, "Out[1] _1")), cells=read)) == []


def test_an_output_of_the_last_cell_is_fresh() -> None:
    cells = [Cell("df", used="spark", shows=True)]
    assert codes(sparking(spark(cache(8, "Out[1]")), cells=cells)) == []


def test_a_running_cell_may_hold_what_it_made() -> None:
    recording = sparking(spark(cache(8, cell=2)), cells=[Cell("x"), Cell("df", running=True)])
    assert codes(recording) == []


def test_an_equal_frame_that_was_built_again_uses_it() -> None:
    named, gone = spark(cache(8, "df"), cell=1), spark(cache(8), cell=2)
    again = cache(8, reads=2, read_cell=3, read_t=3 * SECOND)
    assert codes(sparking(named, gone, spark(again), cells=[*MADE, *idle(3)])) == []
    long_ago = [*MADE, *idle(8)]
    assert codes(sparking(named, gone, spark(again), cells=long_ago)) == [("MP401", "leaking")]


def test_a_frame_that_every_cell_builds_anew_is_alive_while_the_cell_runs() -> None:
    unnamed = SparkReach(expr="?", root="interpreter", how="itself")

    def seen(number: int, *holders: SparkReach, reads: int) -> Spark:
        row = cache(8, reads=reads, read_cell=number, read_t=number * SECOND)
        row.holders = list(holders)
        return spark(row, cell=number)

    running = [seen(number, unnamed, reads=number) for number in range(2, 6)]
    ended = seen(5, reads=5)
    assert codes(sparking(*running, ended, cells=[*MADE, *idle(4)])) == []


def test_a_read_before_the_name_went_does_not_save_it() -> None:
    named, gone = spark(cache(8, "df"), cell=1), spark(cache(8), cell=2)
    before = cache(8, reads=2, read_cell=2, read_t=2 * SECOND)
    assert codes(sparking(named, gone, spark(before), cells=[*MADE, *idle(3)])) == [
        ("MP401", "leaking")
    ]


def test_where_reads_are_not_known_it_is_a_suspicion() -> None:
    assert codes(orphaned(cache(8, reads=None))) == [("MP401", "suspect")]


def test_a_forgotten_rdd_is_advice() -> None:
    found = one_of(orphaned(cache(8, kind="rdd", operators=[], plan="", shape="")))
    assert (found.code, found.status, found.object.type) == ("MP401", "advice", "pyspark.RDD")


def test_the_session_is_typed_by_the_name_that_is_known() -> None:
    reading = spark(cache(8), cache(9, "df", cell=2))
    recording = sparking(reading, cells=[Cell("session"), Cell("df", used="session"), *idle(1)])
    [found] = findings(recording)
    assert found.fix == "df.sparkSession.sparkContext._jsc.getPersistentRDDs()[18].unpersist()"


def test_the_fingerprint_is_the_same_in_another_run() -> None:
    one = one_of(orphaned(cache(8)))
    other = one_of(orphaned(cache(8, rdd=99)))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != one_of(orphaned(cache(8, shape="else"))).fingerprint


# --- MP403 ------------------------------------------------------------------------------------

RERUN = [Cell("df", used="spark", source="make"), Cell("df", used="spark", source="make"),
         Cell("df", used="spark", source="make")]  # fmt: skip


def rerun(*holders: str, more: int = 0, **fields: Any) -> Recording:
    copies = [
        cache(n, held, shape="s", cell=n, **fields) for n, held in enumerate(holders, start=1)
    ]
    return sparking(spark(*copies), cells=[*RERUN, *idle(more)])


def test_copies_that_a_rerun_left_are_one_finding() -> None:
    found = one_of(rerun("", "", "df"))
    assert (found.code, found.status, found.also) == ("MP403", "leaking", ["MP401"])
    assert found.exclusive_bytes == 40 * MB
    assert found.fix.splitlines() == [f"{RDD}[11].unpersist()", f"{RDD}[12].unpersist()"]
    assert found.growth is not None
    assert (found.growth.bytes_per_round, found.growth.rounds) == (20 * MB, 3)
    assert found.created is not None
    assert found.created.cell == 1


@pytest.mark.parametrize(
    "holders",
    [("", "", "df"), ("", "df"), ("", "", "df~"), ("", "", "")],
)
def test_a_rerun_needs_one_copy_that_is_left(holders: tuple[str, ...]) -> None:
    assert codes(rerun(*holders))[0][0] == "MP403"


@pytest.mark.parametrize(
    "holders",
    [("df",), ("a", "b", "df"), ("runs[0]", "runs[1]", "df"), ("?", "?", "df"), ("agg~", "df")],
)
def test_copies_that_something_holds_are_none(holders: tuple[str, ...]) -> None:
    assert codes(rerun(*holders)) == []


@pytest.mark.parametrize(
    "fields", [{"megabytes": 4}, {"views": ["v"]}, {"ours": False}, {"known": False}]
)
def test_copies_that_are_small_or_not_ours_or_read_by_a_view_are_none(
    fields: dict[str, Any],
) -> None:
    assert codes(rerun("", "", "df", **fields)) == []


def test_a_copy_that_is_read_again_is_none_and_the_newest_alone_is_an_orphan() -> None:
    again = {"reads": 2, "read_cell": 5, "read_t": 5 * SECOND}
    copies = [cache(n, held, shape="s", cell=n) for n, held in ((1, ""), (3, "df"))]
    gone = spark(*copies, cell=4)
    read = [cache(1, shape="s", cell=1, **again), copies[1]]
    assert codes(sparking(gone, spark(*read), cells=[*RERUN, *idle(3)])) == []
    assert codes(rerun("a", "")) == [("MP401", "leaking")]


def test_other_cells_and_other_forms_are_no_rerun() -> None:
    cells = [Cell("df", used="spark", source=source) for source in "abc"]
    copies = [cache(1, shape="s", cell=1), cache(2, "df", shape="s", cell=2)]
    assert codes(sparking(spark(*copies), cells=cells)) == [("MP401", "leaking")]
    forms = [cache(1, shape="s", cell=1), cache(2, "df", shape="t", cell=2)]
    assert codes(sparking(spark(*forms), cells=RERUN)) == [("MP401", "leaking")]


def test_a_loop_over_one_line_of_a_script_leaves_copies() -> None:
    place = {"cell": None, "file": "etl.py", "line": 7, "shape": "s"}
    copies = [cache(1, **place), cache(2, **place), cache(3, "df", root="module", reads=1, **place)]
    found = one_of(script(spark(*copies, at=59, reason="exit")))
    assert (found.code, found.also, found.exclusive_bytes) == ("MP403", ["MP401"], 40 * MB)
    assert found.created is not None
    assert (found.created.file, found.created.line) == ("etl.py", 7)


def test_what_one_place_left_and_keeps_nothing_of_is_orphaned_instead() -> None:
    place = {"cell": None, "file": "etl.py", "line": 7, "shape": "s"}
    copies = [cache(number, **place) for number in (1, 2)]
    assert codes(script(spark(*copies, at=59, reason="exit"))) == [("MP401", "leaking")]


def chain(*caches: SparkCache, more: int = 1) -> Recording:
    return sparking(spark(*caches), cells=[*MADE, Cell("x", used="df"), *idle(more)])


def steps(last: dict[str, Any] | None = None, **first: Any) -> list[SparkCache]:
    return [
        cache(1, "df^", **{"above": [2], "reads": 1, "read_cell": 1, **first}),
        cache(2, "df^", above=[3], reads=1, read_cell=1),
        cache(3, "df", **{"reads": 1, "read_cell": 2, **(last or {})}),
    ]


def test_caches_behind_the_one_that_is_read_are_one_finding() -> None:
    found = one_of(chain(*steps()))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP403", "suspect", 40 * MB)
    assert "`df`" in found.title
    assert found.fix.splitlines() == [f"{RDD}[11].unpersist()", f"{RDD}[12].unpersist()"]


@pytest.mark.parametrize(
    ("last", "first", "expected"),
    [
        ({}, {"holders": "raw df^"}, 20), ({}, {"holders": "agg~ df^"}, 20),
        ({}, {"views": ["raw"]}, 20), ({}, {"ours": False}, 20), ({}, {"holders": "? df^"}, 20),
        ({"cached": 3}, {}, 0), ({"cached": 0, "memory": 0}, {}, 0), ({}, {"megabytes": 1}, 21),
        ({}, {"read_cell": 2, "cell": 1}, 20), ({"memory": 1, "disk": 0}, {}, 40),
    ],
)  # fmt: skip
def test_a_step_that_is_read_or_needed_is_not_left(
    last: dict[str, Any], first: dict[str, Any], expected: int
) -> None:
    caches = steps(last)
    caches[0] = cache(1, **{"holders": "df^", "above": [2], "reads": 1, "read_cell": 1, **first})
    found = [one for one in findings(chain(*caches)) if one.code == "MP403"]
    assert sum(one.exclusive_bytes for one in found) == expected * MB


def test_an_output_of_an_earlier_cell_does_not_keep_a_step() -> None:
    caches = [cache(1, "Out[1] df^", above=[2]), cache(2, "df", reads=1, read_cell=2)]
    found = one_of(chain(*caches, more=2))
    assert (found.code, found.fix) == ("MP403", "Out[1].unpersist()")


def test_a_chain_whose_end_is_an_orphan_is_one_of_orphans() -> None:
    caches = [cache(1, above=[2], reads=1, read_cell=1), cache(2)]
    assert {code for code, _ in codes(chain(*caches))} == {"MP401"}


# --- MP402 ------------------------------------------------------------------------------------


def unread(cells: int, ended: bool = False, more: list[Cell] | None = None, **fields: Any) -> Any:
    held = fields.pop("holders", "df")
    reading = spark(cache(8, held, **fields))
    return sparking(reading, cells=[*MADE, *idle(cells), *(more or [])], ended=ended)


@pytest.mark.parametrize(("cells", "fires"), [(0, False), (4, False), (5, True), (9, True)])
def test_a_cache_that_nothing_read_is_told_when_its_name_is_stale(cells: int, fires: bool) -> None:
    assert codes(unread(cells)) == ([("MP402", "suspect")] if fires else [])


def test_an_unread_cache_is_let_go_by_its_name() -> None:
    found = one_of(unread(5))
    assert [(one.root, one.expr) for one in found.holders] == [("notebook-namespace", "df")]
    assert found.fix == "df.unpersist()"
    assert (found.object.type, found.object.name) == ("pyspark.sql.DataFrame", "df")
    assert [step.edge for step in found.path] == ["df", "CacheManager", "RDD 18"]
    assert found.path[0].cut
    assert found.last_used is not None
    assert found.last_used.cell == 1


def test_an_element_of_a_container_without_a_typable_key_goes_by_its_rdd() -> None:
    assert one_of(unread(9, holders="frames[key]")).fix == f"{RDD}[18].unpersist()"
    assert one_of(unread(9, holders="frames[1]")).fix == "frames[1].unpersist()"


@pytest.mark.parametrize(
    "fields",
    [
        {"reads": None}, {"table": "t"}, {"megabytes": 9}, {"known": False},
        {"cached": 0, "memory": 0}, {"holders": "df ?"}, {"holders": "df ?~"},
        {"reads": 3, "read_cell": 6}, {"reads": 1, "read_cell": 99},
    ],
)  # fmt: skip
def test_what_is_read_or_may_be_read_is_not_unread(fields: dict[str, Any]) -> None:
    assert codes(unread(6, **fields)) == []


def test_a_derived_frame_in_use_reads_it() -> None:
    used = [Cell("x", used="agg")]
    assert codes(unread(6, more=used, holders="df agg~")) == []
    assert codes(unread(6, holders="df agg~")) == [("MP402", "suspect")]


def test_a_cache_that_was_read_once_and_then_no_more() -> None:
    found = one_of(unread(8, reads=4, read_cell=2, read_t=2 * SECOND))
    assert found.code == "MP402"
    assert "last read in cell 2" in found.why
    assert found.last_used is not None
    assert found.last_used.cell == 2


@pytest.mark.parametrize(
    ("cells", "fields", "fires"),
    [
        (9, {}, False), (10, {}, True), (12, {"reads": 1, "read_cell": 4}, False),
        (14, {"reads": 1, "read_cell": 4}, True), (12, {"ours": False}, False),
        (12, {"reads": None}, False), (12, {"holders": "?"}, False),
    ],
)  # fmt: skip
def test_a_cached_table_is_forgotten_after_twice_as_many_cells(
    cells: int, fields: dict[str, Any], fires: bool
) -> None:
    found = findings(unread(cells, **{"holders": "", "table": "orders", **fields}))
    assert [(one.code, one.status) for one in found] == ([("MP402", "advice")] if fires else [])
    if fires:
        assert found[0].fix == 'spark.catalog.uncacheTable("orders")'
        assert [one.expr for one in found[0].holders] == ['spark.table("orders")']


def test_a_cache_of_before_we_came_has_no_place() -> None:
    found = one_of(orphaned(cache(8, cell=None, since=None)))
    assert found.title == "Spark keeps cached data, and nothing leads to it"
    assert found.created is None


def test_a_run_that_ended_without_a_reader() -> None:
    used = [Cell("x", used="df"), Cell("y", used="df")]
    assert codes(unread(0, more=used)) == []
    assert codes(unread(0, more=used, ended=True)) == [("MP402", "suspect")]
    assert codes(unread(1, ended=True)) == []
    assert codes(unread(2, ended=True, reads=1, read_cell=1)) == []
    assert codes(unread(2, ended=True, above=[9])) == []


def test_the_end_tells_nothing_where_the_last_reading_is_older() -> None:
    recording = sparking(spark(cache(8, "df"), cell=2), cells=[*MADE, *idle(3)], ended=True)
    assert codes(recording) == []


@pytest.mark.parametrize(
    ("reads", "reason", "ended", "fires"),
    [(0, "exit", True, True), (1, "exit", True, False), (0, "interval", True, False),
     (0, "exit", False, False), (None, "exit", True, False)],
)  # fmt: skip
def test_a_script_that_never_read_what_it_cached(
    reads: int | None, reason: str, ended: bool, fires: bool
) -> None:
    cached = cache(8, "df", root="module", cell=None, file="/x/etl.py", line=3, reads=reads)
    found = codes(script(spark(cached, at=59, reason=reason), ended=ended))
    assert found == ([("MP402", "suspect")] if fires else [])


# --- MP404 ------------------------------------------------------------------------------------


def broadcasting(*broadcasts: Any, cells: list[Cell], **fields: Any) -> Recording:
    return sparking(spark(broadcasts=list(broadcasts)), cells=cells, **fields)


@pytest.mark.parametrize(("cells", "fires"), [(4, False), (5, True)])
def test_a_broadcast_is_retained_when_its_name_is_stale(cells: int, fires: bool) -> None:
    recording = broadcasting(broadcast(3, "bv"), cells=[Cell("bv", used="spark"), *idle(cells)])
    assert codes(recording) == ([("MP404", "suspect")] if fires else [])


def test_a_broadcast_is_let_go_by_destroying_it() -> None:
    found = one_of(broadcasting(broadcast(3, "bv"), cells=[Cell("bv"), *idle()]))
    assert (found.fix, found.exclusive_bytes) == ("bv.destroy()", 20 * MB)
    assert found.reclaim.where == "executors"
    assert [one.expr for one in found.holders] == ["bv"]


def test_both_copies_of_a_broadcast_are_two_findings() -> None:
    kept = broadcast(3, "bv", value=True)
    recording = broadcasting(kept, cells=[Cell("bv"), *idle()], held=[Held("bv", 30)])
    found = {one.code: one for one in findings(recording)}
    assert sorted(found) == ["MP202", "MP404"]
    assert found["MP404"].fix.splitlines() == ["bv.destroy()", "del bv"]
    assert "28.6 MiB in Python" in found["MP404"].why


def test_the_value_in_python_outlives_a_destroyed_broadcast() -> None:
    gone = broadcast(3, "bv", 0, value=True, destroyed=True)
    recording = broadcasting(gone, cells=[Cell("bv"), *idle()], held=[Held("bv", 30)])
    [found] = findings(recording)
    assert (found.code, found.also) == ("MP202", ["MP404"])


@pytest.mark.parametrize(
    ("held", "cells"),
    [("bv", [Cell("x", used="bv")]), ("bv ?", []), ("?", []), ("score~", [Cell(used="score")])],
)
def test_a_broadcast_in_use_is_kept(held: str, cells: list[Cell]) -> None:
    recording = broadcasting(broadcast(3, held), cells=[Cell("bv score"), *idle(6), *cells])
    assert codes(recording) == []
    assert codes(broadcasting(broadcast(3, "bv", 9), cells=[Cell("bv"), *idle()])) == []


def test_a_broadcast_without_a_name_waits_for_a_collection() -> None:
    cells = [Cell("bv"), *idle(7)]
    gone = [spark(broadcasts=[broadcast(3)], cell=cell) for cell in (2, 8)]
    assert codes(sparking(gone[1], cells=cells)) == [("MP404", "advice")]
    assert codes(sparking(*gone, cells=cells)) == [("MP404", "suspect")]


# --- MP408 ------------------------------------------------------------------------------------


def checkpointed(*caches: SparkCache, cells: int = 1, more: list[Cell] | None = None) -> Recording:
    return sparking(spark(*caches), cells=[*MADE, *idle(cells), *(more or [])])


def checkpoint(number: int, holders: str = "", **fields: Any) -> SparkCache:
    return cache(number, holders, kind="checkpoint", plan="", **fields)


def test_checkpoints_that_no_frame_reads_are_one_finding() -> None:
    found = one_of(checkpointed(checkpoint(1), checkpoint(2), checkpoint(3, "df")))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP408", "suspect", 40 * MB)
    assert found.fix.splitlines() == [f"{RDD}[11].unpersist()", f"{RDD}[12].unpersist()"]


def test_stale_checkpoints_in_a_list_are_let_go_with_it() -> None:
    cells = [Cell("steps df"), *[Cell("x", used="df")] * 6]
    kept = [checkpoint(1, "steps[0]"), checkpoint(2, "steps[1]"), checkpoint(3, "steps[2] df")]
    found = one_of(sparking(spark(*kept), cells=cells))
    assert (found.code, found.exclusive_bytes) == ("MP408", 40 * MB)
    assert found.fix.splitlines()[0] == "del steps"
    assert [one.expr for one in found.holders] == ["steps[0]", "steps[1]"]


@pytest.mark.parametrize(
    "fields",
    [{"holders": "df"}, {"holders": "df~"}, {"holders": "?"}, {"megabytes": 9}, {"cell": 2},
     {"ours": False}, {"known": False}, {"views": ["v"]}],
)  # fmt: skip
def test_a_checkpoint_in_use_fresh_small_or_not_ours_is_clean(fields: dict[str, Any]) -> None:
    assert codes(checkpointed(checkpoint(1, **fields))) == []


def test_a_checkpoint_that_waits_in_a_script_is_advice() -> None:
    waiting = checkpoint(1, cell=None, file="etl.py", line=4)
    assert codes(script(spark(waiting, at=59, reason="exit"))) == [("MP408", "advice")]


@pytest.mark.parametrize(
    ("cells", "fields", "fires"),
    [
        (5, {}, True), (4, {}, False), (9, {"reads": 3, "read_cell": 3}, True),
        (9, {"reads": 3, "read_cell": 7}, False), (9, {"reads": None}, False),
        (9, {"holders": "?"}, False), (9, {"holders": "df"}, True), (9, {"ours": False}, False),
        (9, {"megabytes": 9}, False), (9, {"table": "orders"}, False), (9, {"known": False}, False),
    ],
)  # fmt: skip
def test_a_view_that_nobody_queries_pins_its_cache(
    cells: int, fields: dict[str, Any], fires: bool
) -> None:
    recording = checkpointed(cache(1, views=["orders"], **fields), cells=cells)
    assert codes(recording) == ([("MP408", "suspect")] if fires else [])


def test_a_view_is_dropped_and_its_cache_let_go() -> None:
    found = one_of(checkpointed(cache(1, views=["orders"]), cells=5))
    assert found.fix.splitlines() == [
        f"{RDD}[11].unpersist()", 'spark.catalog.dropTempView("orders")',
    ]  # fmt: skip
    assert [one.expr for one in found.holders] == ['spark.table("orders")']
    found = one_of(checkpointed(cache(1, views=["global_temp.orders"]), cells=5))
    assert found.fix.splitlines()[1] == 'spark.catalog.dropGlobalTempView("orders")'


# --- MP405 ------------------------------------------------------------------------------------


def pressed(
    executors: list[Any], *caches: SparkCache, before: list[Any] | None = None
) -> Recording:
    first = before or [spark(*caches, cell=1, executors=executors)]
    last = spark(*caches, executors=executors)
    return sparking(*first, last, cells=[*MADE, Cell("x", used="df")])


def test_partitions_that_were_dropped_while_memory_is_full() -> None:
    before = [spark(cache(1, "df", reads=1, read_cell=1, cached=4), cell=1)]
    now = cache(1, "df", reads=1, read_cell=1, cached=3)
    found = one_of(pressed([executor("0", 95)], now, before=before))
    assert (found.code, found.status, found.exclusive_bytes) == ("MP405", "suspect", 0)
    assert "3 of 4 partitions of `df`" in found.why
    assert [one.expr for one in found.holders] == ["executor 0"]
    assert codes(pressed([executor("0", 60)], now, before=before)) == []
    before[0].app = "an application before"
    assert codes(pressed([executor("0", 95)], now, before=before)) == []


@pytest.mark.parametrize(
    ("used", "earlier", "fires"),
    [(81, 4, [("MP405", "suspect")]), (20, 4, []), (81, 1, [])],
    ids=["no room for them", "there is room", "they were never stored"],
)
def test_whole_partitions_that_were_dropped_leave_some_room(
    used: float, earlier: int, fires: list[Any]
) -> None:
    fields: dict[str, Any] = {"reads": 1, "read_cell": 1, "level": "MEMORY_ONLY"}
    before = [spark(cache(1, "df", 80, cached=earlier, **fields), cell=1)]
    now = cache(1, "df", 20, cached=1, **fields)
    assert codes(pressed([executor("0", used)], now, before=before)) == fires


@pytest.mark.parametrize(
    ("fields", "fires"),
    [
        ({"cached": 2, "level": "MEMORY_ONLY"}, [("MP405", "suspect")]),
        ({"cached": 4, "level": "MEMORY_ONLY"}, []),
        ({"cached": 2, "level": "MEMORY_AND_DISK"}, []),
        ({"cached": 3, "level": "MEMORY_ONLY", "memory": 3 * MB}, []),
        ({"cached": 4, "disk": 50 * MB}, [("MP405", "advice")]),
        ({"cached": 4, "disk": 50 * MB, "level": "DISK_ONLY", "memory": 0}, []),
    ],
)
def test_full_memory_needs_a_sign_that_it_was_not_enough(
    fields: dict[str, Any], fires: list[Any]
) -> None:
    cached = cache(1, "df", reads=1, read_cell=1, **fields)
    assert codes(pressed([executor("0", 95)], cached)) == fires


def test_an_executor_that_was_lost() -> None:
    cached = cache(1, "df", reads=1, read_cell=1, executors={"1": [MB, 0]})
    before = [spark(cached, cell=1, executors=[executor("0", 50), executor("1", 50)])]
    gone = executor("1", 0, active=False, removed="Remote RPC client disassociated")
    now = [executor("0", 95), gone]
    assert codes(pressed(now, cached, before=before)) == [("MP405", "suspect")]
    assert codes(pressed([executor("0", 50), gone], cached, before=before)) == []


@pytest.mark.parametrize(
    ("removed", "fires"),
    [
        ("Command exited with code 137", True), ("exit code: 137, killed", True),
        ("Container killed by YARN for exceeding memory limits", True),
        ("OOMKilled", True), ("java.lang.OutOfMemoryError", True), ("exit status 52", True),
        ("Executor at 10.0.0.137:7078 was idle", False), ("code 1370", False), (None, False),
        ("Remote RPC client disassociated", False), ("no room", False),
    ],
)  # fmt: skip
def test_an_executor_that_was_killed_for_memory(removed: str | None, fires: bool) -> None:
    cached = cache(1, "df", reads=1, read_cell=1, executors={"1": [MB, 0]})
    before = [spark(cached, cell=1, executors=[executor("0", 50), executor("1", 50)])]
    killed = executor("1", 0, active=False, removed=removed)
    found = codes(pressed([executor("0", 50), killed], cached, before=before))
    assert found == ([("MP405", "suspect")] if fires else [])


def test_skew_is_advice() -> None:
    cached = cache(1, "df", reads=1, read_cell=1)
    others = [executor("1", 20), executor("2", 25)]
    assert codes(pressed([executor("0", 86), *others], cached)) == [("MP405", "advice")]
    assert codes(pressed([executor("0", 80), *others], cached)) == []
    even = [executor(name, 86) for name in "012"]
    assert codes(pressed(even, cached)) == []


# --- MP406 ------------------------------------------------------------------------------------

WORK = [Cell("df"), *[Cell("x", used="df", source="same") for _ in range(4)]]


def grown(
    levels: list[float], cells: list[Cell] | None = None, kept: int = 30, **fields: Any
) -> Recording:
    """A reading of the JVM after each cell, and ``kept`` more objects that it keeps for Python."""
    readings = [spark(cell=n, jvm_objects=100 + kept * n) for n in range(1, len(levels) + 1)]
    recording = sparking(*readings, cells=cells or WORK)
    recording.jvm = heap(*levels, **fields)
    return recording


@pytest.mark.parametrize(
    ("levels", "fires"),
    [
        ([50, 62, 74, 86, 98], True), ([50, 62, 74, 86, 86], False), ([50, 62, 60, 72, 84], False),
        ([50, 120, 132, 144, 156], True), ([50, 62, 68, 71, 72.5], False),
        ([50, 52, 54, 56, 58], False), ([50] * 5, False),
    ],
)  # fmt: skip
def test_the_heap_grows_in_every_round(levels: list[float], fires: bool) -> None:
    found = findings(grown(levels))
    assert [one.code for one in found] == (["MP406"] if fires else [])
    if fires:
        assert found[0].reclaim.where == "driver-jvm"
        assert found[0].growth is not None
        assert found[0].growth.bytes_per_round == 12 * MB
        assert "jcmd 77 GC.class_histogram" in found[0].fix


def test_a_heap_that_grows_alone_may_be_full_of_garbage() -> None:
    assert codes(grown([50, 62, 74, 86, 98], kept=0)) == [("MP406", "advice")]
    assert codes(grown([50, 62, 74, 86, 98], kept=9)) == [("MP406", "advice")]


def test_rounds_without_a_whole_reading_have_what_was_noted_at_their_ends() -> None:
    recording = grown([50, 62])
    assert codes(recording) == []
    recording.jvm_levels = noted(50, 62, 74, 86, 98)
    assert codes(recording) == [("MP406", "suspect")]
    recording.jvm_levels = noted(50, 62, 74, 86, 98, kept=0)
    recording.spark = []
    assert codes(recording) == [("MP406", "advice")]
    recording.jvm_levels = noted(50, 62, 74, 86, 86)
    assert codes(recording) == []


@pytest.mark.parametrize(
    ("heaps", "fires"), [([50, 62, 74, 86, 89], True), ([50, 62, 74, 75, 76], False)]
)
def test_a_collection_early_in_a_round_has_seen_little_of_it(
    heaps: list[float], fires: bool
) -> None:
    # Each cell's work ends with its second's ninth tenth; the last round's collection came early.
    recording = grown([])
    recording.jvm_levels = noted(*heaps, collected=[0.85, 0.85, 0.85, 0.85, 0.3])
    assert codes(recording) == ([("MP406", "suspect")] if fires else [])


def test_what_the_driver_stores_for_caches_is_no_growth_of_its_own() -> None:
    recording = grown([])
    recording.jvm_levels = noted(50, 62, 74, 86, 98)
    for number, one in enumerate(recording.jvm_levels):
        one.stored = number * 12 * MB
    assert codes(recording) == []
    for one in recording.jvm_levels:
        one.stored = 30 * MB
    assert codes(recording) == [("MP406", "suspect")]


def test_rounds_without_a_collection_do_not_count() -> None:
    assert codes(grown([50, 62, 74, 86, 98], collections=False)) == []


def test_rounds_with_other_cells_between_them_are_not_equal() -> None:
    def between(*names: str) -> list[Cell]:
        same = Cell("x", used="df", source="same")
        return [Cell("df"), *[cell for name in names for cell in (Cell(name), same)]]

    levels: list[float] = [50, 50, 62, 62, 74, 74, 86, 86, 98]
    assert codes(grown(levels, between("a", "b", "c", "d"))) == []
    assert codes(grown(levels, between("a", "a", "a", "a"))) == [("MP406", "suspect")]


@pytest.mark.parametrize(
    ("counts", "fires"),
    [([100, 2100, 4200, 6300, 8400], True), ([100, 130, 160, 190, 220], False),
     ([100, 2100, 2100, 4200, 4200], False)],
)  # fmt: skip
def test_references_of_python_into_the_jvm_grow(counts: list[int], fires: bool) -> None:
    readings = [spark(cell=n, jvm_objects=count) for n, count in enumerate(counts, start=1)]
    found = findings(sparking(*readings, cells=WORK))
    assert [one.code for one in found] == (["MP406"] if fires else [])
    if fires:
        assert "8,400 objects" in found[0].why


# --- MP407 ------------------------------------------------------------------------------------


def working(*rounds: dict[int, float], cells: list[Cell] | None = None) -> Recording:
    recording = sparking(spark(), cells=cells or WORK)
    recording.samples = [*workers(*rounds, start=2), *recording.samples]
    return recording


@pytest.mark.parametrize(
    ("rounds", "fires"),
    [
        ([86, 116, 146, 176], True),
        ([86, 116, 146, 146], False),
        ([86, 176, 178, 179], False),
        ([86, 116, 90, 120], False),
        ([86, 88, 90, 92], False),
        ([86, 116, 146, 100], False),
    ],
)
def test_the_same_workers_grow_in_every_round(rounds: list[float], fires: bool) -> None:
    recording = working(*({5: size / 2, 6: size / 2} for size in rounds))
    found = findings(recording)
    assert [(one.code, one.status) for one in found] == ([("MP407", "suspect")] if fires else [])
    if fires:
        assert found[0].exclusive_bytes == pytest.approx(90 * MB, rel=0.1)
        assert [one.expr for one in found[0].holders] == ["process 5", "process 6"]


def test_workers_that_give_back_in_between_only_breathe() -> None:
    recording = working(*({5: size} for size in (86.0, 116.0, 146.0, 176.0)))
    low = workers({5: 100.0})[0]
    low.t = int(3.3 * SECOND)
    recording.samples.insert(2, low)
    assert codes(recording) == []


@pytest.mark.parametrize(("count", "fires"), [(2, True), (3, False)])
def test_the_reading_at_the_end_tells_what_the_last_round_added(count: int, fires: bool) -> None:
    recording = working(*({5: size / 2, 6: size / 2} for size in (86, 116, 146, 146)))
    both = executor("driver", 0, python_rss=176 * MB, rss_by="proc", workers=count)
    recording.spark.append(spark(at=5.95, cell=5, reason="exit", executors=[both]))

    assert codes(recording) == ([("MP407", "suspect")] if fires else [])


@pytest.mark.parametrize(("most", "fires"), [(176, True), (146, False)])
def test_what_a_round_left_is_told_by_the_readings_around_its_end(most: int, fires: bool) -> None:
    # Cells follow each other at once, and samples come while each of them is half done.
    recording = working(*({5: size / 2, 6: size / 2} for size in (86.0, 86.0, 116.0, 146.0)))
    for sample in recording.samples[:4]:
        sample.t -= SECOND // 2
    for number, size in enumerate((86, 116, 146, most), start=3):
        both = executor("driver", 0, python_rss=size * MB, rss_by="proc", workers=2)
        recording.spark.append(spark(at=number - 0.9, cell=number, executors=[both]))

    assert codes(recording) == ([("MP407", "suspect")] if fires else [])


def test_the_process_that_forks_workers_is_not_named() -> None:
    recording = working(*({4: 49.0, 5: size} for size in (86.0, 116.0, 146.0, 176.0)))
    assert [one.expr for one in one_of(recording).holders] == ["process 5"]


def test_workers_that_are_replaced_do_not_leak() -> None:
    assert codes(working({1: 86}, {2: 116}, {3: 146}, {4: 176})) == []


def test_executors_on_other_hosts_are_known_by_their_peaks() -> None:
    def told_by(by: Any) -> Recording:
        return sparking(
            *(
                spark(cell=n, executors=[
                    executor("1", 0, python_rss=size * MB, rss_by=by)
                ])
                for n, size in enumerate((86, 116, 146, 176), start=2)
            ),
            cells=WORK,
        )  # fmt: skip

    assert codes(told_by("proc")) == [("MP407", "suspect")]
    one_more = told_by("proc")
    for number, reading in enumerate(one_more.spark):
        assert reading.executors is not None
        reading.executors[0].workers = 3 + number
    assert codes(one_more) == []
    assert codes(told_by("peak")) == [("MP407", "advice")]


@pytest.mark.parametrize(("jobs", "fires"), [(True, True), (False, False)])
def test_a_script_needs_jobs_in_each_part_of_its_time(jobs: bool, fires: bool) -> None:
    moments = range(5, 100, 5)
    recording = script(*(spark(at=t - 0.5, jobs=t if jobs else 1) for t in moments), seconds=100.0)
    recording.samples = [
        *(
            Sample(t=t * SECOND, children=workers({5: 80 + t})[0].children) for t in range(5, 101)
        ),
    ]  # fmt: skip
    assert codes(recording) == ([("MP407", "suspect")] if fires else [])


# --- MP302 ------------------------------------------------------------------------------------


def conversion(*cells: Cell, source: SparkCache, copy: float = 30, method: str = "toPandas",
               ) -> Recording:  # fmt: skip
    recording = sparking(
        spark(source), cells=[Cell("df"), Cell("pdf", used="df"), *cells], held=[Held("pdf", copy)]
    )
    for marker in recording.markers:
        if isinstance(marker, Marker) and marker.cell == 2:
            marker.collected["pdf"] = ["df", method]
    return recording


READ = {"reads": 1, "read_cell": 2}


@pytest.mark.parametrize("method", ["toPandas", "collect", "toArrow"])
def test_the_cached_source_stays_beside_the_rows_that_are_used(method: str) -> None:
    used = [Cell("x", used="pdf"), Cell("y", used="pdf")]
    found = one_of(conversion(*used, source=cache(8, "df", **READ), method=method))
    assert (found.code, found.fix, found.reclaim.where) == ("MP302", "df.unpersist()", "executors")
    assert [one.expr for one in found.holders] == ["df"]


def test_the_rows_stay_beside_the_cached_source_that_is_used() -> None:
    used = [Cell("x", used="df"), Cell("y", used="df")]
    found = one_of(conversion(*used, source=cache(8, "df", **READ)))
    assert (found.code, found.fix, found.reclaim.where) == ("MP302", "del pdf", "driver-python")
    assert found.exclusive_bytes == 30 * MB


@pytest.mark.parametrize(
    ("cells", "fields"),
    [
        (["pdf"], {}), (["pdf", "df"], {}), (["pdf", "pdf df"], {}), (["x", "y"], {}),
        (["pdf", "pdf"], {"copy": 5}), (["pdf", "pdf"], {"megabytes": 5}),
        (["pdf", "pdf"], {"views": ["v"]}), (["pdf", "pdf"], {"read_cell": 4, "reads": 2}),
        (["pdf", "pdf"], {"holders": "df ?"}), (["pdf", "pdf agg"], {"holders": "df agg~"}),
    ],
)  # fmt: skip
def test_a_collected_frame_is_clean(cells: list[str], fields: dict[str, Any]) -> None:
    copy = fields.pop("copy", 30)
    source = cache(8, **{"holders": "df", **READ, **fields})
    assert (
        codes(conversion(*(Cell("z", used=one) for one in cells), source=source, copy=copy)) == []
    )


# --- every rule -------------------------------------------------------------------------------


def test_the_last_application_counts() -> None:
    again = spark(cell=4, app="next")
    cells = [*MADE, *idle(3)]
    assert codes(sparking(spark(cache(8), cell=1), again, cells=cells)) == []


@pytest.mark.parametrize(
    ("reason", "snapshot", "cells", "over"),
    [("cell", "exit", 3, True), ("cell", "exit", 1, False), ("exit", "exit", 3, False),
     ("cell", "marker", 3, False), ("cell", "request", 3, True)],
)  # fmt: skip
def test_an_application_that_was_stopped_holds_nothing(
    reason: str, snapshot: str, cells: int, over: bool
) -> None:
    recording = sparking(spark(cache(8), cell=1, reason=reason), cells=[*MADE, *idle(cells)])
    recording.snapshots[-1].reason = snapshot
    assert codes(recording) == ([] if over else [("MP401", "leaking")])
    shown = report(recording, Config()).spark
    assert shown is not None
    assert (shown.stopped, shown.caches is None) == (over, over)


def test_a_script_that_stops_its_session_is_judged_by_what_was_there() -> None:
    held = cache(8, cell=None, file="etl.py", line=3)
    assert codes(script(spark(held, at=40, reason="interval"))) == [("MP401", "leaking")]


def test_connect_and_unread_lists_say_nothing() -> None:
    connect = spark(cache(8))
    connect.mode = "connect"
    unknown = spark()
    unknown.caches = unknown.executors = unknown.broadcasts = None
    for reading in (connect, unknown):
        assert codes(sparking(reading, cells=[*MADE, *idle(6)])) == []


def test_what_a_callback_may_read_is_in_use() -> None:
    recording = unread(9)
    recording.snapshots[-1].awaited = ["df"]
    assert codes(recording) == []


def test_helpers_say_what_they_mean() -> None:
    assert [(one.how, one.root) for one in reach("df agg~ d^ ? Out[3]")] == [
        ("itself", "notebook-namespace"), ("reads", "notebook-namespace"),
        ("behind", "notebook-namespace"), ("itself", "interpreter"), ("itself", "ipython-output"),
    ]  # fmt: skip
    assert told(orphaned(cache(8)))[0][0] == "MP401"
