"""A notebook whose Python is restarted while somebody is attached: the new process is followed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memprobe.cli import main
from memprobe.recording.reader import read
from standin import Cluster, Workspace

PATIENCE = 90.0


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    (tmp_path / "workspace").mkdir()
    with Workspace(tmp_path / "workspace") as made:
        for name in [one for one in os.environ if one.startswith("DATABRICKS_")]:
            monkeypatch.delenv(name)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield made
        assert made.troubles == []


def _sampled(path: Path) -> bool:
    return path.exists() and b'"kind":"sample"' in path.read_bytes()


def _restart_and_stop(cluster: Cluster, first: Path, second: Path, failed: list[str]) -> None:
    """Restart the notebook's Python when it is followed, and end memprobe when it is again."""
    (notebook,) = cluster.contexts.values()
    assert notebook.kernel is not None
    deadline = time.monotonic() + PATIENCE
    for path in (first, second):
        while not _sampled(path):
            if time.monotonic() > deadline:
                failed.append(f"{path.name} did not come")
                os.kill(os.getpid(), 2)
                return
            time.sleep(0.05)
        if path == first:
            notebook.kernel.restart()
            _ = notebook.kernel.client
    os.kill(os.getpid(), 2)


def test_the_new_process_gets_a_recording_of_its_own(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = workspace.cluster("shared")
    cluster.open_notebook("/Users/ada@example.org/again")
    first, second = tmp_path / "r.memprobe", tmp_path / "r-2.memprobe"
    failed: list[str] = []
    helper = threading.Thread(target=_restart_and_stop, args=(cluster, first, second, failed))
    helper.start()
    status = main(["attach", "databricks:shared/again", "-o", str(first)])
    helper.join()
    said = capsys.readouterr().err
    assert failed == [], said
    assert status == 0, said
    ends = [read(path).end for path in (first, second)]
    assert [end.reason if end else None for end in ends] == ["kernel-restarted", "detach"]
    assert read(first).header.pid != read(second).header.pid
    assert f"recordings: {first}, {second}" in said
    assert len(cluster.contexts) == 1  # the notebook's own
