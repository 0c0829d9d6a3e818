"""``memprobe run --on databricks:…`` as a user types it, against the workspace on this machine."""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import memprobe_probes
from memprobe.databricks import following, job_run
from memprobe.databricks import workspace as wire
from memprobe.recording.reader import Recording, read
from standin import Cluster, Workspace
from standin.api_files import add_volume
from standin.api_jobs import add_job
from standin.api_jobs import runs as runs_of
from standin.job_runs import JobRun
from standin.mounts import root

ETL = """
import sys
print("args", sys.argv[1:])
kept = ["x" * 30_000_000]
"""
# Runs until a file is there, and says on the way that it has begun.
WAITS = """
import os, sys, time
kept = ["x" * 30_000_000]
print("begun", flush=True)
open(sys.argv[1], "w").close()
while not os.path.exists(sys.argv[1] + ".go"):
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def _nothing_is_left(workspace: Workspace, cluster: Cluster) -> Iterator[None]:
    workspace.switchboard.clear()
    yield
    workspace.switchboard.clear()
    assert [run for run in _runs(workspace) if run.life in ("PENDING", "RUNNING")] == []
    for run in _runs(workspace):
        assert run.process is None or run.process.poll() is not None
    assert cluster.contexts == {}


def _runs(workspace: Workspace) -> list[JobRun]:
    return list(runs_of(workspace).values())


def _uploaded(workspace: Workspace) -> list[str]:
    """Return every file that the cloud still keeps for us."""
    files = [str(path) for path in (workspace.folder / "mounts").rglob("*") if path.is_file()]
    return [path for path in files if "/.memprobe/" in path] + list(
        workspace.kept.get("notebooks", {})
    )


def _started(
    workspace: Workspace, folder: Path, *words: str, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "memprobe", "run", *words], cwd=folder, text=True,
        env={**workspace.environment(), **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ran(typed: Ran) -> Ran:
    return functools.partial(typed, "run")


def _on(cluster: Cluster) -> str:
    return f"databricks:{cluster.cluster_id}"


@pytest.fixture
def etl(tmp_path: Path) -> Path:
    path = tmp_path / "etl.py"
    path.write_text(ETL)
    return path


def _recorded(folder: Path) -> Recording:
    (path,) = folder.glob("*.memprobe")
    return read(path)


def test_a_script_runs_there_and_all_of_it_comes_home(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    status, out, err = ran("--on", _on(cluster), "etl.py", "one", "-x")
    assert (status, out) == (0, "args ['one', '-x']\n")
    assert "kept" in err  # the report
    assert f"run {_runs(workspace)[-1].identity} on shared" in err
    recording = _recorded(tmp_path)
    assert recording.header.method == "databricks-job"
    assert recording.header.context == "script"
    assert recording.header.databricks is not None
    assert recording.header.databricks.mode == "dedicated"
    assert recording.header.databricks.runtime == "15.4"
    assert recording.end is not None
    assert (recording.end.reason, recording.end.status) == ("exit", 0)
    assert recording.end.wall is not None
    assert _uploaded(workspace) == []


def test_the_scripts_status_is_ours_and_its_error_is_shown(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "fails.py").write_text("import sys\nprint('so far')\nsys.exit(7)\n")
    status, out, err = ran("-q", "--on", _on(cluster), "fails.py")
    assert status == 7
    assert "so far" in out
    assert "SystemExit" not in out + err
    (tmp_path / "raises.py").write_text("def f(x):\n    return 1 / x\nf(0)\n")
    status, out, err = ran("-q", "--on", "databricks:shared", "raises.py")
    assert status == 1
    assert "ZeroDivisionError: division by zero" in out + err
    assert ", in <module>" in out + err
    assert _uploaded(workspace) == []


def test_a_notebook_is_recorded_cell_by_cell(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    cells = ["kept = ['x' * 30_000_000]", "n = len(kept)"]
    (tmp_path / "nb.py").write_text(
        "# Databricks notebook source\n" + "\n\n# COMMAND ----------\n\n".join(cells) + "\n"
    )
    status, _, err = ran("--on", _on(cluster), "nb.py")
    assert status == 0, err
    recording = _recorded(tmp_path)
    assert recording.header.context == "notebook"
    assert recording.header.program == "nb.py"
    ended = [one.cell for one in recording.markers if one.phase == "end"]
    assert ended == [1, 2]  # ours are not among them
    held = {one.exprs[0]: one for one in _report(recording).holders}
    assert held["kept"].created.cell == 1
    assert _uploaded(workspace) == []


def _report(recording: Recording) -> Any:
    from memprobe.analysis import build
    from memprobe.config import Config

    return build.report(recording, Config())


def test_an_ipynb_that_fails_keeps_its_recording(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    import nbformat

    new: Any = nbformat.v4
    cells = [new.new_code_cell(one) for one in ("kept = ['x' * 30_000_000]", "1 / 0", "never = 1")]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "nb.ipynb")
    status, _, err = ran("--on", _on(cluster), "nb.ipynb")
    assert status == 1
    assert "ZeroDivisionError" in err
    recording = _recorded(tmp_path)
    assert [one.error for one in recording.markers if one.phase == "end"] == [
        None, "ZeroDivisionError",
    ]  # fmt: skip
    assert recording.end is not None
    assert recording.end.status == 1
    assert "kept" in [one.exprs[0] for one in _report(recording).holders]
    assert _uploaded(workspace) == []


def test_serverless_ends_without_an_exit_and_says_what_it_does_not_see(
    ran: Ran, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "etl.py").write_text(f"{ETL}\nsys.exit(0)\n")
    status, _, err = ran("--on", "databricks:serverless", "etl.py")
    assert status == 0, err
    assert "only this process can be measured" in " ".join(err.split())
    assert _recorded(tmp_path).header.databricks.mode == "serverless"  # type: ignore[union-attr]
    (body,) = [json.loads(body) for _, path, _, body in workspace.journal[-60:]
               if path.endswith("/runs/submit") and b"environment_key" in body]  # fmt: skip
    assert "existing_cluster_id" not in body["tasks"][0]


def test_a_cluster_of_its_own_is_described_in_a_file(
    ran: Ran, workspace: Workspace, etl: Path, tmp_path: Path
) -> None:
    spec = {"new_cluster": {"spark_version": "16.4.x-scala2.12", "num_workers": 1,
                            "node_type_id": "x", "data_security_mode": "SINGLE_USER"}}  # fmt: skip
    (tmp_path / "cluster.json").write_text(json.dumps(spec))
    words = ("--on", "databricks", "--job-cluster", "cluster.json", "etl.py")
    status, _, err = ran(*words)
    assert status == 0, err
    assert _recorded(tmp_path).header.databricks.runtime == "16.4"  # type: ignore[union-attr]


def test_a_volume_is_used_where_one_is_named(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/runs")
    words = ("--on", _on(cluster), "--volume", volume, "etl.py")
    status, _, err = ran(*words)
    assert status == 0, err
    assert "uploaded to workspace files" in err
    assert any(
        path.endswith("/part-000001") and "/fs/files/Volumes/main/default/runs/" in path
        for _, path, _, _ in workspace.journal
    )
    assert _recorded(tmp_path).snapshots
    assert _uploaded(workspace) == []


def test_the_volume_takes_the_script_too_where_the_workspace_does_not(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/scripts")
    workspace.switchboard.add("permission-denied", "/api/2.0/workspace/mkdirs", times=None)
    status, _, err = ran("-q", "--on", _on(cluster), "--volume", volume, "etl.py")
    assert status == 0, err
    assert "uploaded to the volume" in err
    task = _runs(workspace)[-1].task["spark_python_task"]
    assert task["python_file"].startswith(f"{volume}/.memprobe/")
    assert _recorded(tmp_path).snapshots
    assert _uploaded(workspace) == []


def test_dbfs_is_used_where_the_workspace_takes_no_files(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    workspace.switchboard.add("permission-denied", "/api/2.0/workspace/mkdirs", times=None)
    status, _, err = ran("--on", _on(cluster), "etl.py")
    assert status == 0, err
    assert "uploaded to DBFS" in err
    assert _runs(workspace)[-1].task["spark_python_task"]["python_file"].startswith("dbfs:/tmp/")
    assert _recorded(tmp_path).snapshots
    assert _uploaded(workspace) == []


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _waiting(
    workspace: Workspace, cluster: Cluster, folder: Path, **environment: str
) -> tuple[subprocess.Popen[str], JobRun]:
    """Return memprobe and its run, once the script has begun."""
    (folder / "waits.py").write_text(WAITS)
    process = _started(
        workspace, folder, "--on", _on(cluster), "waits.py", str(folder / "begun"), **environment
    )
    _until((folder / "begun").exists)
    return process, _runs(workspace)[-1]


def test_ctrl_c_cancels_the_run_and_keeps_what_has_come(
    workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    process, run = _waiting(workspace, cluster, tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert run.result == "CANCELED"
    assert "cancelling the run" in err
    recording = _recorded(tmp_path)
    assert recording.end is not None
    assert recording.end.reason == "cancelled"
    assert _uploaded(workspace) == []


def test_a_killed_driver_leaves_the_parts_that_had_arrived(
    workspace: Workspace, tmp_path: Path
) -> None:
    cluster = workspace.cluster("doomed")
    process, run = _waiting(workspace, cluster, tmp_path, MEMPROBE_DATABRICKS_COPY="0.3")
    folder = workspace.folder / "mounts/Workspace"
    _until(lambda: list(folder.rglob("part-000001")))
    cluster.kill_driver()
    _, err = process.communicate()
    del workspace.clusters[cluster.cluster_id]
    assert process.returncode == 137, err
    assert run.life == "INTERNAL_ERROR"
    recording = _recorded(tmp_path)
    assert recording.header.program == "waits.py"
    assert recording.samples
    assert recording.end is not None
    assert (recording.end.reason, recording.end.signal) == ("signal", 9)


def test_a_process_that_runs_out_of_memory_is_told_as_137(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "dies.py").write_text("import os\nprint('x', flush=True)\nos.kill(os.getpid(), 9)")
    status, out, err = ran("--on", _on(cluster), "dies.py")
    assert (status, out) == (137, "x\n")
    assert "exit code 137" in err
    recording = _recorded(tmp_path)
    assert [one.event for one in recording.events] == ["no-probe"]
    assert _uploaded(workspace) == []


def test_too_many_requests_and_a_server_that_is_down_for_a_while_are_waited_for(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    workspace.switchboard.add("429", "/api/2.2/jobs/runs/submit", value=1)
    workspace.switchboard.add("503", "/api/2.2/jobs/runs/get")
    workspace.switchboard.add("drop", "/api/2.2/jobs/runs/get-output")
    status, out, err = ran("-q", "--on", _on(cluster), "etl.py")
    assert (status, out) == (0, "args []\n"), err
    assert workspace.switchboard.happened[-3:] == ["429", "503", "drop"]


def test_a_submission_whose_answer_is_lost_runs_once(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    before = len(_runs(workspace))
    workspace.switchboard.add("503", "/api/2.2/jobs/runs/submit")
    status, _, err = ran("-q", "--on", _on(cluster), "etl.py")
    assert status == 0, err
    assert len(_runs(workspace)) == before + 1
    bodies = [json.loads(body) for _, path, _, body in workspace.journal if "submit" in path][-2:]
    assert bodies[0]["idempotency_token"] == bodies[1]["idempotency_token"]


def test_output_that_the_workspace_cut_off_is_said(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    workspace.switchboard.add("truncated", "/api/2.2/jobs/runs/get-output", value=4)
    status, out, err = ran("-q", "--on", _on(cluster), "etl.py")
    assert (status, out) == (0, "args")
    assert "longer than what the workspace keeps" in err


def test_a_right_that_is_missing_is_named_and_nothing_stays(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    told = "ada@example.org does not have Attach permission on the cluster"
    workspace.switchboard.add("permission-denied", "/api/2.2/jobs/runs/submit", value=told)
    status, _, err = ran("--on", _on(cluster), "etl.py")
    assert status == 2
    assert err.startswith("memprobe: uploaded")
    assert "does not have Attach permission" in err
    assert "help:" in err
    assert list(tmp_path.glob("*.memprobe")) == []
    assert _uploaded(workspace) == []


def test_a_cluster_that_cannot_start_is_an_error_and_no_recording(
    ran: Ran, workspace: Workspace, etl: Path, tmp_path: Path
) -> None:
    cluster = workspace.cluster("broken")
    cluster.start = lambda: setattr(cluster, "state", "ERROR")  # type: ignore[method-assign]
    cluster.terminate("CLOUD_PROVIDER_LAUNCH_FAILURE", "CLOUD_FAILURE")
    status, _, err = ran("--on", _on(cluster), "etl.py")
    del workspace.clusters[cluster.cluster_id]
    assert status == 2
    assert "did not start" in err
    assert "could not be started" in err
    assert list(tmp_path.glob("*.memprobe")) == []
    assert _uploaded(workspace) == []


def test_a_slow_cluster_is_waited_for(
    ran: Ran, workspace: Workspace, etl: Path, tmp_path: Path
) -> None:
    cluster = workspace.cluster("slow", slow_start=2.0, state="TERMINATED")
    status, out, err = ran("-q", "--on", "databricks:slow", "etl.py")
    cluster.stop()
    del workspace.clusters[cluster.cluster_id]
    assert (status, out) == (0, "args []\n"), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "databricks", "etl.py"], "names no cluster"),
        (["--on", "elsewhere:x", "etl.py"], "names no place"),
        (["--on", "databricks:job/x", "etl.py"], "is no job's id"),
        (["--on", "databricks:job/1", "etl.py"], "a job runs what it is made of"),
        (["--on", "databricks:job/1"], "not said where the job keeps its recording"),
        (["--on", "databricks:job/1", "--recording", "/Volumes/main/default/x"], "run job 1"),
        (["--on", "databricks:x", "--job-cluster", "f", "etl.py"], "exclude each other"),
        (["--on", "databricks", "--job-cluster", "none.json", "etl.py"], "cannot read none.json"),
        (["--on", "databricks:shared", "missing.py"], "missing.py"),
        (["--on", "databricks:shared", "-m", "etl"], "cannot be run on Databricks"),
        (["--on", "databricks:shared", "--memray", "etl.py"], "not traced on Databricks"),
        (["--on", "databricks:shared", "--volume", "/tmp/x", "etl.py"], "is no volume"),
        (["--on", "databricks:none", "etl.py"], "no cluster none"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    ran: Ran,
    workspace: Workspace,
    cluster: Cluster,
    etl: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    before = len(_runs(workspace))
    status, out, err = ran(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("error:")
    assert list(tmp_path.glob("*.memprobe")) == []
    assert len(_runs(workspace)) == before


def test_the_token_is_nowhere(
    workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Not in what was sent, written, printed or uploaded, and in no command line."""
    process, run = _waiting(workspace, cluster, tmp_path)
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (process.pid, run.process.pid)]  # type: ignore[union-attr]
    environment = Path(f"/proc/{run.process.pid}/environ").read_bytes()  # type: ignore[union-attr]
    kept = [path.read_bytes() for path in (workspace.folder / "mounts").rglob("*")
            if path.is_file()]  # fmt: skip
    assert any(b"memprobe_probes" in one or b"_memprobe_parts" in one for one in kept)
    (tmp_path / "begun.go").touch()
    out, err = process.communicate()
    assert process.returncode == 0, err
    token = workspace.token.encode()
    sent = [body for _, _, _, body in workspace.journal]
    assert any(workspace.token in headers["Authorization"] for _, _, headers, _ in
               workspace.journal if "Authorization" in headers)  # fmt: skip
    written = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    drivers = [path.read_bytes() for path in cluster.folder.rglob("*") if path.is_file()]
    for place in (*lines, environment, *kept, *sent, *written, *drivers, out.encode(),
                  err.encode()):  # fmt: skip
        assert token not in place


def test_an_unreachable_host_is_said(
    ran: Ran, etl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "RETRIES", 3)
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    status, _, err = ran("--on", "databricks:x", "etl.py")
    assert status == 2
    assert err.startswith("error: cannot reach")
    assert list(tmp_path.glob("*.memprobe")) == []


def test_where_the_workspace_is_lost_what_came_is_kept_and_the_run_is_named(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "LOST", 1.0)
    monkeypatch.setattr(wire, "RETRIES", 3)
    monkeypatch.setenv("MEMPROBE_DATABRICKS_COPY", "0.2")
    (tmp_path / "waits.py").write_text(WAITS)

    before = _fetches(workspace)

    def cut_off() -> None:
        _until(lambda: _fetches(workspace) > before)
        workspace.switchboard.add("drop", "*", times=None)

    cutting = threading.Thread(target=cut_off)
    cutting.start()
    monkeypatch.setattr(job_run, "FETCH", 0.1)
    status, _, err = ran("--on", _on(cluster), "waits.py", str(tmp_path / "begun"))
    cutting.join()
    workspace.switchboard.clear()
    (tmp_path / "begun.go").touch()
    run = _runs(workspace)[-1]
    _until(lambda: run.result == "SUCCESS")
    assert status == 2
    assert f"databricks jobs cancel-run {run.identity}" in err
    recording = _recorded(tmp_path)
    assert recording.header.program == "waits.py"
    assert recording.end is not None
    assert recording.end.reason == "connection-lost"


def test_a_recording_that_cannot_be_fetched_stays_and_is_named(
    ran: Ran, workspace: Workspace, cluster: Cluster, etl: Path, tmp_path: Path
) -> None:
    before = _uploaded(workspace)
    workspace.switchboard.add("permission-denied", "/api/2.0/workspace/export", times=None)
    status, out, err = ran("-q", "--on", _on(cluster), "etl.py")
    workspace.switchboard.clear()
    assert (status, out) == (0, "args []\n")
    assert "the recording was not fetched whole" in err
    (left,) = {Path(path).parent for path in _uploaded(workspace) if path not in before}
    assert f"/.memprobe/{left.name}" in err
    assert (left / "part-000001").exists()
    shutil.rmtree(left)


def _fetches(workspace: Workspace) -> int:
    """Return how often somebody has fetched a first part."""
    return sum("part-000001" in path for _, path, _, _ in list(workspace.journal))


RECORDS = """
import sys
sys.path.insert(0, {probes!r})
from memprobe_probes import context, copies
copies.MOUNTS = ({mount!r},)  # the stand-in's mounts are not at the root
with context.record("{folder}/etl-1.memprobe"):
    kept = ["x" * 30_000_000]
    {more}
print("recorded")
"""


def _job(workspace: Workspace, cluster: Cluster, volume: str, more: str = "pass") -> int:
    probes = str(Path(memprobe_probes.__file__).parents[1])
    mount = str(root(workspace, "Volumes"))
    script = root(workspace, "Workspace") / "Users" / workspace.user / "job.py"
    script.write_text(RECORDS.format(probes=probes, mount=mount, folder=volume, more=more))
    task = {"task_key": "one", "existing_cluster_id": cluster.cluster_id,
            "spark_python_task": {"python_file": f"/Users/{workspace.user}/job.py"}}  # fmt: skip
    return add_job(workspace, [task])


def test_a_job_that_records_itself_is_run_and_its_recording_fetched(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/jobs")
    (root(workspace, "Volumes") / "main/default/jobs/older.memprobe").write_text("older")
    job = _job(workspace, cluster, volume)
    status, out, err = ran("--on", f"databricks:job/{job}", "--recording", volume)
    assert (status, out) == (0, "recorded\n"), err
    assert "walked by" in err  # the report
    recording = _recorded(tmp_path)
    assert recording.header.method == "record"
    assert recording.snapshots
    assert (root(workspace, "Volumes") / "main/default/jobs/etl-1.memprobe").exists()


def test_a_job_that_is_killed_leaves_its_parts(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/killed")
    job = _job(workspace, cluster, volume, "import os; os.kill(os.getpid(), 9)")
    words = ("--on", f"databricks:job/{job}", "--recording", f"{volume}/etl-1.memprobe")
    status, _, err = ran("-q", *words)
    assert status == 137, err
    recording = _recorded(tmp_path)
    assert recording.header.method == "record"
    assert recording.end is not None
    assert recording.end.signal == 9


def test_the_recording_of_a_former_run_is_not_taken_for_this_ones(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/twice")
    named = f"{volume}/etl-1.memprobe"
    words = ("-q", "--on", f"databricks:job/{_job(workspace, cluster, volume)}")
    assert ran(*words, "--recording", named, "-o", "first.memprobe")[0] == 0
    status, _, err = ran(*words, "--recording", named, "-o", "second.memprobe")
    assert status == 1, "the job may not write over it, and fails"
    assert "no new recording has appeared" in err
    assert read(tmp_path / "first.memprobe").snapshots
    assert not read(tmp_path / "second.memprobe").snapshots


def test_a_job_that_records_nothing_is_said(
    ran: Ran, workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    volume = add_volume(workspace, "/Volumes/main/default/nothing")
    job = _job(workspace, cluster, volume)
    elsewhere = add_volume(workspace, "/Volumes/main/default/elsewhere")
    status, out, err = ran("--on", f"databricks:job/{job}", "--recording", elsewhere)
    assert (status, out) == (0, "recorded\n")
    assert "no new recording has appeared" in err
