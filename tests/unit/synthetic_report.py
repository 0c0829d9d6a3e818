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
        account=Account(
            processes=[ProcessAccount(pid=4121, role="driver-python", rss=int(3.2 * GIB))]
        ),
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


def quiet_report() -> Report:
    """Return a script's report in which there is nothing to do."""
    summary = recording()
    summary.context, summary.program, summary.cells = "script", "etl.py", 0
    summary.ended, summary.status = "exit", 0
    summary.slope = summary.seconds_to_limit = None
    return Report(
        recording=summary, account=Account(), overhead=Overhead(cpu_seconds=0.02), rules=RULES
    )


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
