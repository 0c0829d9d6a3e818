"""``memprobe contrast`` on Spark: a Databricks source notebook, in one kernel and as a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import spark_clusters
from running import behave
from test_contrast_runs import codes, environment, left_in, line

PATIENCE = 600.0  # two JVMs on a busy machine
# 16 MB that nobody can compress, cached under a name that goes.
COMMANDS = (
    "# MAGIC %md\n# MAGIC # Sums",
    "# MAGIC %run ./session",
    "from pyspark.sql import functions as F\ndbutils.widgets.text('least', '10')",
    "numbers = spark.range(2_000_000).select(F.rand(7).alias('x')).cache()\n"
    "total = numbers.count()",
    "# MAGIC %sql\n# MAGIC SELECT count(*) AS n FROM range(1000) WHERE id > :least",
    "print(total)\ndel numbers, _sqldf",
    "# MAGIC %scala\n# MAGIC println(1)",
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sums")
    cluster = spark_clusters.local(folder)
    head, separator = "# Databricks notebook source\n", "\n\n# COMMAND ----------\n\n"
    (folder / "sums.py").write_text(head + separator.join(COMMANDS))
    (folder / "session.py").write_text(head + cluster.session())
    seen = behave(
        line("--output-format", "json", "sums.py", "--rounds", "1", "--suggest"),
        env={**environment(folder), **cluster.environment}, cwd=folder, timeout=PATIENCE,
    )  # fmt: skip
    assert seen.stdout, seen.stderr
    return folder, seen.status, json.loads(seen.stdout)


def test_cpu_and_storage_of_spark_are_told_of_both_contexts(
    told: tuple[Path, int, dict[str, Any]],
) -> None:
    totals = told[2]["contrast"]["totals"]
    for name in ("jvm-cpu", "jvm-peak", "stored", "jvm-rss"):
        assert totals[name]["first"] > 0, name
        assert totals[name]["script"]["low"] > 0, name
    assert totals["stored"]["first"] == pytest.approx(16e6, rel=0.1)
    assert totals["stored-after"]["script"]["high"] == 0.0
    assert "local mode" in totals["tasks"]["why"]
    steps = [row["spark"]["stored"]["first"] for row in told[2]["contrast"]["steps"]]
    assert steps[:2] == [0, 0]
    assert min(steps[2:]) > 15e6
    assert told[2]["spark"]["caches"]
    assert told[2]["contrast"]["script"]["spark"]["caches"]


def test_what_spark_keeps_is_the_notebooks_tax_and_is_edited_away(
    told: tuple[Path, int, dict[str, Any]],
) -> None:
    _, status, report = told
    assert status == 1
    (finding,) = [one for one in report["findings"] if one["code"] == "MP401"]
    assert "MP601" in finding["also"]
    assert report["contrast"]["verdict"]["kind"] == "notebook-keeps"
    assert "MP401" in codes(report["contrast"]["script"]["findings"])
    (edit,) = report["contrast"]["suggestions"]["edits"]
    lines = edit["after"].splitlines()
    assert lines.index("numbers.unpersist()") == lines.index("del numbers, _sqldf") - 1


def test_what_is_no_python_is_listed(told: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, report = told
    assert {"what": "%scala, command 7", "why": "it is Scala"} in report["not_measured"]
    assert report["contrast"]["script"]["program"] == "sums-script.py"
    assert [row["name"] for row in report["contrast"]["steps"]] == [
        f"cell {n}" for n in range(1, 6)
    ]
    assert left_in(folder) == []
