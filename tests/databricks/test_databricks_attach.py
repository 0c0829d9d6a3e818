"""ps, attach and snapshot on a cluster, and everything that can go wrong on the way."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memprobe.databricks import check, clusters, notebooks
from memprobe.databricks import workspace as workspaces
from memprobe.databricks.line import DriverNotebook
from memprobe.databricks.side_context import ContextLost, SideContext
from memprobe.errors import MemprobeError, TargetError, UsageError
from memprobe.recording.reader import read
from memprobe.targets.jupyter_server import RemoteAttachment, attach
from memprobe.targets.kernel import AttachOptions
from standin import Cluster, Workspace
from standin.contexts import ExecutionContext

PATIENCE = 180.0  # seconds until a test gives up on an event, on a machine busy with others
ETL = "/Users/ada@example.org/etl"
CELL = "import array\nheld = array.array('d', bytes(32_000_000))"
EXECUTE, STATUS = "/api/1.2/commands/execute", "/api/1.2/commands/status"


@pytest.fixture(scope="module")
def notebook(cluster: Cluster) -> ExecutionContext:
    opened = cluster.open_notebook(ETL)
    ran = opened.execute(CELL)
    _until(lambda: ran.status == "Finished")
    return opened


@pytest.fixture(autouse=True)
def _configured(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the SDK finds in our environment; short waits; nothing of ours left on any driver."""
    for name, value in workspace.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(workspaces, "RETRIES", 2)
    yield
    workspace.switchboard.clear()
    for cluster in workspace.clusters.values():
        assert [one for one in cluster.contexts.values() if not one.notebook] == []


def _until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _memprobe(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *arguments], env=workspace.environment(), text=True,
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip


def _attached(path: Path, opened: ExecutionContext) -> RemoteAttachment:
    """Attach without looking for the notebook first: each look is one more process."""
    assert opened.kernel is not None
    workspace = _connected()
    facts = clusters.by_id(workspace, opened.cluster.cluster_id)
    pid, file = opened.kernel.inner_pid, str(opened.kernel.file)
    remote = DriverNotebook(workspace, facts, pid, file, Path(opened.notebook).name)
    return attach(remote, AttachOptions(output=path, pull=0.1, timeout=60.0))


def _followed(attachment: RemoteAttachment, enough: Callable[[list[Any]], bool]) -> list[Any]:
    records: list[Any] = []

    def polled() -> bool:
        records.extend(attachment.poll())
        return enough(records) or attachment.ended is not None

    _until(polled)
    return records


def _kinds(records: list[Any], kind: str) -> int:
    return sum(type(record).__name__ == kind for record in records)


def _side(cluster: Cluster) -> ExecutionContext:
    (found,) = (one for one in cluster.contexts.values() if not one.notebook)
    return found


def _connected() -> workspaces.Workspace:
    return workspaces.connect()


# What works.


def test_ps_tells_of_the_driver_and_its_notebooks(
    workspace: Workspace, cluster: Cluster, notebook: ExecutionContext
) -> None:
    done = _memprobe(workspace, "ps", "databricks:shared", "--output-format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["cluster"]["mode"] == "dedicated"
    assert told["cluster"]["memory"]["used"] < told["cluster"]["memory"]["limit"]
    assert notebook.kernel is not None
    (row,) = [one for one in told["contexts"] if one["pid"] == notebook.kernel.inner_pid]
    assert (row["notebook"], row["state"], row["attachable"]) == (ETL, "idle", True)
    assert row["rss"] > 32_000_000
    assert row["kernel_id"] == notebook.identity


def test_ps_tells_of_the_drivers_jvm(cluster: Cluster) -> None:
    # What a process calls itself is all that tells what it is.
    name = "exec -a java sh -c 'read line' -Xmx8g com.databricks.backend.daemon.driver.DriverDaemon"
    jvm = subprocess.Popen(
        cluster.machine.command(["bash", "-c", name], cluster.folder), stdin=subprocess.PIPE
    )
    with SideContext(_connected(), cluster.cluster_id, PATIENCE) as context:
        seen: list[dict[str, Any]] = []
        _until(lambda: seen.extend(_big(context.call("survey")["jvms"])) or seen)
    jvm.communicate(b"end\n", timeout=PATIENCE)
    assert seen[0]["driver"] is True
    assert seen[0]["rss"] > 0


def _big(jvms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ours: where the driver is no machine of its own, other tests' are seen too."""
    return [jvm for jvm in jvms if jvm["heap"] == "8g"]


def test_a_notebook_is_recorded_from_outside(
    cluster: Cluster, notebook: ExecutionContext, tmp_path: Path
) -> None:
    attachment = _attached(tmp_path / "a.memprobe", notebook)
    _followed(attachment, lambda records: _kinds(records, "Snapshot") > 0)
    assert _side(cluster).kernel is not None
    assert attachment.detach()
    recording = read(tmp_path / "a.memprobe")
    assert recording.header.method == "side-context"
    assert recording.header.databricks is not None
    assert recording.header.databricks.mode == "dedicated"
    assert recording.end is not None
    assert recording.end.reason == "detach"
    holders = [holder.expr for holder in recording.snapshots[-1].holders]
    assert "held" in holders
    assert notebook.kernel is not None
    assert not (cluster.folder / "tmp").joinpath("memprobe-0").exists() or not any(
        (cluster.folder / "tmp" / "memprobe-0").iterdir()
    )


def test_ctrl_c_is_the_normal_end_of_attach(
    workspace: Workspace, cluster: Cluster, notebook: ExecutionContext, tmp_path: Path
) -> None:
    file = tmp_path / "c.memprobe"
    started = subprocess.Popen(
        [sys.executable, "-m", "memprobe", "attach", "databricks:shared/etl", "-o", str(file)],
        env=workspace.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert started.stderr is not None
    assert "recording until Ctrl-C" in started.stderr.readline()
    _search(workspace, Path(f"/proc/{started.pid}/cmdline").read_bytes())
    started.send_signal(signal.SIGINT)
    out, errors = started.communicate(timeout=PATIENCE)
    assert started.returncode == 0, errors
    assert "held" in out
    assert read(file).end.reason == "detach"  # type: ignore[union-attr]
    for text in (out.encode(), errors.encode(), file.read_bytes()):
        _search(workspace, text)


def test_ctrl_c_while_a_context_starts_leaves_none(workspace: Workspace) -> None:
    slow = workspace.cluster("slow", slow_contexts=PATIENCE)
    made = _connected()
    seen = []

    def check() -> None:
        seen.append(len(slow.contexts))
        if any(seen):
            raise KeyboardInterrupt

    with made.waits.checking(check), pytest.raises(KeyboardInterrupt):
        SideContext(made, slow.cluster_id, PATIENCE)
    assert slow.contexts == {}


def test_a_context_that_nobody_talks_to_ends_by_itself(cluster: Cluster) -> None:
    with SideContext(_connected(), cluster.cluster_id, PATIENCE, lease=1.0) as context:
        kernel = _side(cluster).kernel
        assert kernel is not None
        _until(lambda: kernel.process.poll() is not None)
        with pytest.raises(ContextLost):
            context.call("survey")


# What goes wrong.


def test_an_evicted_context_is_replaced_and_nothing_is_lost(
    cluster: Cluster, notebook: ExecutionContext, tmp_path: Path
) -> None:
    attachment = _attached(tmp_path / "e.memprobe", notebook)
    _followed(attachment, lambda records: _kinds(records, "Sample") > 1)
    cluster.evict(_side(cluster))
    more = _followed(attachment, lambda records: _kinds(records, "Sample") > 2)
    assert _kinds(more, "Sample") > 2
    cluster.evict(_side(cluster))  # at the very end: a new one carries the farewell
    assert attachment.detach()
    recording = read(tmp_path / "e.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert recording.snapshots[-1].reason == "detach"


def test_a_restarted_python_ends_the_recording_with_that_reason(
    cluster: Cluster, tmp_path: Path
) -> None:
    opened = cluster.open_notebook("/Users/ada@example.org/again")
    attachment = _attached(tmp_path / "r.memprobe", opened)
    _followed(attachment, lambda records: _kinds(records, "Sample") > 0)
    assert opened.kernel is not None
    opened.kernel.restart()
    _ = opened.kernel.client
    _followed(attachment, lambda records: False)
    attachment.detach()
    recording = read(tmp_path / "r.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "kernel-restarted"
    cluster.destroy(opened)


def test_a_killed_driver_ends_the_recording_and_keeps_what_came(
    workspace: Workspace, tmp_path: Path
) -> None:
    doomed = workspace.cluster("doomed")
    attachment = _attached(tmp_path / "k.memprobe", doomed.open_notebook(ETL))
    _followed(attachment, lambda records: _kinds(records, "Sample") > 0)
    doomed.kill_driver()
    _followed(attachment, lambda records: False)
    attachment.detach()
    recording = read(tmp_path / "k.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "kernel-died"
    assert "DRIVER_OUT_OF_MEMORY" in attachment.why
    assert len(recording.samples) > 0


def test_answers_that_are_cut_are_fetched_in_pieces(
    workspace: Workspace, notebook: ExecutionContext, tmp_path: Path
) -> None:
    workspace.switchboard.add("truncated", STATUS, times=None, value=9_000)
    attachment = _attached(tmp_path / "t.memprobe", notebook)
    _followed(attachment, lambda records: _kinds(records, "Snapshot") > 0)
    assert attachment.detach()
    assert "truncated" in workspace.switchboard.happened
    assert "held" in [one.expr for one in read(tmp_path / "t.memprobe").snapshots[-1].holders]


def test_answers_that_never_come_through_are_an_error(
    workspace: Workspace, cluster: Cluster
) -> None:
    with SideContext(_connected(), cluster.cluster_id, PATIENCE) as context:
        workspace.switchboard.add("truncated", STATUS, times=None, value=100)
        with pytest.raises(TargetError, match="did not come through"):
            context.call("survey")


def test_throttling_and_short_outages_are_sat_out(
    workspace: Workspace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "RETRIES", 10)
    for kind, path in (("429", EXECUTE), ("503", STATUS), ("cluster-not-ready", EXECUTE)):
        workspace.switchboard.add(kind, path, value=1 if kind == "429" else None)
    with SideContext(_connected(), cluster.cluster_id, PATIENCE) as context:
        assert context.call("survey")["kernels"]
    assert {"429", "503", "cluster-not-ready"} <= set(workspace.switchboard.happened)


def test_a_long_retry_after_is_not_waited_for(workspace: Workspace, cluster: Cluster) -> None:
    workspace.switchboard.add("429", EXECUTE, value=600)
    with pytest.raises(TargetError, match="too many requests") as caught:
        SideContext(_connected(), cluster.cluster_id, PATIENCE)
    assert re.search(r"in 60\d s", caught.value.cause)  # the SDK adds up to a second or so


def test_a_command_in_status_error_is_told_with_its_reason(
    workspace: Workspace, cluster: Cluster
) -> None:
    workspace.switchboard.add("command-error", EXECUTE, value="The Python REPL failed to start.")
    with pytest.raises(ContextLost) as caught:
        SideContext(_connected(), cluster.cluster_id, PATIENCE)
    assert caught.value.cause == "The Python REPL failed to start."


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("permission-denied", "/api/1.2/contexts/create", "does not allow you to"),
        ("permission-denied", "/api/2.1/clusters/list", "does not allow you to list the clusters"),
        ("cluster-not-ready", "/api/1.2/contexts/create", "cannot run code in a side context"),
        ("429", "/api/1.2/contexts/create", "cannot run code in a side context"),
        ("drop", "*", "cannot reach"),
    ],
)
def test_what_is_refused_for_good_is_one_clear_error(
    workspace: Workspace, kind: str, path: str, words: str
) -> None:
    begun = time.monotonic()
    workspace.switchboard.add(kind, path, times=None)
    with pytest.raises(MemprobeError) as caught:
        notebooks.listed("databricks:shared", lambda text: None)
    assert words in caught.value.summary
    assert caught.value.remedy
    assert time.monotonic() - begun < 60
    _search(workspace, "\n".join(caught.value.lines()).encode())


def test_a_cluster_that_does_not_run_is_not_started(workspace: Workspace) -> None:
    off = workspace.cluster("off", state="TERMINATED")
    with pytest.raises(TargetError) as caught:
        notebooks.listed("databricks:off", lambda text: None)
    assert f"databricks clusters start {off.cluster_id}" in caught.value.remedy
    assert off.state == "TERMINATED"


def test_a_cluster_that_is_starting_is_waited_for(workspace: Workspace) -> None:
    starting = workspace.cluster("starting", state="TERMINATED", slow_start=1.5)
    starting.start()
    said: list[str] = []
    assert notebooks.listed("databricks:starting", said.append).cluster.state == "RUNNING"
    assert said[0].startswith("cluster starting is pending")


def test_standard_mode_is_refused_and_named(workspace: Workspace) -> None:
    standard = workspace.cluster("standard", mode="USER_ISOLATION")
    kernel = standard.open_notebook("/Users/ada@example.org/mine").kernel
    assert kernel is not None
    target = f"databricks:standard/{kernel.inner_pid}"
    with pytest.raises(notebooks.Refused) as caught:
        notebooks.chosen(target, "attach", "attach to", lambda text: None)
    assert "standard access mode" in caught.value.cause
    with pytest.raises(notebooks.Refused) as named:  # its name cannot be seen either
        notebooks.chosen("databricks:standard/mine", "attach", "attach to", lambda text: None)
    assert "standard access mode" in named.value.cause
    assert "--cell" in caught.value.remedy


def test_the_cell_to_paste_records_where_nobody_can_enter(
    workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    printed = _memprobe(workspace, "attach", "--cell")
    assert printed.returncode == 0, printed.stderr
    opened = cluster.open_notebook("/Users/bob@example.org/alone")
    # What was killed on this driver by other tests could not take its folder away.
    before = set((cluster.folder / "tmp").glob("memprobe-*/*"))
    names = _ran(opened, CELL + "\nprint(sorted(globals()))")
    said = _ran(opened, printed.stdout)
    assert "memprobe records this notebook" in said
    end = next(line for line in said.splitlines() if "FOLDER)" in line).strip()
    assert "is no folder here" in _ran(opened, end.replace("FOLDER", "'/nowhere'"))
    said = _ran(opened, end.replace("FOLDER", repr(str(tmp_path))))
    after = _ran(opened, "print(sorted(globals()))")
    left = "import sys; print([one for one in sys.modules if one.startswith('memprobe')]); del sys"
    assert _ran(opened, left).strip() == "[]"
    assert set((cluster.folder / "tmp").glob("memprobe-*/*")) <= before
    assert _plain_names(after) == _plain_names(names)
    (file,) = tmp_path.glob("*.memprobe")
    assert str(file) in said
    recording = read(file)
    assert recording.header.method == "pasted"
    assert "held" in [holder.expr for holder in recording.snapshots[-1].holders]
    cluster.destroy(opened)


def _ran(notebook: ExecutionContext, code: str) -> str:
    command = notebook.execute(code)
    _until(lambda: command.status == "Finished")
    assert command.results is not None
    assert command.results["resultType"] == "text", command.results
    return str(command.results["data"])


def _plain_names(printed: str) -> list[str]:
    """Return the names but those of the history, which each cell adds to."""
    return [name for name in ast.literal_eval(printed) if not re.match(r"_i?\d*$|_i+$|_oh$", name)]


def test_several_notebooks_have_to_be_told_apart(
    cluster: Cluster, notebook: ExecutionContext
) -> None:
    second = cluster.open_notebook("/Users/bob@example.org/etl")
    with pytest.raises(TargetError, match="could be 2 notebooks") as caught:
        notebooks.chosen("databricks:shared/etl", "attach", "attach to", lambda text: None)
    assert ETL in caught.value.cause
    assert second.kernel is not None
    target = f"databricks:{cluster.cluster_id}/{second.kernel.inner_pid}"
    context = notebooks.chosen(target, "attach", "attach to", lambda text: None)
    assert context.notebook == "/Users/bob@example.org/etl"
    cluster.destroy(second)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("databricks:", "not said which cluster"),
        ("databricks:sharde", "there is no cluster sharde"),
        ("databricks:0101-000000-none", "look at cluster 0101-000000-none"),
        ("databricks:serverless", "serverless compute cannot be attached to"),
        ("databricks:shared/nowhere", "no notebook nowhere runs on cluster shared"),
    ],
)
def test_what_is_not_there_is_told(
    cluster: Cluster, notebook: ExecutionContext, target: str, words: str
) -> None:
    with pytest.raises(MemprobeError) as caught:
        notebooks.chosen(target, "attach", "attach to", lambda text: None)
    assert words in caught.value.summary


def test_without_a_login_or_with_a_wrong_one_the_error_says_how_to_log_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-wrong-and-secret")
    with pytest.raises(TargetError, match="refuses the login") as caught:
        notebooks.listed("databricks:shared", lambda text: None)
    assert "databricks auth login" in caught.value.remedy
    assert "wrong-and-secret" not in "\n".join(caught.value.lines())
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(UsageError, match="no Databricks workspace is configured"):
        _connected()


def test_a_host_that_does_not_exist_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "RETRIES", 300)
    monkeypatch.setattr(workspaces, "FIRST", 1)
    monkeypatch.setenv("DATABRICKS_HOST", "https://workspace.invalid")
    begun = time.monotonic()
    with pytest.raises(TargetError) as caught:
        notebooks.listed("databricks:shared", lambda text: None)
    assert caught.value.cause == "there is no host of that name"
    assert time.monotonic() - begun < 60


def test_without_the_sdk_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", None)
    with pytest.raises(UsageError) as caught:
        _connected()
    assert caught.value.remedy == "pip install 'memprobe-spark[databricks]'"


def test_the_checklist_writes_a_support_file_without_names(
    workspace: Workspace, cluster: Cluster, notebook: ExecutionContext, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(check, "RECORDED", 1.0)
    monkeypatch.setattr(check, "SIZES", (10_000, 300_000))
    file = tmp_path / "support.json"
    assert check.main([f"databricks:shared{ETL}", str(file)]) == 0
    told = json.loads(file.read_text())
    assert told["well"] is True
    steps = {step["step"]: step for step in told["steps"]}
    assert steps["side context"]["brought_back"] == {"largest": 300_000, "next": None}
    assert steps["notebook"]["name_known"] is True
    assert steps["nothing left"]["destroyed"] is True
    names = (workspace.token, workspace.host.removeprefix("http://"), "ada@", cluster.cluster_id)
    assert [name for name in names if name in file.read_text()] == []


def test_the_checklist_stops_where_something_fails_and_says_what(
    workspace: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    workspace.switchboard.add("permission-denied", "/api/1.2/contexts/create", times=None)
    file = tmp_path / "support.json"
    assert check.main(["databricks:shared", str(file)]) == 2
    *_, last = json.loads(file.read_text())["steps"]
    assert (last["step"], last["ok"]) == ("side context", False)
    assert "does not allow you to" in last["error"][0]


# Last in the file: it looks at what all of the others have left.


def _search(workspace: Workspace, text: bytes) -> None:
    assert workspace.token.encode() not in text


def test_the_token_went_nowhere_but_into_the_requests_header(
    workspace: Workspace, cluster: Cluster
) -> None:
    assert len(workspace.journal) > 100
    for _, target, headers, body in workspace.journal:
        _search(workspace, target.encode())
        _search(workspace, body)
        for name, value in headers.items():
            assert name == "Authorization" or workspace.token not in value
    searched = 0
    for folder, _, names in os.walk(workspace.folder):
        for name in names:
            file = Path(folder, name)
            if file.is_file():
                _search(workspace, file.read_bytes())
                searched += 1
    assert searched > 5
    for pid in [one for one in os.listdir("/proc") if one.isdecimal()]:
        try:
            _search(workspace, Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
