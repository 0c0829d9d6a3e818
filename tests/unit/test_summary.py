from __future__ import annotations

import random
from pathlib import Path

import pytest
from recording_lines import header, line, ramp, write

from memprobe.analysis import build
from memprobe.analysis.slope import recent_slope
from memprobe.analysis.summary import overhead, summarise, timeline
from memprobe.config import Config
from memprobe.errors import NothingMeasured
from memprobe.findings import RecordingSummary
from memprobe.recording.reader import Recording, read

MIB = 1 << 20
GIB = 1 << 30


def recording(tmp_path: Path, *lines: bytes, **fields: object) -> Recording:
    return read(write(tmp_path / "a.memprobe", header(**fields), *lines))


def summary(tmp_path: Path, *lines: bytes, **fields: object) -> RecordingSummary:
    return summarise(recording(tmp_path, *lines, **fields))


def test_a_steady_rise_has_a_slope_and_a_time_to_the_limit(tmp_path: Path) -> None:
    found = summary(tmp_path, *ramp(200, GIB, 2 * MIB), limits={"effective": 2 * GIB})
    assert found.slope == pytest.approx(2 * MIB, rel=1e-6)
    rss = GIB + 199 * 2 * MIB
    assert found.seconds_to_limit == pytest.approx((2 * GIB - rss) / (2 * MIB), rel=1e-3)


def test_the_time_to_the_limit_counts_what_the_cgroup_has_in_use(tmp_path: Path) -> None:
    lines = [line("sample", at, rss=GIB + at * MIB, used=3 * GIB + at * MIB) for at in range(100)]
    found = summary(tmp_path, *lines, limits={"effective": 4 * GIB, "source": "cgroup-v2"})
    assert found.seconds_to_limit == pytest.approx(1024 - 99, rel=1e-3)


def test_stairs_are_a_trend_but_one_step_is_not() -> None:
    stairs = [(float(at), GIB + (at // 20) * 64.0 * MIB) for at in range(240)]
    step = [(float(at), GIB + (at > 120) * 512.0 * MIB) for at in range(240)]
    early = [(float(at), GIB + (at > 20) * 512.0 * MIB) for at in range(240)]
    assert recent_slope(stairs) == pytest.approx(64 * MIB / 20, rel=0.1)
    assert recent_slope(step) is None
    assert recent_slope(early) is None


def test_noise_a_sawtooth_and_a_flat_line_have_no_slope() -> None:
    dice = random.Random(1)
    noise = [(float(at), GIB + dice.gauss(0, 50 * MIB)) for at in range(300)]
    sawtooth = [(float(at), GIB + (at % 60) * 8.0 * MIB) for at in range(300)]
    flat = [(float(at), float(GIB)) for at in range(300)]
    creeping = [(float(at), GIB + at * 100.0) for at in range(300)]
    for points in (noise, sawtooth, flat, creeping):
        assert recent_slope(points) is None


def test_a_noisy_rise_has_a_slope_near_the_true_one() -> None:
    dice = random.Random(2)
    points = [(float(at), GIB + at * 2.0 * MIB + dice.gauss(0, 20 * MIB)) for at in range(300)]
    assert recent_slope(points) == pytest.approx(2 * MIB, rel=0.1)


def test_the_slope_forgets_what_is_older_than_five_minutes() -> None:
    points = [(float(at), GIB + min(at, 600) * 4.0 * MIB) for at in range(1000)]
    assert recent_slope(points) is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11])
def test_too_few_samples_have_no_slope(count: int) -> None:
    assert recent_slope([(at * 10.0, at * 1e9) for at in range(count)]) is None


def test_samples_at_the_same_instant_have_no_slope() -> None:
    assert recent_slope([(5.0, at * 1e9) for at in range(50)]) is None


def test_a_fall_is_stated_but_never_reaches_the_limit(tmp_path: Path) -> None:
    found = summary(tmp_path, *ramp(100, GIB, -2 * MIB), limits={"effective": 2 * GIB})
    assert found.slope == pytest.approx(-2 * MIB)
    assert found.seconds_to_limit is None


def test_the_timeline_is_short_and_keeps_the_peak() -> None:
    points = [(float(at), 5.0 if at == 4321 else 1.0) for at in range(86_400)]
    line_of_time = timeline(points)
    assert len(line_of_time) <= 120
    assert [4321.0, 5.0] in line_of_time
    assert line_of_time == sorted(line_of_time)


def test_a_transient_between_two_samples_shows_in_the_timeline(tmp_path: Path) -> None:
    peak = line("marker", 8, cell=1, seconds=2.0, rss=5, peak=90, peak_by="kernel")
    found = summary(tmp_path, line("sample", 1, rss=5), peak, line("sample", 9, rss=5))
    assert found.timeline == [[1.0, 5.0], [7.0, 90.0], [9.0, 5.0]]


def test_samples_of_probe_and_host_are_put_in_order_of_time(tmp_path: Path) -> None:
    lines = [line("sample", 2, rss=2), line("sample", 1, rss=1, by="host")]
    found = summary(tmp_path, *lines)
    assert found.timeline == [[1.0, 1.0], [2.0, 2.0]]
    assert found.rss == 2


def test_the_peak_is_the_highest_of_all_that_was_read(tmp_path: Path) -> None:
    lines = [
        line("sample", 1, rss=5, peak=6),
        line("marker", 2, cell=1, rss=4, peak=70),
        line("snapshot", 3, rss=8),
    ]
    assert summary(tmp_path, *lines).peak == 70
    assert summary(tmp_path, *lines, line("end", 4, peak=71)).peak == 71
    assert summary(tmp_path, line("sample", 1)).peak is None


def test_a_recording_without_an_end_is_cut_off(tmp_path: Path) -> None:
    found = summary(tmp_path, line("sample", 61, rss=1))
    assert (found.ended, found.wall) == ("cut off", 61.0)
    ended = summary(tmp_path, line("sample", 61, rss=1), line("end", 62, reason="exit", wall=62.5))
    assert (ended.ended, ended.wall) == ("exit", 62.5)


def test_cells_give_one_row_each_and_a_running_one_stays_open(tmp_path: Path) -> None:
    lines = [
        line("marker", 0, phase="replay", source="history", cell=1),
        line("marker", 1, phase="start", cell=2, rss=5),
        line("marker", 2, phase="end", cell=2, seconds=1.0, rss=7, error="ValueError"),
        line("marker", 3, phase="start", cell=3, rss=7),
    ]
    found = summary(tmp_path, *lines)
    assert found.cells == 3
    assert [(row.cell, row.seconds, row.error, row.change) for row in found.cell_rows] == [
        (2, 1.0, "ValueError", 2),
        (3, None, None, None),
    ]


def test_the_overhead_is_what_the_probe_counted_and_the_pauses_it_made(tmp_path: Path) -> None:
    lines = [
        line("sample", 50, rss=1, cost={"cpu_ns": 10**9, "bytes": 100}),
        line("sample", 60, rss=1, by="host"),
        line("sample", 100, rss=1, cost={"cpu_ns": 2 * 10**9, "bytes": 300}),
        line("snapshot", 101, pause_ns=25_000_000),
        line("snapshot", 102, skipped="over --max-pause"),
        line("snapshot", 103, pause_ns=90_000_000, reason="exit"),
        line("end", 104, wall=200.0),
    ]
    found = overhead(recording(tmp_path, *lines))
    # No sample has told of the snapshot at 101: its pause is counted beside what was told.
    assert (found.cpu_seconds, found.cpu_share, found.bytes) == (2.025, 2.025 / 200, 300)
    assert (found.pauses_ms, found.exit_ms) == ([25.0], 90.0)


def test_without_a_cost_sample_the_cost_is_unknown_not_zero(tmp_path: Path) -> None:
    found = overhead(recording(tmp_path, line("sample", 1, rss=1, by="host")))
    assert (found.cpu_seconds, found.cpu_share, found.bytes) == (None, None, None)


def gaps(tmp_path: Path, *lines: bytes, **fields: object) -> dict[str, str]:
    report = build.report(recording(tmp_path, *lines, **fields), Config())
    return {gap.what: gap.why for gap in report.not_measured}


def test_a_report_names_every_gap_with_its_reason(tmp_path: Path) -> None:
    lines = [
        *ramp(3, GIB, 0),
        line("snapshot", 4, unmeasured=[{"what": "polars frames", "why": "no adapter"}]),
        line("snapshot", 5, skipped="it would pause 900 ms"),
        line("event", 6, event="write-failed", detail="No space left on device"),
        b'{"kind":"gpu","t":1}\n',
        b'{"kind":"sam',
    ]
    found = gaps(tmp_path, *lines, libraries={"pyspark": "3.5.1"})
    assert "cut off inside a line" in found["the end of the run"]
    assert "900 ms" in found["a part of the time"]
    assert found["polars frames"] == "no adapter"
    assert "No space left" in found["records that could not be written"]
    assert found["the driver's JVM"] == "it was not read"
    assert found["Spark caches, broadcasts and executors"] == "no Spark session was read"
    assert "Spark caches, broadcasts and executors" in found
    assert "gpu" in found["part of the recording"]


def test_a_recording_that_grew_near_its_cap_says_what_it_left_out(tmp_path: Path) -> None:
    full = line("sample", 10, rss=1, cost={"cpu_ns": 1, "bytes": 750}, interval=2.0)
    lines = [full, line("snapshot", 99), line("end", 100)]
    why = gaps(tmp_path, *lines, cap=1000)["memory and cells in the last 90 s"]
    assert "1000" in why
    assert gaps(tmp_path, *lines, cap=2000) == {}
    assert gaps(tmp_path, full, line("snapshot", 11), line("end", 12), cap=1000) == {}


def test_without_spark_and_with_a_snapshot_and_an_end_nothing_is_missing(tmp_path: Path) -> None:
    lines = [*ramp(3, GIB, 0), line("snapshot", 4), line("end", 5, reason="exit")]
    assert gaps(tmp_path, *lines) == {}


def test_no_snapshot_is_a_gap_and_a_skipped_one_says_why(tmp_path: Path) -> None:
    end = line("end", 5, reason="exit")
    assert "no snapshot" in gaps(tmp_path, *ramp(3, GIB, 0), end)["what holds the memory"]
    skipped = line("snapshot", 1, skipped="too long")
    why = gaps(tmp_path, *ramp(3, GIB, 0), skipped, end)["what holds the memory"]
    assert "too long" in why


def test_a_recording_with_neither_sample_nor_snapshot_is_refused(tmp_path: Path) -> None:
    lines = [line("marker", 1, cell=1), line("snapshot", 2, skipped="no reason")]
    with pytest.raises(NothingMeasured) as refused:
        build.report(recording(tmp_path, *lines), Config())
    assert refused.value.exit_code == 5
    assert "no reason" in refused.value.cause


def test_a_recording_read_at_a_request_is_still_running(tmp_path: Path) -> None:
    sample, asked = line("sample", 1, rss=3), line("snapshot", 2, reason="request", rss=9)
    seen = summary(tmp_path, sample, asked)
    assert (seen.ended, seen.rss) == ("running", 9)
    assert summary(tmp_path, sample, asked, line("sample", 3, rss=4)).ended == "cut off"
    assert summary(tmp_path, asked, line("end", 3, reason="stop")).ended == "stop"


def test_a_program_that_ran_without_the_probe_says_so(tmp_path: Path) -> None:
    event = line("event", 1, event="no-probe", detail="an old Python")
    with pytest.raises(NothingMeasured) as refused:
        build.report(recording(tmp_path, event), Config())
    assert "without the probe: an old Python" in refused.value.cause
    assert "-I" in refused.value.remedy
    report = build.report(recording(tmp_path, event, line("sample", 2, rss=3)), Config())
    assert "it ran without the probe: an old Python" in [gap.why for gap in report.not_measured]


def test_the_account_lists_the_target_and_its_children(tmp_path: Path) -> None:
    child = {"pid": 9, "role": "driver-jvm", "rss": 5}
    lines = [line("sample", 1, rss=3, children=[child]), line("sample", 2, rss=4)]
    processes = build.report(recording(tmp_path, *lines), Config()).account.processes
    assert [(p.pid, p.role, p.rss) for p in processes] == [
        (7, "driver-python", 4),
        (9, "driver-jvm", 5),
    ]
