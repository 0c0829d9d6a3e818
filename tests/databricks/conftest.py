"""A workspace on this machine for the tests of one file, and the command line in front of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from memprobe.cli import main
from standin import Cluster, Workspace

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with Workspace(tmp_path_factory.mktemp("workspace")) as made:
        yield made
        assert made.troubles == []


@pytest.fixture(scope="module")
def cluster(workspace: Workspace) -> Cluster:
    return workspace.cluster()


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> WorkspaceClient:
    config = Config(host=workspace.host, token=workspace.token, retry_timeout_seconds=20)
    return WorkspaceClient(config=config)


@pytest.fixture
def typed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Ran:  # fmt: skip
    """Run the command line in this process: where one is started anew, the SDK takes a second."""
    for name in [one for one in os.environ if one.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        status = main([*words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
