"""Finding kernels: a real Jupyter server, real ipykernels, and stand-ins for other kernels."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from memprobe.cli import ps as ps_verb
from memprobe.errors import TargetError, UsageError
from memprobe.targets import contexts as module
from memprobe.targets import discovery, jupyter_files, kernel_argv
from memprobe.targets.contexts import ContextRow
from memprobe.targets.kernel import AttachOptions, attach
from memprobe.targets.kernel_ready import wait_until_ready
from memprobe.targets.processes import Process, require_proc
from memprobe.targets.session import SessionFolder

PATIENCE = 60.0  # seconds until an expected event counts as missing
ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join([str(ROOT / "src"), str(ROOT / "probes")])
WAITS = "import sys; print('ready', flush=True); sys.stdin.read()"


@dataclass
class Jupyter:
    """A running server and the kernel of its one open notebook."""

    port: int
    token: str
    notebook: Path
    kernel_id: str
    connection_file: Path
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self.port, self.token, method, path, body)


def ask(port: int, token: str, method: str, path: str, body: Any = None) -> Any:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    try:
        link.request(method, path, json.dumps(body) if body else None, headers)
        answer = link.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text) if text else None
    finally:
        link.close()


def until(happened: Callable[[], Any], what: str) -> Any:
    """Return the first true value of ``happened``; it is asked again until then."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = happened()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty Jupyter runtime folder and session base for this module."""
    folder = tmp_path_factory.mktemp("runtime")
    xdg = tmp_path_factory.mktemp("xdg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        patch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("XDG_RUNTIME_DIR", str(xdg))
        patch.delenv("JPY_SESSION_NAME", raising=False)
        yield folder


@pytest.fixture(scope="module")
def jupyter(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    root = tmp_path_factory.mktemp("notebooks")
    notebook = root / "team" / "etl.ipynb"
    notebook.parent.mkdir()
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    token = secrets.token_hex(8)
    arguments = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--allow-root", "--no-browser"]
    arguments += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    with running([sys.executable, "-m", "jupyter_server", *arguments], wait=False) as server:
        info = runtime / f"jpserver-{server.pid}.json"
        port = until(lambda: whole_json(info), "the server's file in the runtime folder")["port"]
        until(lambda: answers(port, token), "the server's first answer")
        body = {"path": "team/etl.ipynb", "name": "etl.ipynb", "type": "notebook"}
        session = ask(port, token, "POST", "/api/sessions", {**body, "kernel": {"name": "python3"}})
        kernel_id = session["kernel"]["id"]
        yield Jupyter(
            port, token, notebook, kernel_id, runtime / f"kernel-{kernel_id}.json", server
        )
        ask(port, token, "DELETE", f"/api/kernels/{kernel_id}")


def whole_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def answers(port: int, token: str) -> bool:
    try:
        return ask(port, token, "GET", "/api/status") is not None
    except OSError:
        return False


@pytest.fixture(scope="module")
def vscode(
    runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A kernel as VS Code starts it: ``--f=``, and the notebook in the environment."""
    file = runtime / "kernel-v2-4711abcDEF.json"
    write_connection_file(str(file), ip="127.0.0.1")
    notebook = tmp_path_factory.mktemp("vscode") / "mine" / "etl.ipynb"
    environ = {**os.environ, "JPY_SESSION_NAME": str(notebook)}
    argv = [sys.executable, "-m", "ipykernel_launcher", f"--f={file}"]
    with running(argv, wait=False, env=environ) as kernel, client(file, kernel):
        yield notebook, kernel


@contextlib.contextmanager
def client(
    file: Path, alive: subprocess.Popen[bytes] | None = None
) -> Iterator[BlockingKernelClient]:
    link = BlockingKernelClient(connection_file=str(file))
    link.load_connection_file()
    link.start_channels()
    try:
        wait_until_ready(link, lambda: alive is None or alive.poll() is None, PATIENCE)
        yield link
    finally:
        link.stop_channels()


@contextlib.contextmanager
def running(
    argv: list[str], *, wait: bool = True, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process to the end of the block; with ``wait``, until it has said it is ready."""
    devnull = subprocess.DEVNULL
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if wait else devnull,
        stderr=devnull,
        **options,
    )
    try:
        if wait:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """List our processes whatever else this machine runs."""
    monkeypatch.setattr(module, "MOST_PLAIN_PROCESSES", 1000)


def row_of(pid: int) -> ContextRow:
    return next(row for row in module.contexts() if row.pid == pid)


def kernel_pid(file: Path) -> int:
    found = [row.pid for row in module.contexts() if row.connection_file == file]
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def test_a_servers_notebook_is_found_with_name_path_and_kernel_id(jupyter: Jupyter) -> None:
    row = row_of(kernel_pid(jupyter.connection_file))
    assert (row.name, row.notebook) == ("etl.ipynb", str(jupyter.notebook))
    assert row.kernel_id == jupyter.kernel_id
    assert row.server == f"http://127.0.0.1:{jupyter.port}/"
    assert (row.attachable, row.why_not, row.kind) == (True, "", "kernel")
    assert row.rss is not None
    assert row.rss > 10 << 20
    assert row.age is not None
    assert 0 <= row.age < 600
    assert row.share is not None
    assert 0 < row.share < 1


def test_a_servers_kernel_is_busy_while_a_cell_runs(jupyter: Jupyter) -> None:
    def state() -> str:
        return row_of(pid).state

    def idle_after_a_cell() -> bool:
        # A server listens a moment after the kernel has begun to speak: let it speak again.
        link.execute("pass", silent=True)
        return state() == "idle"

    pid = kernel_pid(jupyter.connection_file)
    with client(jupyter.connection_file) as link:
        until(idle_after_a_cell, "idle before the cell")
        link.execute("import time\nwhile True: time.sleep(0.01)", store_history=False)
        until(lambda: state() == "busy", "busy while the cell runs")
        jupyter.ask("POST", f"/api/kernels/{jupyter.kernel_id}/interrupt")
        until(lambda: state() == "idle", "idle after the cell")


def test_vscodes_notebook_is_known_from_its_environment(vscode: Any) -> None:
    notebook, kernel = vscode
    row = row_of(kernel.pid)
    assert (row.name, row.notebook) == ("etl.ipynb", str(notebook))
    assert (row.kernel_id, row.server, row.state) == ("v2-4711abcDEF", None, "unknown")
    assert row.attachable


@pytest.mark.parametrize("shorten", [str, lambda path: str(path).removesuffix(".ipynb")])
def test_a_notebooks_path_names_its_kernel(
    jupyter: Jupyter, vscode: Any, shorten: Callable[[Path], str]
) -> None:
    pid = kernel_pid(jupyter.connection_file)
    assert discovery.resolve(shorten(jupyter.notebook)).pid == pid
    assert discovery.resolve(shorten(vscode[0])).pid == vscode[1].pid


def test_a_relative_path_and_the_end_of_a_path_name_a_kernel(
    jupyter: Jupyter, vscode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = kernel_pid(jupyter.connection_file)
    assert discovery.resolve("team/etl.ipynb").pid == pid
    assert discovery.resolve("team/etl").pid == pid
    assert discovery.resolve("mine/etl").pid == vscode[1].pid
    monkeypatch.chdir(jupyter.notebook.parent)
    assert discovery.resolve("etl.ipynb").pid == pid  # here it is that one, elsewhere ambiguous
    monkeypatch.chdir(jupyter.notebook.parent.parent)
    assert discovery.resolve("./team/etl").pid == pid


def test_pid_kernel_id_and_connection_file_name_a_kernel(jupyter: Jupyter) -> None:
    pid = kernel_pid(jupyter.connection_file)
    for target in (
        str(pid),
        jupyter.kernel_id,
        jupyter.kernel_id[:8],
        str(jupyter.connection_file),
        os.path.relpath(jupyter.connection_file),
    ):
        context = discovery.resolve(target)
        assert (context.pid, context.connection_file) == (pid, jupyter.connection_file), target


def test_a_name_that_two_kernels_have_is_refused_and_both_are_listed(
    jupyter: Jupyter, vscode: Any
) -> None:
    with pytest.raises(TargetError) as caught:
        discovery.resolve("etl.ipynb")
    text = "\n".join(caught.value.lines())
    assert "etl.ipynb could be" in text
    for part in (jupyter.notebook, vscode[0], vscode[1].pid, "memprobe attach"):
        assert str(part) in text


def test_without_a_target_and_without_a_terminal_the_choice_is_listed(
    jupyter: Jupyter, vscode: Any
) -> None:
    with pytest.raises(TargetError, match="no TARGET says which") as caught:
        discovery.resolve(None)
    assert str(vscode[1].pid) in "\n".join(caught.value.lines())


def test_a_probe_in_a_kernel_is_shown_with_its_slope_and_state(vscode: Any) -> None:
    pid = vscode[1].pid
    assert row_of(pid).probe is None
    folder = SessionFolder.create({"program": "etl.ipynb"})
    try:
        folder.spool.write_text(spool(pid, growth=4 << 20))
        row = row_of(pid)
        assert row.probe == folder.config["session"]
        assert row.state == "busy"
        assert row.slope == pytest.approx(4 << 20)
        assert row.limit is not None
        assert row.limit_used is not None
        expected = (row.limit - row.limit_used) / (4 << 20)
        assert row.seconds_to_limit == pytest.approx(expected)
        folder.spool.write_text(spool(pid, growth=0) + '{"kind":"end","t":99,"reason":"exit"}\n')
        assert row_of(pid).probe is None
    finally:
        folder.remove()


def test_a_real_attachment_is_shown_as_a_probe_until_it_leaves(vscode: Any, tmp_path: Path) -> None:
    pid = vscode[1].pid
    context = discovery.resolve(str(pid))
    assert context.connection_file is not None
    attachment = attach(context.connection_file, pid, AttachOptions(tmp_path / "x.memprobe"))
    try:
        until(lambda: row_of(pid).probe, "the probe in the list")
    finally:
        attachment.detach()
    until(lambda: row_of(pid).probe is None, "the probe gone from the list")


def spool(pid: int, growth: int) -> str:
    second = 1_000_000_000
    header = {"kind": "header", "t": 0, "pid": pid, "start": time.time()}
    samples = [
        {"kind": "sample", "t": i * second, "rss": (100 << 20) + i * growth} for i in range(60)
    ]
    marker = {"kind": "marker", "t": 60 * second, "phase": "start", "cell": 3}
    return "".join(json.dumps(record) + "\n" for record in (header, *samples, marker))


def test_a_session_of_an_earlier_process_with_this_pid_is_no_probe(vscode: Any) -> None:
    folder = SessionFolder.create({})
    try:
        old = {"kind": "header", "t": 0, "pid": vscode[1].pid, "start": 1_000_000.0}
        folder.spool.write_text(json.dumps(old) + "\n")
        assert row_of(vscode[1].pid).probe is None
    finally:
        folder.remove()


def test_measured_slopes_are_there_only_when_asked_for(vscode: Any) -> None:
    assert row_of(vscode[1].pid).slope is None
    rows = module.contexts(measure=0.05)
    assert next(row for row in rows if row.pid == vscode[1].pid).slope is not None


def stand_in(file: Path, code: str = WAITS) -> list[str]:
    """Argv of a Python process that names a connection file, as a kernel would."""
    write_connection_file(str(file), ip="127.0.0.1")
    return [sys.executable, "-c", code, "-f", str(file)]


def shell(*argv: str, then: str = "read line") -> dict[str, Any]:
    """Options of a shell whose argv looks like another program's."""
    return {"args": [argv[0], "-c", f"echo ready; {then}", *argv[1:]], "executable": "/bin/sh"}


@pytest.mark.parametrize(
    ("program", "language"),
    [
        ("/usr/lib/R/bin/exec/R", "R"),
        ("/opt/julia/bin/julia", "julia"),
        ("/opt/java/bin/java", "Scala"),
    ],
)
def test_a_kernel_of_another_language_is_listed_and_refused(
    runtime: Path, program: str, language: str
) -> None:
    file = runtime / f"kernel-{secrets.token_hex(4)}.json"
    write_connection_file(str(file), ip="127.0.0.1")
    options = shell(program, "--args", str(file))
    with running(options["args"], executable="/bin/sh") as process:
        row = row_of(process.pid)
        assert not row.attachable
        assert language in row.language
        with pytest.raises(TargetError, match="cannot attach") as caught:
            discovery.resolve(str(process.pid))
    assert "do not run in Python" in caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("package", "cause"),
    [
        ("sparkmagic.kernels.pysparkkernel.pysparkkernel", "another machine"),
        ("sparkmagic.kernels.sparkkernel.sparkkernel", "another machine"),
        ("bash_kernel", "in bash"),
    ],
)
def test_a_python_kernel_whose_code_is_no_python_here_is_refused(
    runtime: Path, tmp_path: Path, package: str, cause: str
) -> None:
    path = tmp_path.joinpath(*package.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WAITS)
    file = runtime / f"kernel-{secrets.token_hex(4)}.json"
    write_connection_file(str(file), ip="127.0.0.1")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    argv = [sys.executable, "-m", package, "-f", str(file)]
    with running(argv, env=environ) as process:
        row = row_of(process.pid)
        assert (row.attachable, cause in row.why_not) == (False, True)
        with pytest.raises(TargetError, match="cannot attach") as caught:
            discovery.resolve(kernel_argv.kernel_id(file))
    assert cause in caught.value.cause


def test_the_kernel_itself_is_listed_not_its_launcher_and_not_its_forks(
    runtime: Path,
) -> None:
    file = runtime / "kernel-launched.json"
    forks = (
        "import os, sys, signal\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(w); os.read(r, 1); os._exit(0)\n" + WAITS
    )
    kernel = stand_in(file, forks)
    launcher = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:])\n"
        "try: child.wait()\n"
        "finally: child.terminate(); child.wait()\n"
    )
    launch = f"import signal; signal.signal(15, lambda *a: sys.exit())\n{launcher}"
    argv = [sys.executable, "-c", "import sys\n" + launch, *kernel]
    with running(argv) as outer:
        rows = [row for row in module.contexts() if row.connection_file == file]
        assert [row.pid != outer.pid for row in rows] == [True]
        assert Path(f"/proc/{rows[0].pid}/stat").read_text().split(")")[1].split()[1] == str(
            outer.pid
        )


def test_a_spark_application_is_seen_by_its_jvm(runtime: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "java = ['/usr/bin/java', '-c', 'echo up; read line', '-cp', '/x',\n"
        "  'org.apache.spark.deploy.SparkSubmit', '--conf', 'spark.app.name=nightly']\n"
        "jvm = subprocess.Popen(java, executable='/bin/sh', stdin=0, stdout=-1)\n"
        "jvm.stdout.readline(); print('ready', flush=True); jvm.wait()\n"
    )
    with running(stand_in(runtime / "kernel-spark.json", code)) as process:
        assert row_of(process.pid).spark == "nightly"
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)


def test_a_kernel_that_named_its_own_file_by_pid_is_found(runtime: Path) -> None:
    with running([sys.executable, "-c", WAITS]) as process:
        file = runtime / f"kernel-{process.pid}.json"
        write_connection_file(str(file), ip="127.0.0.1")
        assert row_of(process.pid).connection_file == file
        file.unlink()


def test_a_stopped_kernel_is_refused(runtime: Path) -> None:
    with running(stand_in(runtime / "kernel-stopped.json")) as process:
        os.kill(process.pid, 19)
        try:
            until(lambda: not row_of(process.pid).attachable, "the stop")
            row = row_of(process.pid)
            assert "stopped" in row.why_not
            assert str(process.pid) in row.remedy
        finally:
            os.kill(process.pid, 18)


def test_a_program_with_an_f_option_of_its_own_is_no_kernel(tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    data.write_text('{"rows": []}')
    with running([sys.executable, "-c", WAITS, "-f", str(data)]) as process:
        context = discovery.resolve(str(process.pid))
    assert (context.connection_file, context.kernel_id) == (None, "")
    assert context.method == "pending-call"


def test_plain_python_is_bounded_and_shows_no_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "etl.py"
    script.write_text(WAITS)
    line = [sys.executable, str(script), "--password", "hunter2"]
    with running(line) as process, running(line):
        rows = [row for row in module.contexts() if row.kind == "python"]
        assert {process.pid, os.getpid()} & {row.pid for row in rows} == {process.pid}
        monkeypatch.setattr(module, "MOST_PLAIN_PROCESSES", 1)
        assert len([row for row in module.contexts() if row.kind == "python"]) == 1
        name = module._script_name(("python", str(script), "--password", "hunter2"))
        assert name == "etl.py"
    assert "hunter2" not in repr(rows)


def test_the_file_of_a_dead_kernel_is_left_over_and_named_as_such(runtime: Path) -> None:
    file = runtime / "kernel-0dead0.json"
    write_connection_file(str(file), ip="127.0.0.1")
    try:
        (row,) = [row for row in module.contexts() if row.connection_file == file]
        assert (row.kind, row.pid, row.attachable) == ("left-over", None, False)
        for target in (str(file), "0dead0"):
            with pytest.raises(TargetError, match="cannot attach") as caught:
                discovery.resolve(target)
            assert "has ended" in caught.value.cause
    finally:
        file.unlink()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"pid": "x", "url": 1}', '{"pid": 99999999, "url": "http://127.0.0.1:9/"}'],
)
def test_stale_and_broken_server_files_are_passed_over(runtime: Path, content: str) -> None:
    file = runtime / "jpserver-99999999.json"
    file.write_text(content)
    try:
        assert jupyter_files.running_servers([runtime], alive=[1]) == []
        module.contexts()
    finally:
        file.unlink()


def test_a_server_that_does_not_answer_costs_its_timeout_only(runtime: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        server = jupyter_files.Server(url=url, token="t", root="/", pid=1)
        start = time.monotonic()
        assert jupyter_files.sessions(server, timeout=0.2) == []
        assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:1/", "http://[::", "http://h:x/"])
def test_a_server_with_a_bad_address_has_no_sessions(url: str) -> None:
    assert jupyter_files.sessions(jupyter_files.Server(url, "t", "/", 1), timeout=0.2) == []


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("nowhere.ipynb", "running are|no Jupyter kernel"),
        ("99999999", "no such process"),
        (str(2**70), "no such process"),
        ("1", "not a Python process|not a Jupyter kernel|belongs to user"),
        ("/nowhere/kernel-1.json", "running are|no Jupyter kernel"),
        ("\udcff.ipynb", "running are|no Jupyter kernel"),
        ("0", "no such process"),
        ("~nobody-of-that-name/x", "running are|no Jupyter kernel"),
        ("x" * 5000, "running are|no Jupyter kernel"),
        ("..", "running are|no Jupyter kernel"),
    ],
)
def test_what_is_not_there_is_refused_with_cause_and_remedy(
    runtime: Path, target: str, cause: str
) -> None:

    with pytest.raises(TargetError) as caught:
        discovery.resolve(target)
    assert re.search(cause, caught.value.cause)
    assert caught.value.remedy


def test_a_file_that_is_no_connection_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "package.json"
    file.write_text("{}")
    with pytest.raises(TargetError, match="no connection file"):
        discovery.resolve(str(file))


def test_another_machine_is_refused_as_not_in_this_version() -> None:
    with pytest.raises(UsageError) as caught:
        discovery.resolve("ssh://hub.example/user/ada")
    assert "not in this version" in caught.value.cause


def test_a_close_name_is_offered(jupyter: Jupyter) -> None:
    with pytest.raises(TargetError) as caught:
        discovery.resolve("elt.ipynb")
    assert "etl.ipynb" in caught.value.remedy


def test_another_users_process_is_refused_with_both_users_named(vscode: Any) -> None:
    """As a user without rights, which only root can become; others look at process 1."""
    become, pid = ("os.setuid(65534)", vscode[1].pid) if os.geteuid() == 0 else ("", 1)
    code = (
        "import os, pwd, difflib, psutil\n"
        "from memprobe.targets import discovery, jupyter_files, live_sessions, kernel_argv\n"
        "import http.client, urllib.parse, encodings.idna\n"
        f"{become}\n"
        "try: discovery.resolve(%r)\n"
        "except discovery.TargetError as error: print('\\n'.join(error.lines()))\n" % str(pid)
    )
    environ = {**os.environ, "PYTHONPATH": SOURCES, "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=PATIENCE
    )
    assert f"cannot attach to process {pid}" in done.stdout, done.stderr
    assert "it belongs to user 0 (root), and this is user" in done.stdout
    assert "memprobe run" in done.stdout


def test_a_thread_of_a_kernel_is_refused_and_its_process_is_named(vscode: Any) -> None:
    pid = vscode[1].pid
    thread = next(int(each) for each in os.listdir(f"/proc/{pid}/task") if int(each) != pid)
    with pytest.raises(TargetError) as caught:
        discovery.resolve(str(thread))
    assert f"a thread of process {pid}" in caught.value.cause


def test_a_process_that_has_ended_but_was_not_collected_is_gone() -> None:
    with running([sys.executable, "-c", WAITS]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TargetError) as caught:
            discovery.resolve(str(process.pid))
    assert "no such process" in caught.value.cause


@pytest.mark.parametrize(("typed", "chosen"), [("2\n", 1), ("9\nx\n\n1\n", 0)])
def test_at_a_terminal_one_is_chosen_by_number(
    typed: str, chosen: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    rows = [row(pid=11, name="a.ipynb"), row(pid=12, name="b.ipynb")]
    assert discovery._ask(rows, discovery.Asked()) == chosen
    shown = capsys.readouterr()
    assert shown.out == ""
    assert all(part in shown.err for part in ("11", "12", "a.ipynb", "b.ipynb"))


def test_no_answer_at_the_terminal_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="no target"):
        discovery._ask([row(), row()], discovery.Asked())


def test_even_root_is_sent_to_become_the_kernels_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    argv = ["python3", "-c", "echo ready; read x", "-m", "ipykernel_launcher"]
    argv += ["-f", "/nonexistent/kernel-theirs.json"]
    with running(argv, executable="/bin/sh", user=65534) as process:
        theirs = row_of(process.pid)
        assert not theirs.attachable
        assert "belongs to user 65534" in theirs.why_not
        assert theirs.remedy == f"become that user: sudo -u '#65534' memprobe attach {process.pid}"


def test_without_proc_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot look for processes") as caught:
        require_proc(root=str(tmp_path))
    assert "/proc" in caught.value.cause
    assert caught.value.remedy


def test_ps_without_proc_says_so_and_exits_2() -> None:
    inner = 'mount -t tmpfs none /proc && exec "$0" -c "$1" ps'
    code = "import sys; from memprobe.cli import main; sys.exit(main())"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inner, sys.executable, code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
        timeout=PATIENCE,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine lets nobody hide /proc: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert "error: cannot look for processes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("python3", "-m", "ipykernel_launcher", "-f", "/r/kernel-1.json"), "/r/kernel-1.json"),
        (("python3.11", "-m", "ipykernel", "--f=/r/kernel-v2-1.json"), "/r/kernel-v2-1.json"),
        (
            ("/venv/bin/python", "/db/launch.py", "-f", "/db/kernel-connections/ab-1.json"),
            "/db/kernel-connections/ab-1.json",
        ),
        (
            ("python", "-m", "x", "--IPKernelApp.connection_file=/r/kernel-2.json"),
            "/r/kernel-2.json",
        ),
        (
            ("R", "--slave", "-e", "IRkernel::main()", "--args", "/r/kernel-3.json"),
            "/r/kernel-3.json",
        ),
        (("java", "-jar", "almond", "--connection-file", "/r/kernel-4.json"), "/r/kernel-4.json"),
        (("tail", "-f", "/r/kernel-5.json"), None),
        (("python3", "-m", "memprobe", "attach", "/r/kernel-6.json"), None),
        (("python3", "-m", "jupyter", "console", "--existing", "/r/kernel-7.json"), None),
        (("sh", "-c", "python -m ipykernel -f /r/kernel-8.json"), None),
        (("python3", "train.py", "-f"), None),
        ((), None),
    ],
)
def test_argv_names_the_connection_file(argv: tuple[str, ...], named: str | None) -> None:
    process = Process(2**22 + 1, None, argv, os.geteuid(), None, None)
    kernel = kernel_argv.as_kernel(process)
    assert (str(kernel.file) if kernel else None) == named


def ps(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from memprobe.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "ps", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES, "COLUMNS": "80", **environ},
        timeout=PATIENCE,
    )


def test_ps_fits_80_columns_and_shows_the_kernels(jupyter: Jupyter, vscode: Any) -> None:
    done = ps()
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    # Other tests, which run at the same time, may have one of that name too.
    shown = {line.split()[0] for line in done.stdout.splitlines() if "etl.ipynb" in line}
    assert {str(kernel_pid(jupyter.connection_file)), str(vscode[1].pid)} <= shown
    assert str(vscode[1].pid) in done.stdout
    assert "\x1b" not in done.stdout


def test_ps_as_json_has_every_row(jupyter: Jupyter) -> None:
    done = ps("--output-format", "json")
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    (row,) = [r for r in answer["contexts"] if r["kernel_id"] == jupyter.kernel_id]
    assert row["notebook"] == str(jupyter.notebook)
    assert row["attachable"] is True
    assert row["slope"] is None
    assert jupyter.token not in done.stdout


def test_ps_into_a_full_disk_is_one_clear_error() -> None:
    code = "import sys; from memprobe.cli import main; sys.exit(main())"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "ps"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCES},
            timeout=PATIENCE,
        )
    assert done.returncode == 2
    assert "memprobe itself failed" not in done.stderr


def row(**known: Any) -> ContextRow:
    gib = 1 << 30
    usual = {"kind": "kernel", "name": "etl.ipynb", "rss": gib, "limit": 16 * gib, "age": 90.0}
    return ContextRow(**{**usual, "pid": 4121, "attachable": True, **known})


def test_a_full_table_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = row(
        pid=4194303,
        name="nightly_customer_churn_features_v2.ipynb",
        rss=(1 << 30) - (1 << 20),
        limit_used=15 << 30,
        slope=3e6,
        spark="a long application name",
        probe="5b0c",
        state="busy",
    )
    refused = row(pid=77, attachable=False, why_not="because " * 20, remedy="do " * 40)
    text = ps_verb.as_text([long, row(), refused])
    assert max(map(len, text.splitlines())) <= 80
    assert "nightly_cust" in text
    words = ("4194303", "1023.0 MiB", "6.2 %", "6 min", "2 min", "busy", "yes", "because")
    assert [word for word in words if word not in text] == []


def test_a_column_that_says_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "SPARK" not in ps_verb.as_text([row()])
    assert "SPARK" in ps_verb.as_text([row(spark="nightly")])


def test_names_reach_neither_the_terminal_nor_rich_as_orders() -> None:
    text = ps_verb.as_text([row(name="\x1b[2J[red]etl.ipynb")])
    assert "\x1b" not in text
    assert "[red]etl.ipynb" in text


def test_nothing_to_attach_to_says_what_to_do() -> None:
    text = ps_verb.as_text([])
    assert "nothing to attach to: no Jupyter kernel runs here" in text
    refused = ps_verb.as_text([row(attachable=False, why_not="it is R", remedy="none")])
    assert "nothing to attach to: none of the kernels here" in refused
    assert "memprobe run" in text


def test_ps_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom memprobe.cli import main\nassert main(['ps']) == 0\n"
        "heavy = {'pandas', 'numpy', 'pyspark', 'databricks', 'textual', 'memray', 'zmq',\n"
        "         'jupyter_client', 'jupyter_core', 'IPython', 'nbformat', 'asyncio'}\n"
        "sys.exit(repr(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    environ = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
