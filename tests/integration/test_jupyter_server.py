"""A kernel behind a Jupyter Server, with nothing of its machine to be seen but what it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import PATIENCE
from servers import Browser, JupyterServer, browser

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.errors import TargetError
from memprobe.recording.reader import read
from memprobe.recording.schema import Marker, Sample, Snapshot
from memprobe.targets import jupyter_server, server_choice, snapshot
from memprobe.targets.discovery import resolve
from memprobe.targets.entering import attach_to
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.jupyter_server import RemoteAttachment
from memprobe.targets.kernel import AttachOptions

# memprobe on a machine that does not run the kernel.
FAR = (
    "import sys; from memprobe.targets import server_choice; server_choice._here = list; "
    "from memprobe.cli import main; sys.exit(main())"
)
QUICK = 0.1  # seconds between two questions
# All that a probe could leave behind in a kernel: names, hooks, modules, handlers, threads, files.
TRACES = (
    "[sorted(n for n in globals() if not n.startswith('_i')), "
    "sorted(n for n in __import__('sys').modules if 'memprobe' in n), "
    "sorted(get_ipython().kernel.control_handlers), "
    "{k: len(v) for k, v in get_ipython().events.callbacks.items()}, "
    "len(__import__('sys')._current_frames()), "
    "sum(1 for f in __import__('os').listdir('/proc/self/fd') "
    "if 'memprobe' in __import__('os').path.realpath('/proc/self/fd/' + f))]"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def kernel_id(server: JupyterServer) -> str:
    return server.open_notebook()


@pytest.fixture(scope="module")
def page(server: JupyterServer, kernel_id: str) -> Iterator[Browser]:
    with browser(server, kernel_id) as open_page:
        open_page.run("import numpy as np\nkept = np.ones(3_000_000)")
        yield open_page


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, server: JupyterServer) -> None:
    """Hide the kernel's process, so that nothing can be read of it."""
    monkeypatch.setattr(server_choice, "_here", list)
    monkeypatch.setenv("JUPYTER_TOKEN", server.token)


def _attach(server: JupyterServer, path: Path, **options: Any) -> RemoteAttachment:
    context = resolve(f"{server.url}lab/tree/team/etl.ipynb")
    assert context.pid == 0
    assert context.connection_file is None
    chosen = AttachOptions(output=path, program="etl.ipynb", pull=QUICK, **options)
    attachment = attach_to(context, chosen)
    assert isinstance(attachment, RemoteAttachment)
    return attachment


def _wait(attachment: RemoteAttachment, enough: Callable[[list[Any]], bool]) -> list[Any]:
    records: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(records):
        assert time.monotonic() < deadline, records
        records += attachment.poll()
        time.sleep(0.02)
    return records


def _has(kind: type) -> Callable[[list[Any]], bool]:
    return lambda records: any(isinstance(record, kind) for record in records)


def _until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _folders(server: JupyterServer) -> list[str]:
    base = server.folder / "memprobe"
    return sorted(os.listdir(base)) if base.exists() else []


def test_recording_comes_back_and_the_kernel_is_as_before(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    before = page.value(TRACES)
    attachment = _attach(server, tmp_path / "a.memprobe")
    _wait(attachment, _has(Snapshot))
    page.run("seen = 1\ndel seen")
    _wait(attachment, lambda records: any(
        isinstance(r, Marker) and r.phase == "end" and r.source == "hook" for r in records
    ))  # fmt: skip
    assert page.value(TRACES) != before  # else the comparison below could not fail
    assert attachment.detach()
    assert _folders(server) == []
    _until(lambda: page.value(TRACES) == before)  # its thread may need a moment for its last step
    recording = read(tmp_path / "a.memprobe")
    assert recording.header.method == "server"
    assert recording.header.pid == page.value("__import__('os').getpid()")
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert {sample.by for sample in recording.samples} == {"probe"}
    assert all(sample.rss for sample in recording.samples)
    held = {one.exprs[0]: one for one in build.report(recording, Config()).holders}
    assert held["kept"].exclusive_bytes == pytest.approx(24_000_000, rel=0.01)
    assert not recording.torn
    assert not recording.warnings
    assert build.report(recording, Config()).recording.rss


def test_native_walker_travels_with_the_probe(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    if "built" not in jupyter_server.walker_file.carried():
        pytest.skip("the native walker is not built here")
    attachment = _attach(server, tmp_path / "a.memprobe")
    found = _wait(attachment, _has(Snapshot))
    attachment.detach()
    assert [r.engine for r in found if isinstance(r, Snapshot)] == ["native"]


def test_busy_kernel_answers_and_its_cell_does_not_notice(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    number = page.start(
        f"import os, time\nprint('begun', flush=True)\nn = 0\n"
        f"while not os.path.exists({str(stop)!r}):\n    n += 1\nprint('over')"
    )
    page.wait_for_output(number, "begun")
    attachment = _attach(server, tmp_path / "a.memprobe")
    found = _wait(attachment, _has(Snapshot))
    assert [r.busy for r in found if isinstance(r, Snapshot)] == [True]
    asked = time.monotonic()
    assert attachment.ask("status") is not None
    print(f"answer of a busy kernel: {(time.monotonic() - asked) * 1e3:.0f} ms")
    assert attachment.detach()
    stop.touch()
    reply, text = page.finish(number)
    assert reply["status"] == "ok"
    assert text == "over\n"


def test_second_client_joins_and_the_first_goes_on(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    first = _attach(server, tmp_path / "a.memprobe")
    second = _attach(server, tmp_path / "b.memprobe")
    assert (first.joined, second.joined) == (False, True)
    _wait(second, _has(Sample))  # it has what was recorded before it came
    assert second.detach()
    _wait(first, _has(Sample))
    assert first.ended is None
    assert first.detach()
    assert read(tmp_path / "b.memprobe").header == read(tmp_path / "a.memprobe").header
    assert _folders(server) == []


def test_one_snapshot_of_a_probe_that_is_there(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    watching = _attach(server, tmp_path / "a.memprobe")
    _wait(watching, _has(Snapshot))
    context = resolve(f"{server.url}etl")
    options = AttachOptions(output=tmp_path / "b.memprobe")
    with Interrupts() as interrupts:
        assert snapshot.of_attached(lambda chosen: attach_to(context, chosen), options, interrupts)
    taken = read(tmp_path / "b.memprobe").snapshots
    assert [one.reason for one in taken][-1] == "request"
    assert watching.ended is None
    watching.detach()


def test_nobody_left_behind_when_the_host_vanishes(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    before = page.value(TRACES)
    attachment = _attach(server, tmp_path / "a.memprobe", lease=1.0)
    _wait(attachment, _has(Sample))
    attachment._socket.close()  # a closed laptop
    _until(lambda: page.value(TRACES) == before)
    _until(lambda: _folders(server) == [])


def test_connection_that_breaks_is_made_again(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    attachment = _attach(server, tmp_path / "a.memprobe")
    _wait(attachment, _has(Snapshot))
    attachment._socket._loop.call_soon_threadsafe(attachment._socket._link.close)
    _until(lambda: attachment.poll() or attachment._socket.closed)
    _wait(attachment, _has(Sample))
    assert attachment.ended is None
    assert attachment.detach()
    recording = read(tmp_path / "a.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert not recording.warnings


def test_detach_from_elsewhere(server: JupyterServer, page: Browser, tmp_path: Path) -> None:
    remote = resolve(f"{server.url}etl").remote
    assert remote is not None
    assert jupyter_server.detach_all(remote) is None
    attachment = _attach(server, tmp_path / "a.memprobe")
    _wait(attachment, _has(Snapshot))
    assert jupyter_server.detach_all(remote) is True
    _wait(attachment, lambda records: attachment.ended is not None)
    assert attachment.ended is not None
    assert attachment.ended.reason == "detach"
    attachment.close()


def test_wrong_token_and_hosts_that_are_not_there(
    server: JupyterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "not-the-token-4711"
    with pytest.raises(TargetError, match="refuses the token") as refused:
        resolve(f"{server.url}etl?token={wrong}")
    monkeypatch.delenv("JUPYTER_TOKEN")
    with pytest.raises(TargetError, match="refuses the token"):
        resolve(f"{server.url}etl")
    with pytest.raises(TargetError, match="cannot reach") as closed:
        resolve(f"http://127.0.0.1:9/?token={wrong}")
    with pytest.raises(TargetError, match="cannot reach") as unknown:
        resolve(f"http://nowhere.invalid/?token={wrong}")
    with pytest.raises(TargetError, match="no Jupyter Server") as other:
        resolve(f"http://127.0.0.1:{server.port}/other/?token={wrong}")
    assert closed.value.cause == "connection refused"
    for raised in (refused, closed, unknown, other):
        assert wrong not in "\n".join(raised.value.lines())
        assert raised.value.cause
        assert raised.value.remedy


def test_kernel_whose_output_would_be_lost_is_refused(
    server: JupyterServer, tmp_path: Path
) -> None:
    alone = server.open_notebook("alone.ipynb")
    context = resolve(f"{server.url}{alone}")
    options = AttachOptions(output=tmp_path / "a.memprobe", pull=QUICK)
    with pytest.raises(TargetError, match="no browser is connected"):
        attach_to(context, options)
    assert not options.output.exists()
    attachment = attach_to(context, options, drop_output=True)
    assert attachment.detach()
    server.ask("DELETE", f"api/kernels/{alone}")


def test_token_is_in_nothing_that_is_written(
    server: JupyterServer, page: Browser, tmp_path: Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "JUPYTER_TOKEN"}
    environment["TMPDIR"] = str(tmp_path)
    secret = f"{server.url}etl.ipynb?token={server.token}"
    for arguments in (
        ["ps", secret], ["ps", secret, "--output-format", "json"],
        ["snapshot", secret, "-o", str(tmp_path / "s.memprobe"), "--output-format", "json"],
        ["attach", secret, "--duration", "1", "-o", str(tmp_path / "a.memprobe")],
        ["detach", secret], ["attach", secret.replace("etl", "none")],
        ["attach", secret, "-o", "/nowhere/a"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", FAR, *arguments],
            env=environment, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == (2 if "none" in arguments[1] or "/nowhere/a" in arguments else 0)
        assert done.stdout or done.stderr
        assert server.token.encode() not in done.stdout + done.stderr, arguments
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"s.memprobe", "a.memprobe"} <= {file.name for file in written}
    for file in [*written, server.log]:
        assert server.token.encode() not in file.read_bytes(), file


def test_kernel_restarted_under_it(server: JupyterServer, tmp_path: Path) -> None:
    mortal = server.open_notebook("mortal.ipynb")
    with browser(server, mortal) as page:
        options = AttachOptions(output=tmp_path / "a.memprobe", pull=QUICK)
        attachment = attach_to(resolve(f"{server.url}{mortal}"), options)
        _wait(attachment, _has(Snapshot))  # type: ignore[arg-type]
        os.kill(page.value("__import__('os').getpid()"), signal.SIGKILL)
        _until(lambda: attachment.poll() or attachment.ended)
        _until(lambda: attachment.poll() or attachment.ended is not None)
        attachment.detach()
        assert attachment.ended is not None
        assert attachment.ended.reason == "kernel-restarted"
    server.ask("DELETE", f"api/kernels/{mortal}")


def test_server_that_ends_leaves_a_whole_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JupyterServer(tmp_path / "own") as own:
        monkeypatch.setenv("JUPYTER_TOKEN", own.token)
        kernel_id = own.open_notebook()
        with browser(own, kernel_id):
            attachment = _attach(own, tmp_path / "a.memprobe", lease=4.0)
            _wait(attachment, _has(Snapshot))
    _until(lambda: attachment.poll() or attachment.ended is not None)
    attachment.detach()
    recording = read(tmp_path / "a.memprobe")
    assert recording.end is not None
    assert recording.end.reason in ("connection-lost", "exit", "kernel-died")
    assert recording.snapshots
    assert not recording.torn
