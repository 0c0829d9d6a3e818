"""What a recording says over time, for pages with pictures."""

from __future__ import annotations

from pathlib import Path

from memprobe.analysis.contrast_history import contrast_history
from memprobe.analysis.evidence import gather
from memprobe.analysis.history import MOST_STEPS, history
from memprobe.config import Config
from memprobe.histories import History
from memprobe.recording.reader import Recording
from memprobe.recording.schema import (
    Account,
    Child,
    Group,
    Header,
    Holder,
    Jvm,
    Marker,
    ProcessMemory,
    Sample,
    Snapshot,
    Spark,
    SparkExecutor,
)

SECOND = 10**9
MIB = 2**20


def recording(**records: list) -> Recording:
    header = Header(t=100 * SECOND, context=records.pop("context", "notebook"), program="x.ipynb")
    return Recording(Path("x.memprobe"), header, **records)


def told(**records: list) -> History:
    return history(gather(recording(**records), Config()))


def at(seconds: float) -> int:
    return int((100 + seconds) * SECOND)


def holder(number: int, expr: str, held: int, root: str = "notebook-namespace") -> Holder:
    return Holder(id=number, root=root, expr=expr, object=held, type="list")


def test_seconds_count_from_the_header_and_a_missing_rss_is_no_point() -> None:
    found = told(samples=[Sample(t=at(1), rss=10), Sample(t=at(2)), Sample(t=at(3), rss=30)])

    assert found.rss == [[1.0, 10.0], [3.0, 30.0]]
    assert found.live == []
    assert found.processes == []


def test_the_parts_of_what_is_held_add_up_to_the_live_bytes_at_each_snapshot() -> None:
    holders = [holder(n, f"name_{n}", n) for n in range(12)]
    holders.append(holder(20, "Out[3]", 3, "ipython-output"))
    groups = [Group(holders=[n], bytes=(n + 1) * MIB) for n in range(12)]
    groups[3].holders = [3, 20]  # two names of one object: not shared
    groups.append(Group(holders=[1, 2], bytes=5 * MIB))

    found = told(
        snapshots=[
            Snapshot(t=at(1), holders=holders, groups=groups),
            Snapshot(t=at(2), holders=holders[:2], groups=groups[:2]),
        ]
    )

    assert found.held.times == [1.0, 2.0]
    assert found.held.names[:2] == ["name_11", "name_10"]
    assert found.held.names[-2:] == ["smaller holders", "shared by several"]
    assert "name_3" in "".join(found.held.names) or found.held.values[-2][0] >= 4 * MIB
    sums = [sum(row[position] for row in found.held.values) for position in (0, 1)]
    assert sums == [value for _, value in found.live]
    assert found.held.values[-1] == [5.0 * MIB, 0.0]


def test_a_snapshot_that_was_skipped_is_no_zero() -> None:
    found = told(snapshots=[Snapshot(t=at(1), skipped="over --max-pause")])

    assert found.live == []
    assert found.held.names == []


def test_processes_of_one_role_are_added_up() -> None:
    children = [
        Child(pid=2, role="python-worker", rss=10),
        Child(pid=3, role="python-worker", rss=5),
    ]

    found = told(
        samples=[Sample(t=at(1), rss=1, children=children), Sample(t=at(2), rss=1, children=[])]
    )

    assert [(one.name, one.points) for one in found.processes] == [
        ("python-worker", [[1.0, 15.0], [2.0, 0.0]])
    ]


def test_a_jvm_that_is_no_child_is_told_by_its_own_readings() -> None:
    found = told(samples=[Sample(t=at(1), rss=1)], jvm=[Jvm(t=at(1)), Jvm(t=at(2), rss=700)])

    assert [(one.name, one.points) for one in found.processes] == [("driver-jvm", [[2.0, 700.0]])]


def test_executors_have_what_was_read_and_nothing_where_it_was_not() -> None:
    found = told(
        spark=[
            Spark(t=at(1), executors=[SparkExecutor(id="0", used=5), SparkExecutor(id="1")]),
            Spark(t=at(2), executors=None),
        ]
    )

    assert [(one.name, one.points) for one in found.executors] == [("0", [[1.0, 5.0]])]


def cell(number: int, start: float, end: float | None, **more: object) -> list[Marker]:
    found = [Marker(t=at(start), phase="start", cell=number, rss=100)]
    if end is not None:
        found.append(Marker(t=at(end), phase="end", cell=number, rss=150, **more))
    return found


def test_a_cell_has_its_ends_and_its_change_and_one_that_runs_has_no_end() -> None:
    found = told(markers=[*cell(1, 1, 2, peak=900, error="ValueError"), *cell(2, 3, None)])

    first, second = found.steps
    assert (first.name, first.start, first.end, first.change) == ("cell 1", 1.0, 2.0, 50)
    assert (first.peak, first.error) == (900, "ValueError")
    assert (second.name, second.end, second.change) == ("cell 2", None, None)


def test_of_many_cells_the_longest_and_those_that_failed_are_kept_in_order() -> None:
    markers = [m for n in range(500) for m in cell(n, n, n + 0.1 + n / 1000)]
    markers[1].error = "KeyError"

    found = told(markers=markers)

    assert len(found.steps) == MOST_STEPS
    assert found.steps_left_out == 100
    assert found.steps[0].name == "cell 0"
    assert [one.start for one in found.steps] == sorted(one.start for one in found.steps)


def rounds() -> list[Marker]:
    first = Marker(t=at(1), marker="phase", name="round 1", phase="start")
    second = Marker(t=at(11), marker="phase", name="round 2", phase="start")
    ends = [
        Marker(t=at(9), marker="phase", name="round 1", phase="end"),
        Marker(t=at(19), marker="phase", name="round 2", phase="end"),
    ]
    return [first, *cell(5, 2, 3), ends[0], second, *cell(6, 12, 13), ends[1]]


def test_cells_are_counted_within_their_round() -> None:
    found = told(markers=rounds())

    assert [(one.name, one.start, one.end) for one in found.rounds] == [
        ("round 1", 1.0, 9.0), ("round 2", 11.0, 19.0),
    ]  # fmt: skip
    assert [one.name for one in found.steps] == ["cell 1", "cell 1"]


def test_each_process_of_the_script_is_laid_beside_the_round_of_its_number() -> None:
    def process(begins: float) -> Recording:
        start = Marker(t=at(begins), marker="phase", name="cell 1", phase="start")
        end = Marker(t=at(begins + 1), marker="phase", name="cell 1", phase="end")
        return recording(context="script", markers=[start, end])

    notebook = recording(markers=rounds())
    found = contrast_history(notebook, [process(0.5), process(4.0), process(0.0)], Config())

    assert found.shifts == [0.5, 7.0, 11.0]


def account(seconds: float, **buckets: int) -> Account:
    named = {name.replace("_", "-"): amount for name, amount in buckets.items()}
    row = ProcessMemory(pid=7, rss=sum(named.values()), buckets=named)
    return Account(t=at(seconds), full=bool(named), processes=[row])


def test_the_account_over_time_has_the_buckets_in_their_order_and_no_zero_for_an_unknown() -> None:
    found = told(
        accounts=[
            account(1, malloc_other=5, python_objects=7),
            account(2),
            account(3, arrow_live=2),
        ]
    ).account

    assert found.times == [1.0, 3.0]
    assert found.names == ["python-objects", "arrow-live", "malloc-other"]
    assert found.values == [[7, None], [None, 2], [5, None]]


def test_small_buckets_are_added_up_so_that_the_whole_stays_the_whole() -> None:
    many = {f"bucket_{n}": n + 1 for n in range(15)}  # together 120
    many["bucket_15"] = 300

    found = told(accounts=[account(1, **many)]).account

    assert len(found.names) == 11
    assert "bucket-3" not in found.names
    assert found.names[-1] == "smaller buckets"
    assert sum(row[0] or 0 for row in found.values) == sum(many.values())
