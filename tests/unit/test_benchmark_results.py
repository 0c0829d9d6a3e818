"""The raw results of the overhead benchmark: kept by every pair, taken up again, or forgotten."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).resolve().parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def results() -> Iterator[Any]:
    sys.path.insert(0, FOLDER)
    try:
        import overhead_results

        yield overhead_results
    finally:
        sys.path.remove(FOLDER)


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(results: Any, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "overhead.json"
    first = results.Results.load(path)
    kept = first.begin("memray", "1.20")
    kept.add("arrays", bare=2.0, whole=1.5, peak=1.1, load=0.0)
    first.save()
    again = results.Results.load(path)
    assert len(again.begin("memray", "1.20").of("arrays")) == 1
    assert again.ratios("memray", "whole") == {"arrays": [1.5]}


@pytest.mark.parametrize(("key", "again"), [("1.21", False), ("1.20", True)])
def test_what_was_measured_of_another_version_is_forgotten(
    results: Any, tmp_path: Path, key: str, again: bool
) -> None:
    found = results.Results(tmp_path / "overhead.json")
    found.begin("memray", "1.20").add("arrays", whole=1.5)
    assert found.begin("memray", key, again=again).of("arrays") == []


def test_a_file_that_is_not_whole_counts_as_none(results: Any, tmp_path: Path) -> None:
    path = tmp_path / "overhead.json"
    path.write_text('{"memray": {"key": "1.2', encoding="utf-8")
    assert results.Results.load(path).tools == {}


def test_a_reason_for_no_numbers_does_not_outlive_the_next_try(
    results: Any, tmp_path: Path
) -> None:
    found = results.Results(tmp_path / "overhead.json")
    found.begin("heapwise", "1").unavailable = "no such package"
    assert found.begin("heapwise", "1").unavailable is None


def test_a_digest_changes_with_any_source_below_the_folders(results: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    source = tmp_path / "a" / "one.py"
    source.write_text("x = 1\n", encoding="utf-8")
    before = results.digest(tmp_path)
    assert results.digest(tmp_path) == before
    source.write_text("x = 2\n", encoding="utf-8")
    assert results.digest(tmp_path) != before
