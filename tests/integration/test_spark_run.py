"""``memprobe run`` around Spark: the probe is in the driver's Python, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spark_clusters
from running import PROGRAMS, bare_environment, behave, memprobe_run, was_probed

from memprobe.recording.reader import Recording, read

ASKS = str(PROGRAMS / "spark" / "asks_workers.py")
# The editable install's finder and the folder of this repository have the name too.
FOREIGN = ("__editable__",)
PATIENCE = 150.0  # seconds: a JVM, its executor and their Python workers start


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a driver is started with; nothing of it names memprobe."""
    own = spark_clusters.environment(tmp_path_factory.mktemp("spark"))
    return bare_environment(**own)


def held_names(recording: Recording) -> set[str]:
    return {holder.expr for holder in recording.snapshots[-1].holders}


def roles(recording: Recording) -> set[str]:
    return {child.role for one in recording.samples for child in one.children or ()}


def entered(told: dict[str, Any]) -> list[str]:
    """Return what of the probe a process has found in itself."""
    modules = [name for name in told["modules"] if not name.startswith(FOREIGN)]
    return [*modules, *told["variables"], *(p for p in told["paths"] if "probes" in p)]


def test_spark_submit_on_a_cluster(tmp_path: Path, environment: dict[str, str]) -> None:
    path = tmp_path / "submitted.memprobe"
    target = ["spark-submit", "--master", "local-cluster[1,1,1024]", ASKS]
    options = ("-q", "--interval", "0.2")
    seen = behave(
        memprobe_run(path, *target, options=options),
        env=environment,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert seen.status == 7, seen.stderr
    driver, worker, total = seen.stdout.splitlines()[-3:]
    assert total == "499500"
    recording = read(path)
    assert was_probed(recording)
    assert recording.header.program == "spark-submit"
    assert recording.header.pid == json.loads(driver)["pid"]
    assert not json.loads(driver)["variables"]
    assert not entered(json.loads(worker))
    assert "kept_by_the_driver" in held_names(recording)
    assert roles(recording) >= {"driver-jvm", "executor-jvm", "python-worker"}
    measured = {
        row.id
        for reading in recording.spark
        for row in reading.executors or ()
        if row.rss_by == "proc" and row.jvm_rss
    }
    assert measured == {"driver", "0"}
    assert not [row for reading in recording.spark for row in reading.unmeasured]


def test_script_that_builds_its_session(tmp_path: Path, environment: dict[str, str]) -> None:
    path = tmp_path / "script.memprobe"
    seen = behave(memprobe_run(path, ASKS), env=environment, cwd=tmp_path, timeout=PATIENCE)
    assert seen.status == 7, seen.stderr
    driver, worker, _ = seen.stdout.splitlines()[-3:]
    recording = read(path)
    assert recording.header.pid == json.loads(driver)["pid"]
    assert not entered(json.loads(worker))
    assert recording.end.status == 7
    assert "kept_by_the_driver" in held_names(recording)


def test_notebook_with_a_session(tmp_path: Path, environment: dict[str, str]) -> None:
    import nbformat

    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source)
        for source in (
            "from pyspark.sql import SparkSession\n"
            "spark = SparkSession.builder.master('local[2]').getOrCreate()",
            "numbers = spark.range(1000).cache()\nprint(numbers.count())",
            "kept_by_the_driver = [bytearray(1000) for _ in range(30_000)]",
        )
    ]
    file = tmp_path / "counts.ipynb"
    nbformat.write(notebook, file)
    path = tmp_path / "notebook.memprobe"
    seen = behave(memprobe_run(path, str(file)), env=environment, cwd=tmp_path, timeout=PATIENCE)
    assert (seen.status, seen.stdout) == (0, "1000\n"), seen.stderr
    recording = read(path)
    assert "kept_by_the_driver" in held_names(recording)
    assert "driver-jvm" in roles(recording)
    (cache,) = recording.spark[-1].caches or []
    assert [holder.expr for holder in cache.holders] == ["numbers"]
    assert (cache.partitions, cache.cached, cache.cell) == (2, 2, 2)
    assert recording.jvm
    ends = {one.cell: one for one in recording.markers if one.phase == "end"}
    assert 0 < (ends[1].jvm_cpu or 0) < (ends[2].jvm_cpu or 0) <= (ends[3].jvm_cpu or 0)


def test_make_test_names_what_to_type_where_there_is_no_java(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--silent", "java", f"JAVA_HOME={tmp_path}"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode != 0
    told, *_ = done.stderr.splitlines()
    assert told.startswith("error: ")
    assert "apt-get install openjdk-17-jre-headless" in told


# What spark-submit and the executors start, without Spark.
STARTS = """
python="$1"; shift
"$python" "$1/find_spark_home.py" >/dev/null
PYTHON_WORKER_FACTORY_SECRET=x "$python" -c 'import sys; sys.exit("memprobe_probes" in sys.modules)'
worker=$?
"$python" -c 'import os, sys; print(os.getpid(), "memprobe_probes" in sys.modules)'
exit $worker
"""


def test_pythons_that_work_for_spark_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "find_spark_home.py").write_text("print('/opt/spark')")
    path = tmp_path / "passed.memprobe"
    line = memprobe_run(path, "sh", "-c", STARTS, "sh", sys.executable, str(tmp_path))
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    pid, probed = seen.stdout.split()
    assert (seen.status, probed) == (0, "True")
    assert read(path).header.pid == int(pid)


def test_worker_alone_is_not_entered(tmp_path: Path) -> None:
    path = tmp_path / "worker.memprobe"
    env = bare_environment(PYTHON_WORKER_FACTORY_SECRET="x")
    seen = behave(memprobe_run(path, "sh", "-c", f"'{sys.executable}' -c 1"), env=env, cwd=tmp_path)
    assert "ran without the probe" in seen.stderr
    assert not was_probed(read(path))
    # The program itself is meant, whatever it is called and wherever it was started.
    named = tmp_path / "find_spark_home.py"
    named.write_text("print('mine')")
    path = tmp_path / "named.memprobe"
    assert behave(memprobe_run(path, str(named)), env=env, cwd=tmp_path).stdout == "mine\n"
    assert was_probed(read(path))
