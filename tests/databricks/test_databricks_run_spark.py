"""A job that uses Spark, with a real driver JVM: its caches come home with the recording."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memprobe.analysis import build
from memprobe.cli import main
from memprobe.config import Config
from memprobe.recording.reader import read
from standin import Workspace

SCRIPT = """
from pyspark.sql import SparkSession
spark = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
numbers = spark.range(100_000).cache()
print(numbers.count())
"""


def test_what_a_job_has_cached_is_in_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "etl.py").write_text(SCRIPT)
    for name in [one for one in os.environ if one.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with Workspace(tmp_path / "workspace") as workspace:
        for name, value in workspace.environment().items():
            monkeypatch.setenv(name, value)
        workspace.cluster("shared")
        status = main(["run", "-q", "--on", "databricks:shared", "-o", "a.memprobe", "etl.py"])
        assert workspace.troubles == []
    captured = capsys.readouterr()
    assert status == 0, captured.err
    assert "100000" in captured.out
    recording = read(tmp_path / "a.memprobe")
    assert recording.spark
    assert recording.spark[-1].mode == "classic"
    (cache,) = recording.spark[-1].caches or []
    assert [reach.expr for reach in cache.holders] == ["numbers"]
    assert recording.jvm
    gaps = {gap.what for gap in build.report(recording, Config()).not_measured}
    assert "the driver's JVM" not in gaps
