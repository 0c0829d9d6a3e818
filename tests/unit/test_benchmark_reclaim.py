"""The page of ``make reclaim``: what counts for its goal, and what is only told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from reclaims.cases import CASES
from reclaims.page import error, page


def run(back: float, basis: str = "simulated", predicted: int = 100_000_000) -> dict[str, Any]:
    return {
        "predicted": predicted, "back": int(back * predicted), "where": "driver-python",
        "basis": [basis], "cuts": 1, "after": 0, "outside": 0, "load": 0.5,
    }  # fmt: skip


def line(text: str, start: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(start))


def test_small_errors_meet_the_goal_and_one_large_one_misses_it() -> None:
    good = page({"a": [run(1.01), run(0.99)]}, {})
    assert "| 2 | 1.00% | 1.00% | met |" in line(good, "| `simulated`")
    bad = page({"a": [run(1.01), run(1.2), run(1.0)]}, {})
    assert "**missed**" in line(bad, "| `simulated`")


def test_an_estimate_does_not_count_as_exact() -> None:
    text = page({"a": [run(1.0)], "b": [run(3.0, "estimate")]}, {})
    assert "| 1 | 0.00% | 0.00% | met |" in line(text, "| `simulated`")
    assert "200.00%" in line(text, "| `estimate`")
    assert "**missed**" in line(text, "| all")


def test_what_was_not_measured_is_said_and_a_refusal_is_told() -> None:
    refused = {"refused": "it runs code", "fix": "left.close()", "load": 0.5}
    text = page({"a": [run(1.0)], "g": [refused]}, {"torch": "torch is not installed here"})
    assert "- torch: torch is not installed here" in text
    assert "- g: it runs code (`left.close()`)" in text


def test_an_error_is_a_share_of_what_was_promised() -> None:
    assert error(run(0.9)) == pytest.approx(-0.1)


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 20
    assert len({case.name for case in CASES}) == len(CASES)
