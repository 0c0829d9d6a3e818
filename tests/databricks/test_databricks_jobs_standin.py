"""The stand-in's jobs and files are driven by the official SDK, and answer in its shapes."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, ResourceAlreadyExists
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service import jobs
from databricks.sdk.service.workspace import ImportFormat, Language, ObjectType

from standin import Cluster, Workspace
from standin.api_files import add_volume
from standin.api_jobs import add_job
from standin.api_jobs import runs as runs_of
from standin.mounts import root

HOME = "/Users/ada@example.org"


def _put(client: WorkspaceClient, name: str, text: str) -> str:
    path = f"{HOME}/{name}"
    client.workspace.upload(path, text.encode(), format=ImportFormat.RAW, overwrite=True)
    return path


def _task(cluster: Cluster, path: str, *parameters: str) -> jobs.SubmitTask:
    return jobs.SubmitTask(
        task_key="one", existing_cluster_id=cluster.cluster_id,
        spark_python_task=jobs.SparkPythonTask(python_file=path, parameters=list(parameters)),
    )  # fmt: skip


def _submitted(client: WorkspaceClient, *tasks: jobs.SubmitTask, **more: Any) -> int:
    answer: Any = client.jobs.submit(run_name="test", tasks=list(tasks), **more)
    return int(answer.response.run_id)


def _waited(client: WorkspaceClient, run_id: int) -> jobs.Run:
    while True:
        run = client.jobs.get_run(run_id)
        assert run.state is not None
        if run.state.life_cycle_state not in (
            jobs.RunLifeCycleState.PENDING, jobs.RunLifeCycleState.RUNNING,
            jobs.RunLifeCycleState.TERMINATING,
        ):  # fmt: skip
            return run
        time.sleep(0.05)


def _output(client: WorkspaceClient, run: jobs.Run) -> jobs.RunOutput:
    assert run.tasks is not None
    assert run.tasks[0].run_id is not None
    return client.jobs.get_run_output(run.tasks[0].run_id)


def test_a_python_file_runs_as_a_process_with_its_parameters(
    client: WorkspaceClient, cluster: Cluster
) -> None:
    path = _put(client, "a.py", "import sys\nprint(sys.argv[1:], __name__)\n")
    run = _waited(client, _submitted(client, _task(cluster, path, "x", "y z")))
    assert run.state is not None
    assert run.state.result_state == jobs.RunResultState.SUCCESS
    assert _output(client, run).logs == "['x', 'y z'] __main__\n"
    assert run.run_id is not None
    with pytest.raises(DatabricksError, match="each individual task"):
        client.jobs.get_run_output(run.run_id)


def test_a_failing_file_is_a_failed_run_with_its_trace(
    client: WorkspaceClient, cluster: Cluster
) -> None:
    path = _put(client, "b.py", "1 / 0\n")
    run = _waited(client, _submitted(client, _task(cluster, path)))
    assert run.state is not None
    assert run.state.life_cycle_state == jobs.RunLifeCycleState.TERMINATED
    assert run.state.result_state == jobs.RunResultState.FAILED
    output = _output(client, run)
    assert output.error == "ZeroDivisionError: division by zero"
    assert "b.py" in str(output.error_trace)


def test_the_answer_of_a_run_has_no_field_that_the_sdk_does_not_know(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster
) -> None:
    path = _put(client, "c.py", "pass\n")
    run_id = _submitted(client, _task(cluster, path))
    _waited(client, run_id)
    told = runs_of(workspace)[run_id].described()
    known = jobs.Run.from_dict(told).as_dict()
    assert set(told) - set(known) == set()
    assert set(told["tasks"][0]) - set(known["tasks"][0]) == set()
    assert set(told["state"]) - set(known["state"]) == set()


def test_one_token_is_one_run(client: WorkspaceClient, cluster: Cluster) -> None:
    path = _put(client, "d.py", "pass\n")
    task = _task(cluster, path)
    first = _submitted(client, task, idempotency_token="same")
    assert _submitted(client, task, idempotency_token="same") == first
    assert _submitted(client, task, idempotency_token="another") != first


def test_a_cancelled_run_leaves_no_process(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster
) -> None:
    path = _put(client, "e.py", "import time\ntime.sleep(600)\n")
    run_id = _submitted(client, _task(cluster, path))
    while runs_of(workspace)[run_id].process is None:
        time.sleep(0.02)
    client.jobs.cancel_run(run_id)
    run = _waited(client, run_id)
    assert run.state is not None
    assert run.state.result_state == jobs.RunResultState.CANCELED
    process = runs_of(workspace)[run_id].process
    assert process is not None
    assert process.poll() is not None


def test_a_notebook_runs_cell_by_cell_in_a_kernel_of_its_own(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster
) -> None:
    text = (
        "# Databricks notebook source\nx = 40\n\n# COMMAND ----------\n\n# MAGIC %md\n# MAGIC hi\n"
        "\n# COMMAND ----------\n\nassert x == 41, 'wrong'\n\n# COMMAND ----------\n\n1 / 0\n"
    )
    client.workspace.upload(
        f"{HOME}/nb", text.encode(), format=ImportFormat.SOURCE, language=Language.PYTHON
    )
    assert client.workspace.get_status(f"{HOME}/nb").object_type == ObjectType.NOTEBOOK
    task = jobs.SubmitTask(
        task_key="one", existing_cluster_id=cluster.cluster_id,
        notebook_task=jobs.NotebookTask(notebook_path=f"{HOME}/nb"),
    )  # fmt: skip
    run = _waited(client, _submitted(client, task))
    assert "wrong" in str(_output(client, run).error)
    assert cluster.contexts == {}


def test_an_existing_job_is_run_by_its_id(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster
) -> None:
    path = _put(client, "f.py", "import sys\nprint(sys.argv[1:])\n")
    job = add_job(workspace, [_task(cluster, path, "its own").as_dict()])
    answer: Any = client.jobs.run_now(job)
    run = _waited(client, int(answer.response.run_id))
    assert run.job_id == job
    assert _output(client, run).logs == "['its own']\n"
    with pytest.raises(DatabricksError, match="does not exist"):
        client.jobs.run_now(4711)


def test_workspace_files_keep_their_bytes_and_refuse_to_be_overwritten(
    client: WorkspaceClient,
) -> None:
    content = bytes(range(256)) * 20
    client.workspace.upload(f"{HOME}/bytes", content, format=ImportFormat.RAW)
    assert client.workspace.download(f"{HOME}/bytes").read() == content
    with pytest.raises(ResourceAlreadyExists):
        client.workspace.upload(f"{HOME}/bytes", b"", format=ImportFormat.RAW)
    assert f"{HOME}/bytes" in [one.path for one in client.workspace.list(HOME)]
    with pytest.raises(NotFound):
        client.workspace.upload(f"{HOME}/none/bytes", b"", format=ImportFormat.RAW)
    client.workspace.delete(f"{HOME}/bytes")
    with pytest.raises(NotFound):
        client.workspace.get_status(f"{HOME}/bytes")


def test_volumes_take_whole_files_below_a_volume_that_exists(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/files")
    client.files.create_directory(f"{volume}/a b")
    client.files.upload(f"{volume}/a b/x", io.BytesIO(b"one"))
    client.files.upload(f"{volume}/a b/x", io.BytesIO(b"two"), overwrite=True)
    contents: Any = client.files.download(f"{volume}/a b/x").contents
    assert contents.read() == b"two"
    assert [one.name for one in client.files.list_directory_contents(f"{volume}/a b")] == ["x"]
    with pytest.raises(BadRequest):
        client.files.delete_directory(f"{volume}/a b")
    with pytest.raises(NotFound):
        client.files.upload("/Volumes/main/default/none/x", io.BytesIO(b""))
    with pytest.raises(NotFound):
        client.files.download(f"{volume}/none")


def test_on_the_driver_a_volume_takes_no_append(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/appended")
    code = f"""
open('{volume}/x', 'w').write('whole')
for mode in ('a', 'r+', 'w+'):
    try:
        open('{volume}/x', mode)
    except OSError as error:
        print(mode, error.strerror)
print(open('{volume}/x').read())
"""
    run = _waited(client, _submitted(client, _task(cluster, _put(client, "g.py", code))))
    refused = "Operation not supported"
    assert _output(client, run).logs == f"a {refused}\nr+ {refused}\nw+ {refused}\nwhole\n"


def test_dbfs_keeps_more_than_one_block(client: WorkspaceClient) -> None:
    content = b"0123456789" * 250_000
    client.dbfs.upload("/tmp/x/y", io.BytesIO(content), overwrite=True)
    assert client.dbfs.download("/tmp/x/y").read() == content
    assert [one.path for one in client.dbfs.list("/tmp/x")] == ["/tmp/x/y"]
    client.dbfs.delete("/tmp/x", recursive=True)
    with pytest.raises(NotFound):
        client.dbfs.get_status("/tmp/x")


def test_no_path_climbs_out_of_its_mount(workspace: Workspace, client: WorkspaceClient) -> None:
    outside = Path(root(workspace, "dbfs")).parent / "outside"
    outside.write_text("x")
    with pytest.raises(DatabricksError):
        client.dbfs.get_status("/../outside")
    workspace.troubles.clear()
