"""The page of the ETL benchmark: verdicts follow the numbers, what is missing is said."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from seeds import etl  # noqa: E402
from seeds.claims import CLAIMS  # noqa: E402
from seeds.page import page  # noqa: E402
from seeds.verdicts import CLAIMS as SAID  # noqa: E402
from seeds.verdicts import verdicts  # noqa: E402


def test_each_claim_is_tried_and_has_a_verdict() -> None:
    assert list(CLAIMS) == list(SAID)


def test_what_was_not_measured_is_said_and_never_zero() -> None:
    text = page(dict.fromkeys(etl.SIZES), dict.fromkeys(CLAIMS))
    assert "Not measured: small, medium, large." in text
    assert text.count("Not measured.") == len(CLAIMS)
    assert "0.0 MB" not in text


@pytest.mark.parametrize(
    ("grew", "children", "word"), [(2e6, 0, "Wrong"), (200e6, 0, "Right"), (2e6, 1, "Right")]
)
def test_a_verdict_is_worked_out_of_the_numbers(grew: float, children: int, word: str) -> None:
    found = {
        "before": {"rss": 60e6}, "after": {"rss": 60e6 + grew, "children": children},
        "job": {"rss": 150e6},
    }  # fmt: skip
    lines = list(verdicts("command-from-a-cell", found))
    assert lines[2].startswith(f"**{word}.**")
    assert ("wrong" in "".join(verdicts("command-from-a-cell", found, brief=True))) == (
        word == "Wrong"
    )


def test_the_tables_say_why_a_cell_is_empty_and_what_is_noise() -> None:
    text = page({"small": kept()}, {})
    assert (
        "| wall time | 300,000 | 10.0 s | 2.0 s – 3.0 s | 9.0 s – 11.0 s | no difference |" in text
    )
    assert "| time of tasks | 300,000 | – | – | – | not compared |" in text
    assert "– time of tasks: local mode." in text
    assert "On Parquet tables, `local[2]`." in text
    assert "Not measured: medium, large." in page(
        {"small": kept(), "medium": None, "large": None}, {}
    )


def test_times_of_a_machine_that_got_idle_meanwhile_are_not_compared() -> None:
    one = kept()
    one["loads"] = [20.0, 5.0]
    text = page({"small": one}, {})
    row = "| wall time | 300,000 | 10.0 s | 2.0 s – 3.0 s | 9.0 s – 11.0 s |"
    assert f"{row} not compared: the load changed |" in text
    assert "300,000 rows, 20 to 5" in text
    assert "load changed" not in page({"small": kept()}, {})


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_the_cells_are_python_and_name_the_format(form: str) -> None:
    cells = etl.cells({"spark.jars": "a.jar"}, form, Path("/tables"))
    ast.parse("\n".join(cells))
    ast.parse(etl.maker({}, form, Path("/tables"), 100))
    assert sum(f'format("{form}")' in cell for cell in cells) == 3


def kept() -> dict[str, Any]:
    """Return what is kept of one size: times that do not differ, tasks that were not measured."""
    wall = measure("seconds", 10.0, (2.0, 3.0), (9.0, 11.0), judgement="no difference")
    totals = {
        "wall": wall,
        "tasks": measure("seconds", None, None, None, why="local mode"),
        "live": measure("bytes", 1e6, (1e6, 1e6), (1e6, 1e6), judgement="no difference"),
        "growth": measure("bytes", None, (0.0, 0.0), (0.0, 0.0), judgement="no difference"),
    }
    totals["cpu"] = totals["jvm-cpu"] = wall
    report = {"contrast": {"totals": totals, "steps": []}}
    found = {"rows": 300_000, "said": "Parquet tables", "report": report}
    return {"machine": "", "loads": [2.0, 2.2], "found": found}


def measure(
    unit: str, first: float | None, later: Any, script: Any, *, judgement: str = "not compared",
    why: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    def spread(pair: Any) -> Any:
        return pair and {"low": pair[0], "high": pair[1], "median": sum(pair) / 2}

    return {"unit": unit, "first": first, "later": spread(later), "script": spread(script),
            "difference": None, "judgement": judgement, "why": why}  # fmt: skip
