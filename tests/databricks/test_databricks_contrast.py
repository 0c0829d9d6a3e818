"""``memprobe contrast --on databricks:…``: a notebook in a context there, its script as jobs."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memprobe.recording.reader import read
from standin import Cluster, Workspace
from standin.api_jobs import runs as runs_of

CELLS = (
    "kept = globals().get('kept', [])\nkept.append(bytearray(20_000_000))",
    "n = len(kept)\nn",
)
Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cluster(workspace: Workspace) -> Iterator[Cluster]:
    made = workspace.cluster("shared")
    yield made
    made.stop()
    del workspace.clusters[made.cluster_id]


@pytest.fixture
def ran(typed: Ran) -> Ran:
    return functools.partial(typed, "contrast")


def _notebook(folder: Path, *cells: str) -> str:
    text = "# Databricks notebook source\n" + "\n\n# COMMAND ----------\n\n".join(cells) + "\n"
    (folder / "nb.py").write_text(text)
    return "nb.py"


def _nothing_is_left(workspace: Workspace, cluster: Cluster) -> None:
    assert cluster.contexts == {}
    for run in runs_of(workspace).values():
        assert run.life not in ("PENDING", "RUNNING")
    left = [path for path in (workspace.folder / "mounts").rglob("*")
            if path.is_file() and "/.memprobe/" in str(path)]  # fmt: skip
    assert left == []


def test_what_the_notebook_keeps_on_the_cluster_and_the_script_does_not(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    words = ("--on", "databricks:shared", "--rounds", "2", "--keep", "kept", "--exit-zero",
             "--output-format", "json", _notebook(tmp_path, *CELLS))  # fmt: skip
    status, out, err = ran(*words)
    assert status == 0, err
    told = json.loads(out)["contrast"]
    assert [step["name"] for step in told["steps"]] == ["cell 1", "cell 2"]
    assert [row["round"] for row in told["rounds"]] == [1, 2, 3]
    growths = [row["growth"] for row in told["rounds"][1:]]
    assert growths == [pytest.approx(20_000_000, rel=0.05)] * 2
    holder = next(row for row in told["holders"] if row["name"] == "kept")
    assert holder["notebook"]["until"] == "kernel's end"
    assert holder["script"]["until"] == "process exit"
    assert all(step["wall"]["first"] > 0 for step in told["steps"])
    notebook = read(tmp_path / "kept/nb-notebook.memprobe")
    cells = [one.cell for one in notebook.markers if one.marker == "cell" and one.phase == "end"]
    assert cells == [1, 2, 3, 4, 5, 6]  # none of ours between them
    assert not any(one.busy for one in notebook.snapshots if one.reason == "request")
    script = read(tmp_path / "kept/nb-script-script-1.memprobe")
    ended = [one.name for one in script.markers if one.phase == "end" and one.marker == "phase"]
    assert ended == ["cell 1", "cell 2"]
    assert script.end is not None
    assert script.end.wall is not None  # by the server's clock
    _nothing_is_left(workspace, cluster)


def test_a_cell_that_fails_in_one_of_the_two_only_is_an_error(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "etl.py").write_text("x = 1\n")
    notebook = _notebook(tmp_path, "x = 1", "raise ValueError('on purpose')")
    status, _, err = ran("--on", "databricks:shared", "--rounds", "1", notebook, "etl.py")
    assert status == 2
    assert "cell 2 failed and etl.py did not: ValueError: on purpose" in " ".join(err.split())
    _nothing_is_left(workspace, cluster)


def test_a_context_that_dies_is_an_error_and_leaves_nothing(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    notebook = _notebook(tmp_path, "import os", "os.kill(os.getpid(), 9)")
    status, _, err = ran("--on", "databricks:shared", "--rounds", "1", notebook)
    assert status == 2
    assert "exit code 137" in err
    _nothing_is_left(workspace, cluster)


@pytest.mark.parametrize(
    ("kind", "said"), [("evict", "not found"), ("command-error", "REPL is not available")]
)
def test_a_context_that_is_evicted_or_refuses_is_an_error_and_leaves_nothing(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path, kind: str, said: str
) -> None:
    workspace.switchboard.add(kind, "/api/1.2/commands/execute", skip=2)
    notebook = _notebook(tmp_path, *CELLS)
    status, _, err = ran("--on", "databricks:shared", "--rounds", "1", "-k", "kept", notebook)
    assert status == 2
    assert said in " ".join(err.split())
    assert list((tmp_path / "kept").glob("*.memprobe")) == []
    _nothing_is_left(workspace, cluster)


def test_ctrl_c_destroys_the_context(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    cell = f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)"

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), 2)

    threading.Thread(target=interrupt).start()
    status, _, _ = ran("--on", "databricks:shared", "--rounds", "1", _notebook(tmp_path, cell))
    assert status == 130
    _nothing_is_left(workspace, cluster)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "databricks:serverless"], "no context that stays"),
        (["--on", "databricks:job/1"], "no context that stays"),
        (["--on", "databricks:none"], "no cluster none"),
        (["--on", "databricks:shared", "--suggest"], "not suggested on a cluster"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    ran: Ran, cluster: Cluster, tmp_path: Path, words: list[str], said: str
) -> None:
    status, out, err = ran(*words, _notebook(tmp_path, *CELLS))
    assert (status, out) == (2, "")
    assert said in err
