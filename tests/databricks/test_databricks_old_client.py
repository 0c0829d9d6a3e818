"""An independent check of the stand-in's shapes: PyPI's databricks-cli 0.18, older than the SDK.

It drops the port of an address, so it is given one without, and our server as its proxy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from standin import Cluster, Workspace

PATIENCE = 180.0


def _cli(workspace: Workspace, *arguments: str) -> str:
    named = {"DATABRICKS_HOST": "http://standin.test", "http_proxy": workspace.host}
    done = subprocess.run(
        [sys.executable, "-m", "databricks_cli.cli", *arguments], text=True, timeout=PATIENCE,
        env={**workspace.environment(), **named}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _told(workspace: Workspace, *arguments: str) -> Any:
    return json.loads(_cli(workspace, *arguments))


def test_clusters(workspace: Workspace, cluster: Cluster) -> None:
    assert _cli(workspace, "clusters", "list").split() == [cluster.cluster_id, "shared", "RUNNING"]
    told = _told(workspace, "clusters", "get", "--cluster-id", cluster.cluster_id)
    assert told["spark_version"] == "15.4.x-scala2.12"
    named = ("--cluster-id", cluster.cluster_id, "--output", "JSON")
    assert _told(workspace, "clusters", "events", *named)["events"][0]["type"] == "RUNNING"


def test_workspace_files(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "etl.py"
    source.write_text("# Databricks notebook source\nprint(1)\n")
    _cli(workspace, "workspace", "mkdirs", "/Users/ada@example.org/old")
    target = "/Users/ada@example.org/old/etl"
    _cli(workspace, "workspace", "import", str(source), target, "--language", "PYTHON")
    assert "etl" in _cli(workspace, "workspace", "ls", "/Users/ada@example.org/old").split()
    _cli(workspace, "workspace", "export", target, str(tmp_path / "back.py"))
    assert "print(1)" in (tmp_path / "back.py").read_text()


def test_dbfs(workspace: Workspace, tmp_path: Path) -> None:
    content = bytes(range(256)) * 6000  # more than a block of JSON may have
    (tmp_path / "there").write_bytes(content)
    _cli(workspace, "fs", "mkdirs", "dbfs:/old")
    _cli(workspace, "fs", "cp", str(tmp_path / "there"), "dbfs:/old/there")
    assert _cli(workspace, "fs", "ls", "dbfs:/old").split() == ["there"]
    _cli(workspace, "fs", "cp", "dbfs:/old/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content


def test_a_run_and_its_output(workspace: Workspace, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "say.py").write_text("print('said by the job')\n")
    _cli(workspace, "fs", "cp", str(tmp_path / "say.py"), "dbfs:/say.py")
    task = {
        "task_key": "one", "existing_cluster_id": cluster.cluster_id,
        "spark_python_task": {"python_file": "dbfs:/say.py"},
    }  # fmt: skip
    wanted = json.dumps({"run_name": "old", "tasks": [task]})
    run = str(_told(workspace, "runs", "submit", "--json", wanted, "--version", "2.1")["run_id"])
    deadline = time.monotonic() + PATIENCE
    while (told := _told(workspace, "runs", "get", "--run-id", run, "--version", "2.1"))["state"][
        "life_cycle_state"
    ] != "TERMINATED":
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    assert told["state"]["result_state"] == "SUCCESS"
    task_run = str(told["tasks"][0]["run_id"])
    output = _told(workspace, "runs", "get-output", "--run-id", task_run, "--version", "2.1")
    assert "said by the job" in output["logs"]
