"""The stand-in is driven by the official SDK, unmodified, and by the old client of PyPI."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError, PermissionDenied
from databricks.sdk.service import compute

from standin import Cluster, Workspace

PATIENCE = timedelta(minutes=3)


@pytest.fixture(scope="module")
def context(client: WorkspaceClient, cluster: Cluster) -> Iterator[str]:
    python = compute.Language.PYTHON
    made = client.command_execution.create_and_wait(
        cluster_id=cluster.cluster_id, language=python, timeout=PATIENCE
    )
    assert made.id is not None
    assert made.status == compute.ContextStatus.RUNNING
    yield made.id
    client.command_execution.destroy(cluster.cluster_id, made.id)
    with pytest.raises(DatabricksError, match="ContextNotFound"):
        client.command_execution.context_status(cluster.cluster_id, made.id)


@pytest.fixture(autouse=True)
def _well_behaved(workspace: Workspace) -> Iterator[None]:
    yield
    workspace.switchboard.clear()


def _run(client: WorkspaceClient, cluster: Cluster, context: str, code: str) -> Any:
    return client.command_execution.execute_and_wait(
        cluster_id=cluster.cluster_id, context_id=context, language=compute.Language.PYTHON,
        command=code, timeout=PATIENCE,
    )  # fmt: skip


def _unknown(told: Any, typed: Any) -> list[str]:
    """Return what of an answer the SDK's dataclass did not take over: keys it does not know."""
    if isinstance(told, dict) and isinstance(typed, dict):
        found = [key for key in told if key not in typed and told[key] is not None]
        return found + [
            one for key in typed if key in told for one in _unknown(told[key], typed[key])
        ]
    if isinstance(told, list) and isinstance(typed, list):
        return [one for a, b in zip(told, typed) for one in _unknown(a, b)]
    return []


def test_the_sdk_finds_the_user_and_the_clusters(client: WorkspaceClient, cluster: Cluster) -> None:
    assert client.current_user.me().user_name == "ada@example.org"
    assert [one.cluster_id for one in client.clusters.list()] == [cluster.cluster_id]
    told = client.clusters.get(cluster.cluster_id)
    assert told.state == compute.State.RUNNING
    assert told.data_security_mode == compute.DataSecurityMode.SINGLE_USER
    assert _unknown(cluster.described(), told.as_dict()) == []
    (event,) = client.clusters.events(cluster.cluster_id)
    assert event.type == compute.EventType.RUNNING
    assert client.permissions.get("clusters", cluster.cluster_id).access_control_list


def test_a_context_keeps_names_between_two_commands(
    client: WorkspaceClient, cluster: Cluster, context: str
) -> None:
    assert _run(client, cluster, context, "x = 40").results.data == ""
    answer = _run(client, cluster, context, "print('printed'); x + 2")
    assert answer.status == compute.CommandStatus.FINISHED
    assert answer.results.result_type == compute.ResultType.TEXT
    assert answer.results.data == "printed\nOut[2]: 42"


def test_a_users_error_is_a_finished_command(
    client: WorkspaceClient, cluster: Cluster, context: str
) -> None:
    answer = _run(client, cluster, context, "1 / 0")
    assert answer.status == compute.CommandStatus.FINISHED
    assert answer.results.result_type == compute.ResultType.ERROR
    assert "ZeroDivisionError" in answer.results.summary
    assert "\x1b[" in answer.results.cause


def test_a_command_can_be_cancelled(
    client: WorkspaceClient, cluster: Cluster, context: str
) -> None:
    started = client.command_execution.execute(
        cluster_id=cluster.cluster_id, context_id=context, language=compute.Language.PYTHON,
        command="import time; time.sleep(600)",
    )  # fmt: skip
    named = {
        "cluster_id": cluster.cluster_id,
        "context_id": context,
        "command_id": started.command_id,
    }
    while client.command_execution.command_status(**named).status != compute.CommandStatus.RUNNING:
        time.sleep(0.05)
    ended = client.command_execution.cancel_and_wait(**named, timeout=PATIENCE)
    assert ended.status == compute.CommandStatus.CANCELLED
    assert _run(client, cluster, context, "'goes on'").results.data.endswith("'goes on'")


def test_a_web_notebook_is_a_process_with_a_connection_file(
    client: WorkspaceClient, cluster: Cluster, context: str
) -> None:
    notebook = cluster.open_notebook()
    assert notebook.kernel is not None
    argv = Path(f"/proc/{notebook.kernel.pid}/cmdline").read_text().split("\0")
    assert argv[1].endswith("/db_ipykernel_launcher.py")
    assert argv[2:4] == ["-f", str(notebook.kernel.file)]
    assert notebook.kernel.file.parent.name == "kernel-connections"
    # From the side context it can be read: same user, dedicated compute.
    code = f"import json; json.load(open({str(notebook.kernel.file)!r}))['transport']"
    assert _run(client, cluster, context, code).results.data.endswith("'tcp'")
    cluster.destroy(notebook)
    assert not Path(f"/proc/{notebook.kernel.pid}").exists()


def test_standard_mode_keeps_users_apart(workspace: Workspace, client: WorkspaceClient) -> None:
    cluster = workspace.cluster("standard", mode="USER_ISOLATION")
    notebook = cluster.open_notebook()
    made = client.command_execution.create_and_wait(
        cluster_id=cluster.cluster_id, language=compute.Language.PYTHON, timeout=PATIENCE
    )
    assert notebook.kernel is not None
    assert made.id is not None
    answer = _run(client, cluster, made.id, f"open({str(notebook.kernel.file)!r})")
    assert "PermissionError" in answer.results.summary
    del workspace.clusters[cluster.cluster_id]
    cluster.stop()


def test_a_wrong_token_is_refused(workspace: Workspace) -> None:
    config = Config(host=workspace.host, token="dapi-wrong", retry_timeout_seconds=5)
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        WorkspaceClient(config=config).current_user.me()


def test_429_and_503_are_waited_for_and_not_ready_is_tried_again(
    workspace: Workspace, client: WorkspaceClient, cluster: Cluster, context: str
) -> None:
    workspace.switchboard.add("429", "/api/2.1/clusters/get", value=1)
    workspace.switchboard.add("503", "/api/2.1/clusters/get", skip=1)
    for _ in range(2):
        assert client.clusters.get(cluster.cluster_id).cluster_id == cluster.cluster_id
    workspace.switchboard.add("cluster-not-ready", "/api/1.2/contexts/status")
    told = client.command_execution.context_status(cluster.cluster_id, context)
    assert told.status == compute.ContextStatus.RUNNING
    assert workspace.switchboard.happened == ["429", "503", "cluster-not-ready"]


def test_contexts_are_evicted_and_processes_killed(
    workspace: Workspace, client: WorkspaceClient
) -> None:
    cluster = workspace.cluster("small", context_limit=1)
    named = {"cluster_id": cluster.cluster_id, "language": compute.Language.PYTHON}
    first = client.command_execution.create_and_wait(**named, timeout=PATIENCE)
    second = client.command_execution.create_and_wait(**named, timeout=PATIENCE)
    assert first.id is not None
    assert second.id is not None
    with pytest.raises(DatabricksError, match="ContextNotFound"):
        client.command_execution.context_status(cluster.cluster_id, first.id)
    answer = _run(client, cluster, second.id, f"import os; os.kill(os.getpid(), {signal.SIGKILL})")
    assert answer.status == compute.CommandStatus.ERROR
    assert "exit code 137" in answer.results.cause
    del workspace.clusters[cluster.cluster_id]
    cluster.stop()


def test_a_killed_driver_ends_the_cluster(workspace: Workspace, client: WorkspaceClient) -> None:
    cluster = workspace.cluster("doomed")
    pid = cluster.open_notebook().kernel.pid  # type: ignore[union-attr]
    cluster.kill_driver()
    told = client.clusters.get(cluster.cluster_id)
    assert told.state == compute.State.TERMINATED
    assert told.termination_reason is not None
    assert told.termination_reason.code == compute.TerminationReasonCode.DRIVER_OUT_OF_MEMORY
    kinds = [event.type for event in client.clusters.events(cluster.cluster_id)]
    assert compute.EventType.DRIVER_NOT_RESPONDING in kinds
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    del workspace.clusters[cluster.cluster_id]


def test_an_unknown_cluster_is_refused(client: WorkspaceClient) -> None:
    with pytest.raises(DatabricksError, match="does not exist"):
        client.clusters.get("0101-000000-none")
