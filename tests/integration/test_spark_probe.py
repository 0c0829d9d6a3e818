"""Caches of a real session as a recording tells them: names, reach, reads, levels, views, cells."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import spark_clusters
from kernels import PATIENCE, Kernel
from running import behave, memprobe_run

from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Spark, SparkCache
from memprobe.targets.kernel import Attachment, AttachOptions, attach

PATIENT = 3 * PATIENCE  # a machine with many JVMs is slow

CELLS = {
    "base": "df = spark.range(1000).selectExpr('id AS a', 'id % 7 AS k').cache()\nn = df.count()",
    "derived": "d2 = df.where('a > 5').persist(StorageLevel.DISK_ONLY); frames = [d2]\n"
    "n = d2.count(); d3 = d2.groupBy('k').count(); n = len(d3.collect())",
    "unfilled": "later = spark.range(77).cache()",
    "view": "df.createOrReplaceTempView('v1')\n"
    "spark.sql('CREATE OR REPLACE GLOBAL TEMP VIEW g1 AS SELECT k FROM v1')",
    "table": "spark.sql('CACHE TABLE tt AS SELECT a FROM v1 WHERE a > 7')",
    "checkpoint": "lc = spark.range(50).localCheckpoint()\n"
    "rdd = sc.parallelize(range(10), 2).map(lambda x: x).cache(); n = rdd.count()\n"
    "r2 = rdd.map(lambda x: x + 1); n = r2.count()\n"
    "made = spark.createDataFrame(r2.map(lambda x: (x,)), 'x int')",
    "joined": "n = df.join(d2, 'a').count()",
    "shown": "df",
    "let go": "d2 = frames = d3 = later = None",
}


@dataclass
class Notebook:
    """A kernel with an attachment that is kept alive while cells run."""

    kernel: Kernel
    attachment: Attachment
    records: list[Any]

    def run(self, code: str) -> int:
        """Run a cell to its end; return its number."""
        message = self.kernel.start_cell(code)
        deadline = time.monotonic() + PATIENT
        while time.monotonic() < deadline:
            self.records += self.attachment.poll()
            try:
                reply = self.kernel.client.get_shell_msg(timeout=0.2)
            except queue.Empty:
                continue
            if reply["parent_header"].get("msg_id") == message:
                assert reply["content"]["status"] == "ok", reply["content"]
                return int(reply["content"]["execution_count"])
        raise AssertionError("the cell did not end")

    def reading(self, met: Callable[[Spark], object]) -> Spark:
        """Wait for a reading that meets what a test needs."""
        seen, deadline = 0, time.monotonic() + PATIENT
        while time.monotonic() < deadline:
            for record in self.records[seen:]:
                if isinstance(record, Spark) and met(record):
                    return record
            seen = len(self.records)
            self.records += self.attachment.poll()
            time.sleep(0.05)
        raise AssertionError("no such reading")


@dataclass
class Story:
    """What was recorded of ``CELLS``, whose numbers are in ``cells``."""

    notebook: Notebook
    cells: dict[str, int]
    last: Spark  # before the names were let go
    end: Spark  # after

    def cache(self, expr: str) -> SparkCache:
        """Return the one that a name is."""
        (found,) = [
            cache for cache in self.last.caches or []
            if any(one.expr == expr and one.how == "itself" for one in cache.holders)
        ]  # fmt: skip
        return found

    def again(self, cache: SparkCache) -> SparkCache:
        """Return the same cache at the end."""
        (found,) = [one for one in self.end.caches or [] if one.id == cache.id]
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("spark")
    cluster = spark_clusters.local(folder)
    with cluster.kernel(folder) as kernel:
        kernel.run("before = 1")
        options = AttachOptions(output=folder / "a.memprobe", program="etl.ipynb", interval=0.5)
        attachment = attach(kernel.connection_file, kernel.pid, options)
        notebook = Notebook(kernel, attachment, [])
        notebook.run(cluster.session() + "\nfrom pyspark import StorageLevel")
        cells = {}
        for name, code in CELLS.items():
            if name == "let go":
                last = notebook.reading(lambda one: one.cell == cells["shown"] and _settled(one))
            cells[name] = notebook.run(code)
        end = notebook.reading(lambda one: one.cell == cells["let go"] and _settled(one))
        yield Story(notebook, cells, last, end)
        attachment.close()


def _settled(reading: Spark) -> bool:
    """Whether a reading knows all that it can know."""
    caches = reading.caches or []
    return bool(caches) and all(one.known and one.reads is not None for one in caches)


def _holders(cache: SparkCache, how: str) -> set[str]:
    return {one.expr for one in cache.holders if one.how == how}


def test_names_lead_to_what_they_are_read_or_stand_behind(story: Story) -> None:
    base, derived = story.cache("df"), story.cache("d2")
    shown = f"Out[{story.cells['shown']}]"
    assert {"df", shown} <= _holders(base, "itself")
    assert _holders(derived, "itself") == {"d2", "frames[0]"}
    assert "d3" in _holders(derived, "reads")
    assert {"d2", "d3", "frames[0]"} <= _holders(base, "behind")
    assert not _holders(base, "reads") & {"d2", "d3"}
    assert {one.cell for one in base.holders if one.expr == shown} == {story.cells["shown"]}
    table = next(one for one in story.last.caches or [] if one.table == "tt")
    assert sorted(base.above) == sorted([derived.id, table.id])
    assert derived.above == []


def test_each_cache_was_made_by_its_cell_and_read_so_often(story: Story) -> None:
    cells = story.cells
    base, derived, later = story.cache("df"), story.cache("d2"), story.cache("later")
    assert [one.cell for one in (base, derived, later)] == [
        cells["base"], cells["derived"], cells["unfilled"],
    ]  # fmt: skip
    assert all(one.since is not None and one.ours for one in story.last.caches or [])
    # Filled by its own count; read by the count that filled `d2`, by `tt`, and by the join.
    assert (base.reads, base.read_cell) == (3, cells["joined"])
    # Filled by its count; read by `collect` and by the join.
    assert (derived.reads, derived.read_cell) == (2, cells["joined"])
    assert (later.reads, later.rdd, later.cached, later.read_cell) == (0, None, None, None)
    assert later.memory == 0


def test_sizes_levels_and_partitions_are_those_of_the_block_manager(story: Story) -> None:
    base, derived = story.cache("df"), story.cache("d2")
    assert (base.level, derived.level) == ("MEMORY_AND_DISK_DESER", "DISK_ONLY")
    infos = "{i.id(): (i.memSize(), i.diskSize(), i.numCachedPartitions(), i.numPartitions())" \
            " for i in sc._jsc.sc().getRDDStorageInfo()}"  # fmt: skip
    told = story.notebook.kernel.value(infos)
    for cache in story.last.caches or []:
        if cache.rdd is not None:
            sizes = cache.memory, cache.disk, cache.cached, cache.partitions
            assert sizes == tuple(told[cache.rdd]), cache
            assert list(cache.executors.values()) == [[cache.memory, cache.disk]]


def test_views_tables_checkpoints_and_rdds(story: Story) -> None:
    base, checkpoint, rdd = story.cache("df"), story.cache("lc"), story.cache("rdd")
    assert base.views == ["global_temp.g1", "v1"]
    table = next(one for one in story.last.caches or [] if one.table == "tt")
    assert (table.views, table.cell) == (["tt"], story.cells["table"])
    assert (checkpoint.kind, rdd.kind) == ("checkpoint", "rdd")
    assert {"r2", "made"} <= _holders(rdd, "reads")
    assert (rdd.level, rdd.reads, rdd.cell) == ("MEMORY_ONLY", 1, story.cells["checkpoint"])
    assert checkpoint.cell == story.cells["checkpoint"]


def test_a_name_that_is_let_go_holds_nothing_at_once(story: Story) -> None:
    """Also before Python collects the cycles of py4j's objects: nobody can reach those."""
    for name in ("d2", "later"):
        assert story.again(story.cache(name)).holders == []
    assert "df" in _holders(story.again(story.cache("df")), "itself")


def test_no_text_of_a_plan_and_no_column_is_recorded(story: Story) -> None:
    recorded = (story.notebook.kernel.connection_file.parent / "a.memprobe").read_text()
    spark = [line for line in recorded.splitlines() if '"kind":"spark"' in line]
    assert spark
    for secret in ("id % 7", "#", "a > 5", "StructType", "driver.host"):
        assert not any(secret in line for line in spark), secret
    operators = story.cache("d2").operators
    assert operators[0] == "Filter"
    assert all(name.isalnum() for name in operators)


ORACLE = """
def _oracle(frame):
    cm = spark._jsparkSession.sharedState().cacheManager()
    plan = frame._jdf.queryExecution().normalized()
    method = next(m for m in cm.getClass().getMethods() if m.getName() == "useCachedData")
    more = [getattr(cm, "useCachedData$default$2")()] if method.getParameterCount() > 1 else []
    used = cm.useCachedData(plan, *more)
    nested, found = used.subqueriesAll(), set()
    for plan in [used, *(nested.apply(at) for at in range(nested.size()))]:
        leaves = plan.collectLeaves()
        for leaf in (leaves.apply(at) for at in range(leaves.size())):
            if leaf.nodeName().startswith("InMemoryRelation"):
                found.add(leaf.cacheBuilder().cachedColumnBuffers().id())
    return found
frames_of = {
    "f0": df, "f1": df.select("k"), "f2": df.where("a > 5"), "f3": df.where("a > 6"),
    "f4": df.where("a > 5").where("k = 1"), "f5": spark.table("v1"), "f6": spark.table("tt"),
    "f7": spark.table("v1").join(spark.table("tt"), "a"), "f8": spark.range(5),
    "f9": spark.table("global_temp.g1"), "f10": df.union(df.where("a > 5")).distinct(),
    "f11": spark.range(1000).selectExpr("id AS b", "id % 7 AS q"), "f12": df.alias("x"),
    "f13": spark.sql("SELECT * FROM v1 WHERE k IN (SELECT a FROM tt)"),
    "f14": spark.sql("WITH c AS (SELECT * FROM v1) SELECT * FROM c WHERE a > 5"),
    "f15": df.withColumn("z", df.a + 1), "f16": df.limit(3), "f17": df.orderBy("a").select("a"),
}
filled = df.where('a > 5').persist(StorageLevel.DISK_ONLY).count()
"""


def test_what_is_read_is_what_spark_would_read(story: Story) -> None:
    notebook = story.notebook
    notebook.run(ORACLE)
    compared = 0
    for start in range(0, 18, 6):  # a reading lists twenty names of each cache
        some = [f"f{number}" for number in range(start, start + 6)]
        cell = notebook.run("; ".join(f"{name} = frames_of.pop('{name}')" for name in some))
        expected = notebook.kernel.value(f"{{n: sorted(_oracle(globals()[n])) for n in {some}}}")
        reached = {name for name, caches in expected.items() if caches}
        reading = notebook.reading(
            lambda one, cell=cell, reached=reached: (  # type: ignore[misc]
                one.cell == cell and _settled(one) and reached <= set(_read_by(one))
            )
        )
        found = _read_by(reading)
        assert {name: sorted(found.get(name, ())) for name in some} == expected
        compared += len(reached)
        notebook.run(f"del {', '.join(some)}")
    assert compared > 12


def _read_by(reading: Spark) -> dict[str, set[int | None]]:
    found: dict[str, set[int | None]] = {}
    for cache in reading.caches or []:
        for one in cache.holders:
            if one.how != "behind":
                found.setdefault(one.expr, set()).add(cache.rdd)
    return found


SCRIPT = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").getOrCreate()
def load():
    return spark.range(1000).selectExpr("id AS a").cache()
df = load()
df.count(), df.count()
rows = [[n] for n in range(2000)]  # as programs do: a collection is where we are called
import select; select.select([], [], [], 8)
if "stop" in sys.argv:
    spark.stop()
print("done")
"""


@pytest.mark.parametrize("ends", ["stays", "stop"])
def test_a_script_is_read_while_it_runs_and_at_its_end(tmp_path: Path, ends: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(SCRIPT)
    env = {**spark_clusters.environment(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    path = tmp_path / "job.memprobe"
    seen = behave(memprobe_run(path, str(script), ends), env=env, cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("done\n", 0), seen.stderr
    recording: Recording = read(path)
    assert [event for event in recording.events if event.event == "probe-error"] == []
    last = recording.spark[-1]
    assert last.reason == ("exit" if ends == "stays" else "interval")
    (cache,) = last.caches or []
    assert [(one.expr, one.how, one.root) for one in cache.holders] == [("df", "itself", "module")]
    assert (cache.reads, cache.cached, cache.partitions, cache.cell) == (1, 2, 2, None)
    assert cache.since is not None
    lines = [line for line, text in enumerate(SCRIPT.splitlines(), 1) if ".cache()" in text]
    assert [(one.file, [one.line], one.names) for one in recording.snapshots[-1].cache_calls] == [
        ("job.py", lines, ["df"])
    ]
