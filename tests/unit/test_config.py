from __future__ import annotations

from pathlib import Path

import pytest

from memprobe.config import Config, count, load, names, seconds, share, size
from memprobe.errors import UsageError


def project(folder: Path, *lines: str) -> Path:
    (folder / "pyproject.toml").write_text("\n".join(["[tool.memprobe]", *lines]))
    return folder


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config == Config()
    assert config.min_bytes == 10_000_000
    assert (config.stale_cells, config.stale_seconds, config.growth_rounds) == (5, 600.0, 3)


def test_flags_win_over_variables_and_these_over_the_project(tmp_path: Path) -> None:
    project(tmp_path, "min-bytes = '1 MB'", "stale-cells = 2", "growth_rounds = 9")
    variables = {"MEMPROBE_MIN_BYTES": "2 MB", "MEMPROBE_STALE_CELLS": "7"}
    config = load(tmp_path, variables, min_bytes="3 MB", stale_cells=None)
    assert (config.min_bytes, config.stale_cells, config.growth_rounds) == (3_000_000, 7, 9)


def test_the_nearest_project_with_a_table_counts(tmp_path: Path) -> None:
    project(tmp_path, "stale-cells = 2")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(inner, {}).stale_cells == 2
    project(inner, "stale-cells = 3")
    assert load(inner, {}).stale_cells == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("min-bytes = 'much'", "min-bytes"),
        ("min-bytes = -1", "min-bytes"),
        ("min-bytes = true", "min-bytes"),
        ("stale-cells = 1.5", "stale-cells"),
        ("stale-seconds = [1]", "stale-seconds"),
        ("stale-seconds = inf", "stale-seconds"),
        ("cpu-share = 3", "cpu-share"),
        ("select = [1]", "select"),
        ("stale-cels = 1", "stale-cels"),
    ],
)
def test_a_wrong_setting_names_its_key_and_its_file(tmp_path: Path, text: str, named: str) -> None:
    project(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        load(tmp_path, {})
    assert named in refused.value.summary
    assert "pyproject.toml" in refused.value.cause
    assert refused.value.remedy


def test_a_misspelt_key_is_answered_with_the_near_one(tmp_path: Path) -> None:
    project(tmp_path, "stale-cels = 1")
    with pytest.raises(UsageError) as refused:
        load(tmp_path, {})
    assert "stale-cells" in refused.value.remedy


def test_a_wrong_variable_or_flag_is_named_as_it_was_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MEMPROBE_CAP"):
        load(tmp_path, {"MEMPROBE_CAP": "big"})
    with pytest.raises(UsageError, match="--max-pause"):
        load(tmp_path, {}, max_pause="long")


def test_variables_of_other_parts_and_empty_ones_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, {"MEMPROBE_SESSION": "x", "MEMPROBE_CAP": ""}) == Config()


@pytest.mark.parametrize("text", ["[tool.memprobe", "[tool]\nmemprobe = 1", "tool = 1"])
def test_a_broken_project_file_is_a_usage_error_or_none_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    if text == "tool = 1":
        assert load(tmp_path, {}) == Config()
        return
    with pytest.raises(UsageError, match=r"pyproject\.toml"):
        load(tmp_path, {})


def test_quantities_are_read_as_people_write_them() -> None:
    assert [size(text) for text in (5, "5", "10 MB", "10mb", "1.5 GiB", "1_000")] == [
        5,
        5,
        10_000_000,
        10_000_000,
        1_610_612_736,
        1000,
    ]
    assert [seconds(text) for text in (2, "250 ms", "10 min", "1h")] == [2.0, 0.25, 600.0, 3600.0]
    assert share("1%") == pytest.approx(0.01)
    assert count("3") == 3
    assert names("MP1, MP201,") == ("MP1", "MP201")


@pytest.mark.parametrize("value", ["", "MB", "1 parsec", "1e9", "0", None, [], True, "nan", "٣"])
def test_what_is_no_quantity_is_a_value_error(value: object) -> None:
    for parse in (size, seconds, count, share):
        with pytest.raises(ValueError, match=r"like|whole"):
            parse(value)


def test_a_limit_of_the_pytest_marker_may_be_zero_and_no_other_size(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.memprobe]\npytest-retained = 0\npytest-growth = '0 MB'\n"
    )
    found = load(tmp_path, {})
    assert (found.pytest_retained, found.pytest_growth) == (0, 0)
    for variable in ("MEMPROBE_MIN_BYTES", "MEMPROBE_PYTEST_ROUNDS"):
        with pytest.raises(UsageError, match="wrong value"):
            load(tmp_path, {variable: "0"})
    with pytest.raises(UsageError, match="pytest-retained has a wrong value"):
        load(tmp_path, {}, pytest_retained="-1")


def test_what_cannot_be_measured_fails_or_passes(tmp_path: Path) -> None:
    assert load(tmp_path, {}).pytest_unmeasured == "fail"
    assert load(tmp_path, {"MEMPROBE_PYTEST_UNMEASURED": "pass"}).pytest_unmeasured == "pass"
    with pytest.raises(UsageError) as error:
        load(tmp_path, {"MEMPROBE_PYTEST_UNMEASURED": "skip"})
    assert "'fail' or 'pass'" in error.value.remedy
