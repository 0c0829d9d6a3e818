"""A report as the analysis would make it, with everything a reporter can show."""

from __future__ import annotations

from memprobe.findings import (
    Account,
    CellRow,
    Created,
    Finding,
    HeldObject,
    HolderRow,
    Holding,
    LastUse,
    NotMeasured,
    Overhead,
    PathStep,
    ProcessAccount,
    Reclaim,
    RecordingSummary,
    Report,
    SparkBroadcastRow,
    SparkCacheRow,
    SparkExecutorRow,
    SparkJvm,
    SparkReport,
    SparkStreamRow,
)

MIB = 2**20
GIB = 2**30

RULES = {
    "MP104": "traceback-retained",
    "MP201": "output-history",
    "MP202": "stale-variable",
}


def full_report() -> Report:
    """Return a notebook's report with one finding of each status."""
    return Report(
        recording=recording(),
        account=accounted(),
        findings=[output_history(), traceback(), stale_advice()],
        holders=holders(),
        not_measured=[
            NotMeasured(
                what="Spark caches, broadcasts and executors",
                why="this version of memprobe does not read a Spark session",
            ),
            NotMeasured(
                what="a part of the time", why="2 snapshots were skipped: over --max-pause"
            ),
        ],
        overhead=Overhead(
            cpu_seconds=0.42,
            cpu_share=0.0006,
            bytes=96 * 1024,
            pauses_ms=[12.0, 31.5, 28.2],
            engine="native",
        ),
        rules=RULES,
    )


def accounted() -> Account:
    """Return the account of a driver: most of it alive, a good part freed and kept."""
    found = {
        "python-objects": 310 * MIB, "array-buffers": 1741 * MIB, "python-free": 92 * MIB,
        "arrow-retained": 160 * MIB, "malloc-retained": 612 * MIB, "malloc-other": 208 * MIB,
        "libraries": 142 * MIB, "mapped-files": 7 * MIB, "unknown": 4 * MIB,
    }  # fmt: skip
    rss = sum(found.values())
    own = ProcessAccount(
        pid=4121, role="driver-python", rss=rss, buckets=found, pss=rss - 40 * MIB, swap=0,
        explained=1 - 4 * MIB / rss, owned=1 - 212 * MIB / rss, trimmable=598 * MIB,
    )  # fmt: skip
    return Account(processes=[own], seconds_ago=0.4, limit_used=int(3.3 * GIB))


def accounted_with_jvm() -> Account:
    """Return the account of a driver and its JVM, whose heap is mostly empty."""
    found = {
        "heap-used": 190 * MIB, "heap-free": 731 * MIB, "metaspace": 120 * MIB,
        "code-cache": 48 * MIB, "gc-structures": 30 * MIB, "libraries": 25 * MIB,
        "malloc-other": 60 * MIB, "unknown": 11 * MIB,
    }  # fmt: skip
    rss = sum(found.values())
    jvm = ProcessAccount(
        pid=4130, role="driver-jvm", rss=rss, buckets=found, explained=1 - 11 * MIB / rss,
        owned=1 - 71 * MIB / rss,
    )  # fmt: skip
    own = accounted()
    return Account(processes=[*own.processes, jvm], seconds_ago=0.4)


def quiet_report() -> Report:
    """Return a script's report in which there is nothing to do."""
    summary = recording()
    summary.context, summary.program, summary.cells = "script", "etl.py", 0
    summary.ended, summary.status = "exit", 0
    summary.slope = summary.seconds_to_limit = None
    return Report(
        recording=summary, account=Account(), overhead=Overhead(cpu_seconds=0.02), rules=RULES
    )


def spark_report() -> Report:
    """Return a notebook's report on a Spark driver, with one finding on the executors."""
    summary = recording()
    summary.slope = summary.seconds_to_limit = None
    return Report(
        recording=summary,
        account=accounted_with_jvm(),
        findings=[orphan()],
        overhead=Overhead(cpu_seconds=0.42, engine="native"),
        spark=spark(),
        rules={"MP401": "orphan-cache"},
    )


def orphan() -> Finding:
    return Finding(
        code="MP401",
        name="orphan-cache",
        status="leaking",
        title="Spark keeps data that cell 4 cached, and nothing leads to it",
        context="notebook",
        object=HeldObject(type="pyspark.sql.DataFrame"),
        holders=[
            Holding(
                root="spark-executor",
                expr="spark.sparkContext._jsc.getPersistentRDDs()[18]",
            )
        ],
        exclusive_bytes=512 * MIB,
        shared_bytes=0,
        reclaim=Reclaim(
            bytes=512 * MIB, low=512 * MIB, high=512 * MIB, where="executors", basis="exact"
        ),
        created=Created(cell=4),
        path=[
            PathStep(type="InMemoryRelation [Project, Filter]", edge="CacheManager"),
            PathStep(type="RDD", edge="RDD 18", cut=True),
        ],
        why="no live frame would use this cache; 512.0 MiB in memory of the executors",
        fix="spark.sparkContext._jsc.getPersistentRDDs()[18].unpersist()",
        fingerprint="9abc9abc9abc",
    )


def spark() -> SparkReport:
    return SparkReport(
        app="local-1",
        version="4.3.0",
        master="local-cluster",
        readings=40,
        shared=True,
        sessions=2,
        caches=[
            SparkCacheRow(
                kind="dataframe", rdd=18, memory=512 * MIB, disk=0, partitions=8, cached=8,
                reads=0, created=Created(cell=4),
            ),
            SparkCacheRow(
                kind="dataframe", rdd=31, memory=96 * MIB, disk=12 * MIB, partitions=8, cached=6,
                reads=1204, created=Created(cell=7), holders=["orders", "daily", "Out[7]", "x"],
                views=["orders"],
            ),
            SparkCacheRow(
                kind="checkpoint", rdd=40, memory=MIB, disk=0, partitions=2, cached=2,
                behind=["ranks"], created=Created(file="etl.py", line=41),
            ),
            SparkCacheRow(kind="rdd", ours=False, memory=None, disk=None),
            SparkCacheRow(kind="dataframe", holders=["?"], known=False),
        ],
        executors=[
            SparkExecutorRow(
                id="0", max=GIB, used=640 * MIB, jvm_rss=900 * MIB, python_rss=80 * MIB,
                rss_by="proc", spilled=0,
            ),
            SparkExecutorRow(
                id="1", active=False, max=GIB, used=0, jvm_rss=GIB, rss_by="peak",
                removed="Command exited with code 137",
            ),
        ],
        broadcasts=[
            SparkBroadcastRow(
                id=3, holders=["weights"], memory=64 * MIB, disk=0, file=30 * MIB,
                in_python=True, created=Created(cell=2),
            ),
            SparkBroadcastRow(id=4, memory=0, disk=0),
        ],
        streams=[SparkStreamRow(id="5b0c5b0c-aaaa", batches=12, state_bytes=3 * MIB)],
        jvm=SparkJvm(
            pid=77, heap_used=700 * MIB, heap_after_gc=300 * MIB, heap_committed=900 * MIB,
            heap_max=GIB, buffers={"direct": 8 * MIB, "mapped": 0}, rss=int(1.2 * GIB),
            gc_ms=3210,
        ),
        executions=214, jobs=300, jvm_objects=1520, accumulators=2,
    )  # fmt: skip


def recording() -> RecordingSummary:
    levels = [0.2, 0.2, 0.9, 0.9, 1.4, 2.1, 1.4, 1.4, 2.0, 2.6, 3.3, 2.6, 2.9, 3.1, 3.2]
    return RecordingSummary(
        path="etl.memprobe",
        format=1,
        context="notebook",
        program="etl.ipynb",
        pid=4121,
        start=1_760_000_000.0,
        wall=724.0,
        python="3.11.7",
        libraries={"pandas": "2.2.3", "pyspark": "3.5.1"},
        ended="detach",
        samples=724,
        snapshots=3,
        cells=38,
        rss=int(3.2 * GIB),
        peak=int(3.4 * GIB),
        limit=4 * GIB,
        limit_source="cgroup-v2",
        slope=12.1 * MIB,
        seconds_to_limit=66.0,
        timeline=[[index * 51.0, level * GIB] for index, level in enumerate(levels)],
        cell_rows=[
            CellRow(cell=6, seconds=0.1, rss=100 * MIB, peak=100 * MIB, change=1000),
            CellRow(
                cell=7, seconds=12.5, rss=int(2.1 * GIB), peak=int(3.4 * GIB), change=int(1.9 * GIB)
            ),
            CellRow(cell=8, seconds=0.2, error="ValueError", rss=int(2.3 * GIB), change=196 * MIB),
            CellRow(cell=9, rss=int(2.3 * GIB), peak=int(2.4 * GIB)),
        ],
    )


def output_history() -> Finding:
    return Finding(
        code="MP201",
        name="output-history",
        status="leaking",
        title="IPython's output history keeps a displayed DataFrame",
        context="notebook",
        object=HeldObject(type="pandas.DataFrame", name="df", shape=[1_000_000, 240]),
        holders=[Holding(root="ipython-output", expr=expr) for expr in ("Out[7]", "_7", "_", "__")],
        exclusive_bytes=int(1.9 * GIB),
        shared_bytes=0,
        reclaim=Reclaim(bytes=int(1.9 * GIB), low=int(1.8 * GIB), high=int(2.0 * GIB)),
        created=Created(cell=7, line=1),
        last_used=LastUse(cell=9, seconds_ago=1234.0),
        path=[
            PathStep(edge="Out", type="dict"),
            PathStep(edge="[7]", type="pandas.DataFrame", cut=True),
        ],
        why="cell 7 ended in `df`: IPython keeps every displayed result, under 4 names",
        fix="%xdel _7\ndel df",
        release=True,
        also=["MP202"],
        fingerprint="5b0c5b0c5b0c",
    )


def traceback() -> Finding:
    return Finding(
        code="MP104",
        name="traceback-retained",
        status="suspect",
        title="The last exception keeps the locals of its frames",
        context="notebook",
        object=HeldObject(type="numpy.ndarray", name="features", shape=[50_000, 512]),
        holders=[Holding(root="traceback", expr="sys.last_value")],
        exclusive_bytes=196 * MIB,
        shared_bytes=12 * MIB,
        reclaim=Reclaim(bytes=196 * MIB, low=196 * MIB, high=196 * MIB, basis="exact"),
        created=Created(cell=8, line=3),
        path=[
            PathStep(edge="sys.last_value", type="ValueError", cut=True),
            PathStep(edge="__traceback__", type="traceback"),
            PathStep(edge="tb_frame", type="frame: train"),
            PathStep(edge="features", type="numpy.ndarray"),
        ],
        why="cell 8 failed with ValueError, and IPython keeps the exception for %debug",
        fix="keep the text of the exception, not the exception, in `errors`\n"
        "import sys; sys.last_value = sys.last_traceback = None",
        fingerprint="0123456789ab",
    )


def stale_advice() -> Finding:
    return Finding(
        code="MP202",
        name="stale-variable",
        status="advice",
        title="A large name was not used for a while",
        context="notebook",
        object=HeldObject(type="list", name="rows", length=400_000),
        holders=[Holding(root="notebook-namespace", expr="rows")],
        exclusive_bytes=64 * MIB,
        shared_bytes=0,
        reclaim=Reclaim(bytes=64 * MIB, low=50 * MIB, high=70 * MIB),
        created=Created(cell=3),
        path=[PathStep(edge="rows", type="list")],
        fix="del rows",
    )


def holders() -> list[HolderRow]:
    return [
        HolderRow(
            exprs=["Out[7]", "_7", "_", "__"],
            roots=["ipython-output"] * 4,
            object=HeldObject(type="pandas.DataFrame", shape=[1_000_000, 240]),
            exclusive_bytes=int(1.9 * GIB),
            shared_bytes=0,
            created=Created(cell=7, line=1),
            last_used=LastUse(cell=9, seconds_ago=1234.0),
        ),
        HolderRow(
            exprs=["lookup"],
            roots=["notebook-namespace"],
            object=HeldObject(type="dict", length=1_200_000),
            exclusive_bytes=310 * MIB,
            shared_bytes=40 * MIB,
            created=Created(cell=2, line=4),
            last_used=LastUse(cell=38, seconds_ago=2.0),
        ),
    ]
