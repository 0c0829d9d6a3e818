"""What a plan's tree reaches, which RDDs a stage needs, and the names of levels, types, holders."""

from __future__ import annotations

import collections
import sys
import types
from typing import Any

import pytest

from memprobe_probes import spark_frames, spark_holders
from memprobe_probes.roots import Root
from memprobe_probes.spark_caches import level_name, types_of
from memprobe_probes.spark_plans import Node, Tree, operator_name, reached
from memprobe_probes.spark_reads import Reads, Use, edges_of, needed
from memprobe_probes.spark_session import Found, master_kind


def _tree(*nodes: tuple[int | None, int]) -> Tree:
    tree = Tree()
    tree.nodes = [Node(digest, parent) for digest, parent in nodes]
    return tree


def test_the_frontier_is_read_and_what_lies_below_it_is_behind() -> None:
    #  1 ── 2 ── 3        and 4 beside it, below 1
    tree = _tree((1, -1), (2, 0), (4, 0), (3, 1))
    assert reached(tree, {2: "a", 3: "b", 4: "c"}, {}) == {
        "a": "reads",
        "b": "behind",
        "c": "reads",
    }
    assert reached(tree, {1: "a", 3: "b"}, {}) == {"a": "itself", "b": "behind"}
    assert reached(tree, {9: "a"}, {}) == {}


def test_a_cache_that_is_met_twice_counts_by_the_nearer() -> None:
    tree = _tree((1, -1), (2, 0), (3, 0), (3, 1))
    assert reached(tree, {2: "a", 3: "b"}, {}) == {"a": "reads", "b": "reads"}


def test_an_rdd_below_a_plan_is_reached_by_its_number() -> None:
    tree = _tree((1, -1), (None, 0))
    tree.nodes[1].rdd = 7
    assert reached(tree, {}, {7: "a"}) == {"a": "reads"}
    assert reached(tree, {1: "b"}, {7: "a"}) == {"b": "itself", "a": "behind"}
    tree = _tree((5, -1))
    tree.nodes[0].rdd = 7
    assert reached(tree, {}, {7: "a"}) == {"a": "itself"}


def test_a_stage_needs_what_no_filled_cache_stands_before() -> None:
    text = "RDDOperationEdge(0,1) RDDOperationEdge(1,2) RDDOperationEdge(2,3) rubbish Edge(a,b)"
    edges = edges_of(text)
    assert edges == [(0, 1), (1, 2), (2, 3)]
    assert needed(edges, {0, 1, 2, 3}, {2}) == {2, 3}
    # A second way past the cache 2 leads to 1 all the same.
    assert needed([*edges, (1, 3)], {0, 1, 2, 3}, {2}) == {0, 1, 2, 3}
    assert needed([*edges, (1, 3)], {0, 1, 2, 3}, {1, 2}) == {1, 2, 3}


def test_the_first_group_fills_and_each_later_one_reads_once() -> None:
    reads, use = Reads(), Use(filled=False)
    for group in (("sql", 1), ("sql", 1), ("sql", 2), ("sql", 2), ("job", 9)):
        reads._count(use, group, t=5, cell=3)
    assert (use.reads, use.cell, use.t) == (2, 3, 5)
    before = Use(filled=True)  # the job that filled it is forgotten: what is seen reads it
    reads._count(before, ("sql", 1), t=5, cell=3)
    assert before.reads == 1


def test_a_job_belongs_to_the_cell_that_had_not_ended() -> None:
    reads = Reads()
    reads.cell_ended(4, 2)
    reads.cell_ended(5, 2)  # made no job
    reads.cell_ended(6, 5)
    assert [reads._cell_of(job, 7) for job in (0, 1, 2, 4, 5)] == [4, 4, 6, 6, 7]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("StorageLevel(disk, memory, deserialized, 1 replicas)", "MEMORY_AND_DISK_DESER"),
        ("StorageLevel(disk, memory, 1 replicas)", "MEMORY_AND_DISK"),
        ("StorageLevel(disk, memory, 2 replicas)", "MEMORY_AND_DISK_2"),
        ("StorageLevel(memory, 1 replicas)", "MEMORY_ONLY"),
        ("StorageLevel(disk, 3 replicas)", "DISK_ONLY_3"),
        ("StorageLevel(disk, memory, offheap, 1 replicas)", "OFF_HEAP"),
        ("StorageLevel(1 replicas)", "NONE"),
    ],
)
def test_levels_are_named_as_pyspark_names_them(text: str, name: str) -> None:
    assert level_name(text) == name


def test_a_shape_holds_types_and_no_name() -> None:
    inner = {"type": "struct", "fields": [{"name": "secret", "type": "string"}]}
    fields = [
        {"name": "a", "type": "long"},
        {"name": "b", "type": {"type": "array", "elementType": inner}},
        {"name": "c", "type": {"type": "map", "keyType": "string", "valueType": "long"}},
    ]
    assert types_of({"type": "struct", "fields": fields}) == "(long,[(string)],{string:long})"
    assert types_of(None) == ""


def test_operators_and_masters_tell_no_path_and_no_address() -> None:
    assert operator_name("Scan parquet /home/user/secret") == "Scan"
    assert operator_name("Relation[id#1] parquet") == "Relationid1"
    assert operator_name(None) == ""
    assert master_kind("spark://10.0.0.1:7077") == "spark"
    assert master_kind("local-cluster[2,1,1024]") == "local-cluster"
    assert master_kind("local[2]") == "local[2]"
    assert master_kind("k8s://https://10.0.0.1") == "k8s"


class JavaObject:
    """Stands for py4j's: it refers to itself by the methods that were called."""

    def __init__(self, java: str) -> None:
        self._target_id = java
        self._methods: dict[str, Any] = {}


JavaObject.__module__ = "py4j.java_gateway"


class Member:
    def __init__(self, container: JavaObject) -> None:
        self.container = container


class DataFrame:
    def __init__(self, java: str) -> None:
        self._jdf = JavaObject(java)


DataFrame.__module__ = "pyspark.sql.classic.dataframe"


class PipelinedRDD:
    def __init__(self, before: str) -> None:
        self._jrdd_val = None
        self._prev_jrdd = JavaObject(before)


PipelinedRDD.__module__ = "pyspark.core.rdd"


class Holder:
    def __init__(self, frame: DataFrame) -> None:
        self.frame = frame

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("code of the program was called")


def _exprs(**names: Any) -> dict[str, list[str]]:
    found = spark_holders.names_of([Root("module", name, value) for name, value in names.items()])
    return {java: [one.expr for one in many] for java, many in found.by_java.items()}


def test_names_lead_to_frames_as_a_user_would_type_them() -> None:
    df = DataFrame("o1")
    assert _exprs(
        df=df,
        frames=[DataFrame("o2"), (DataFrame("o3"),)],
        table={"secret": DataFrame("o4")},
        holder=Holder(DataFrame("o5")),
        queue=collections.deque([DataFrame("o6")]),
        again=df,
        number=5,
    ) == {
        "o1": ["df", "again"],
        "o2": ["frames[0]"],
        "o3": ["frames[1][0]"],
        "o4": ["table[key]"],
        "o5": ["holder.frame"],
        "o6": ["queue[0]"],
    }


def test_an_rdd_that_was_not_made_yet_is_known_by_what_it_is_computed_from() -> None:
    found = spark_holders.names_of([Root("module", "r", PipelinedRDD("o1"))])
    assert found.by_java == {}
    assert [one.expr for one in found.computed["o1"]] == ["r"]


def test_a_search_for_names_has_an_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    found = spark_holders.names_of([Root("module", "loop", loop)])
    assert found.by_java == {}
    many = [object()] * (spark_holders.MOST_OBJECTS + 10)
    roots = [Root("module", f"x{at}", one) for at, one in enumerate(many)]
    assert not spark_holders.names_of(roots).whole


def test_an_object_that_only_its_own_methods_keep_is_held_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import weakref

    obj = JavaObject("o1")
    obj._methods["count"] = Member(obj)
    table = {"127.0.0.11234o1": weakref.ref(obj)}
    module = types.ModuleType("py4j.finalizer")
    module.ThreadSafeFinalizer = type("ThreadSafeFinalizer", (), {"finalizers": table})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "py4j.finalizer", module)
    found = Found("127.0.0.1", 1234, None, "o0", None)
    found.prefix = "127.0.0.11234"
    assert spark_frames.live_ids(found) == ["o1"]
    assert spark_frames.held(found, "o1")
    method = obj._methods["count"]
    del obj
    assert spark_frames.held(found, "o1")  # by the method that somebody kept
    del method
    assert not spark_frames.held(found, "o1")
    table.clear()
    assert not spark_frames.held(found, "o1")  # collected since it was listed
