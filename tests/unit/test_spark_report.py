"""What a report says of Spark: its own part, the account's row of the JVM, and what is missing."""

from __future__ import annotations

import json

from spark_recordings import broadcast, cache, executor, script, spark, sparking
from test_evidence import MB, SECOND, Cell, idle

from memprobe.analysis.build import report
from memprobe.config import Config
from memprobe.findings import Report
from memprobe.recording.reader import Recording
from memprobe.recording.schema import (
    Child,
    Jvm,
    Sample,
    SparkBlocks,
    SparkStream,
    Unmeasured,
)
from memprobe.reporters import json as json_reporter
from memprobe.reporters import text

CELLS = [Cell("df", used="spark"), *idle(1)]


def told(recording: Recording) -> Report:
    return report(recording, Config())


def gaps(recording: Recording) -> dict[str, str]:
    return {gap.what: gap.why for gap in told(recording).not_measured}


def test_a_reading_becomes_a_part_of_the_report() -> None:
    last = spark(
        cache(1, "df", 20, read_t=1, read_cell=1, reads=2), cache(2, "df^", 30, views=["v"]),
        executors=[executor("0", 50, workers=3)],
        broadcasts=[broadcast(7, "bv"), broadcast(8, "", 40)],
        blocks=[SparkBlocks(kind="rdd", count=4, memory=9)], streams=[SparkStream(id="q")],
        version="4.3.0", jobs=12,
    )  # fmt: skip
    before = spark(cell=1, executors=[executor("0", 80)])
    found = told(sparking(before, last, cells=CELLS)).spark
    assert found is not None
    assert (found.version, found.readings, found.jobs) == ("4.3.0", 2, 12)
    assert [(row.holders, row.behind, row.views) for row in found.caches or []] == [
        ([], ["df"], ["v"]), (["df"], [], []),
    ]  # fmt: skip
    assert found.caches is not None
    assert found.caches[1].last_used is not None
    assert found.caches[1].created is not None
    assert [(row.used, row.used_peak, row.workers) for row in found.executors or []] == [
        (50 * MB, 80 * MB, 3)
    ]
    assert [row.id for row in found.broadcasts or []] == [8, 7]
    assert found.blocks == {"rdd": [4, 9, 0]}
    assert found.streams is not None


def test_reads_of_before_the_first_reading_were_at_nobody_knows_what_time() -> None:
    for since in (None, 1):
        first = spark(cache(1, "df", 20, reads=2, read_cell=2, read_t=2, since=since), cell=2)
        found = told(sparking(first, cells=CELLS)).spark
        assert found is not None
        (row,) = found.caches or []
        assert row.reads == 2
        assert (row.last_used is None) is (since is None)


def test_heap_after_collections_is_not_more_than_the_heap() -> None:
    reading = spark(jobs=1)
    for after, shown in ((3 * MB, True), (5 * MB, False)):
        recording = sparking(reading, cells=CELLS)
        recording.jvm.append(Jvm(t=reading.t, heap_used=4 * MB, heap_after_gc=after))
        assert ("after collections" in text.render(told(recording))) is shown


def test_what_could_not_be_read_is_null_and_no_empty_list() -> None:
    last = spark()
    last.executors = last.broadcasts = None
    document = json.loads(json_reporter.render(told(sparking(last, cells=CELLS))))
    assert document["spark"]["caches"] == []
    assert document["spark"]["executors"] is None
    assert document["spark"]["jvm"] is None


def test_without_spark_there_is_no_such_part() -> None:
    recording = sparking(cells=CELLS)
    assert told(recording).spark is None
    assert "Spark" not in text.render(told(recording))


def test_connect_is_named_and_says_what_it_cannot_tell() -> None:
    reading = spark(mode="connect", app=None)
    reading.caches = None
    reading.unmeasured = [Unmeasured(what="Spark caches", why="they live on the server")]
    recording = sparking(reading, cells=CELLS)
    found = told(recording).spark
    assert found is not None
    assert (found.mode, found.caches) == ("connect", None)
    assert gaps(recording)["Spark caches"] == "they live on the server"
    assert gaps(recording)["the driver's JVM"] == "with Spark Connect it belongs to the server"


def test_pyspark_without_a_session_is_said() -> None:
    recording = script()
    recording.header.libraries = {"pyspark": "4.3.0"}
    assert gaps(recording)["Spark caches, broadcasts and executors"] == "no Spark session was read"
    assert "the driver's JVM" in gaps(recording)


def test_caches_that_cannot_be_judged_are_counted() -> None:
    recording = sparking(
        spark(cache(1, known=False), cache(2, ours=False), cache(3, ours=False)), cells=CELLS
    )
    found = gaps(recording)
    assert "looked up" in found["what reaches 1 Spark cache"]
    assert "another program" in found["whether 2 Spark caches can be let go"]


def test_the_jvm_has_a_row_in_the_account() -> None:
    recording = sparking(spark(), cells=CELLS)
    recording.jvm = [
        Jvm(t=SECOND, pid=77, heap_used=30 * MB, heap_committed=50 * MB, rss=90 * MB,
            buffers={"direct": 5})
    ]  # fmt: skip
    row = told(recording).account.processes[1]
    assert (row.pid, row.role, row.rss) == (77, "driver-jvm", 90 * MB)
    assert row.buckets == {"heap-used": 30 * MB, "heap-free": 20 * MB, "direct-buffers": 5}
    recording.samples.append(
        Sample(t=recording.samples[-1].t, children=[Child(pid=77, role="driver-jvm", rss=91 * MB)])
    )
    [_, row] = told(recording).account.processes
    assert (row.rss, row.buckets["heap-used"]) == (91 * MB, 30 * MB)


def test_bytes_on_executors_are_no_part_of_the_process() -> None:
    recording = sparking(spark(cache(1)), cells=CELLS)
    recording.samples[-1].rss = 900 * MB
    assert text.render(told(recording)).startswith("19.1 MiB can come back: 1 finding\n")


def test_a_finding_without_bytes_promises_none() -> None:
    lost = cache(1, "df", reads=1, read_cell=1, cached=2, level="MEMORY_ONLY")
    recording = sparking(spark(lost, executors=[executor("0", 95)]), cells=CELLS)
    shown = text.render(told(recording))
    assert "MP405 executor-pressure" in shown
    assert shown.startswith("1 finding\n")
    assert "gives" not in shown
