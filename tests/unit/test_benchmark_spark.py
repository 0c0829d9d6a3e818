"""The benchmark of Spark: the meter of whole process trees, and what the page says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from sparks.page import page  # noqa: E402
from sparks.scale import CELLS, FIRST, PLANS, told  # noqa: E402

BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
PAIR = {
    "bare": 40.0, "target": 1.01, "whole": 1.05, "control": 1.0, "wall": 1.0, "same": True,
    "load": 1.0,
}  # fmt: skip


def test_a_process_that_nobody_waits_for_is_counted() -> None:
    # The first process starts another and ends: as Python does with its JVM.
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"

    found = _meter("60", sys.executable, "-c", program)

    assert found["status"] == 0
    assert 0.5 <= found["cpu"] < 5
    assert found["own"] < 0.4


def test_what_takes_too_long_is_ended_with_all_that_it_started() -> None:
    program = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    )

    found = _meter("0.5", sys.executable, "-c", program)

    assert found["status"] is None


def test_the_output_of_the_program_is_kept() -> None:
    assert _meter("60", sys.executable, "-c", "print('abc')")["printed"] == "abc\n"


def test_the_page_says_what_was_not_measured() -> None:
    assert page({}, [], None).count("Not measured.") == 3


def test_the_page_says_whether_a_goal_was_met() -> None:
    met = page({}, [PAIR] * 6, None)
    missed = page({}, [PAIR | {"target": 1.04}] * 6, None)

    assert "is at most 1.03: **met**" in met
    assert "is at most 1.03: **missed**" in missed
    assert "too few pairs" in page({}, [PAIR] * 5, None)
    assert "the same in 6 of\n6 pairs" in met


def test_bytes_are_shown_by_executor() -> None:
    before, after = {"driver": 0, "0": 12_000_000, "1": 13_000_000}, {"driver": 0, "0": 0, "1": 0}
    one = {"rule": "MP401", "where": "executors", "before": before, "after": after}

    text = page({"spark-deleted-frame": one}, [], None)

    assert "| 0 12.0, 1 13.0, driver 0.0 | 0 0.0, 1 0.0, driver 0.0 | **25.0** |" in text


def test_only_readings_of_the_whole_notebook_count() -> None:
    def reading(cell: int, caches: int, reason: str = "cell") -> dict:
        held = [{"known": True}] * caches
        return {
            "kind": "spark", "t": 0, "cell": cell, "reason": reason, "caches": held,
            "user_ns": 2_000_000, "took_ns": 9_000_000,
        }  # fmt: skip

    last = CELLS + FIRST
    lines = [
        reading(1, 1), reading(FIRST, PLANS), reading(FIRST + 1, PLANS, "interval"),
        {"kind": "marker", "cell": last, "t": 0}, {"kind": "marker", "cell": last, "t": 10**10},
        *({"kind": "sample", "t": n * 10**9, "cost": {"cpu_ns": n * 10**6}} for n in range(1, 6)),
    ]  # fmt: skip

    found = told(lines)

    assert found["user_ms"] == [2.0]
    assert found["took_ms"] == [9.0, 9.0]
    assert found["share"] == 0.001
    assert found["interval"] == 1.0


def _meter(*words: str) -> dict:
    line = [sys.executable, "-S", "-E", str(BENCHMARKS / "sparks" / "tree_meter.py"), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)
