"""Which compute a process is on, and what a report says that it could not see there."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from recording_lines import header, ramp, write

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.recording.reader import read
from memprobe_probes import databricks

NAMES = ("DATABRICKS_RUNTIME_VERSION", "IS_SERVERLESS", "SPARK_REMOTE",
         "SPARK_CONNECT_MODE_ENABLED")  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name in [one for one in sys.modules if one.split(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)


def _loaded(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    module = types.ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def _context(monkeypatch: pytest.MonkeyPatch) -> None:
    active = types.SimpleNamespace(_active_spark_context=object())
    _loaded(monkeypatch, "pyspark.core.context", SparkContext=active)


def test_elsewhere_there_is_nothing_to_say() -> None:
    assert databricks.place() is None


def test_a_driver_with_a_context_is_dedicated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    _context(monkeypatch)
    assert databricks.place() == {"runtime": "15.4", "mode": "dedicated", "connect": False}


def test_a_cluster_with_spark_connect_is_in_standard_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    session = types.SimpleNamespace(_default_session=object())
    _loaded(monkeypatch, "pyspark.sql.connect.session", SparkSession=session)
    assert databricks.place() == {"runtime": "16.4", "mode": "standard", "connect": True}


def test_without_any_session_the_mode_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    assert databricks.place() == {"runtime": "16.4", "mode": "unknown", "connect": False}


@pytest.mark.parametrize(
    "facts", [{"DATABRICKS_RUNTIME_VERSION": "client.2.1"},
              {"DATABRICKS_RUNTIME_VERSION": "16.4", "IS_SERVERLESS": "TRUE"}],
)  # fmt: skip
def test_serverless_tells_itself(monkeypatch: pytest.MonkeyPatch, facts: dict[str, str]) -> None:
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    found = databricks.place()
    assert found is not None
    assert found["mode"] == "serverless"


def test_what_the_host_knows_wins_and_what_it_does_not_know_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    found = databricks.place({"mode": "standard", "runtime": None})
    assert found == {"runtime": "16.4", "mode": "standard", "connect": False}


def _gaps(tmp_path: Path, **place: object) -> dict[str, str]:
    path = write(tmp_path / "a.memprobe", header(databricks=place), *ramp(5, 1e8, 0))
    report = build.report(read(path), Config())
    return {gap.what: gap.why for gap in report.not_measured}


def test_serverless_is_said_to_show_this_process_only(tmp_path: Path) -> None:
    found = _gaps(tmp_path, mode="serverless", runtime="client.2.1")
    assert "only this process" in found["the driver's JVM"]
    assert "only this process" in found["Spark caches, broadcasts and executors"]
    assert "serverless" in found["other processes on the same machine"]


def test_standard_mode_is_said_to_keep_spark_and_users_apart(tmp_path: Path) -> None:
    found = _gaps(tmp_path, mode="standard", connect=True)
    assert "Spark Connect" in found["the driver's JVM"]
    assert "keeps its users apart" in found["other processes on the same machine"]


def test_dedicated_compute_hides_nothing(tmp_path: Path) -> None:
    found = _gaps(tmp_path, mode="dedicated", runtime="15.4")
    assert "the driver's JVM" not in found
    assert "other processes on the same machine" not in found
