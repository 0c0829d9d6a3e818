"""``memprobe snapshot``: one look at a running context, a report, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from kernels import PATIENCE, Kernel
from running import memprobe_run
from traces import FINGERPRINT, SETUP, differences

from memprobe.recording.reader import read
from memprobe.targets.kernel import Attachment, AttachOptions, attach

LOOP = """
import os, sys
rows = [str(number) * 20 for number in range(200_000)]
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    [[number] for number in range(2000)]
"""
SLEEP = """
import sys
rows = [str(number) * 20 for number in range(200_000)]
print("ready", flush=True)
open(sys.argv[1]).read()
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        running.run(SETUP)
        running.run(FINGERPRINT)
        # A first client on the control channel makes ipykernel open an eventfd and keep it.
        running.control_info()
        running.run("print('so does the first text from the main thread')")
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a working directory whose temporary folder is its own: what is left shows."""
    (tmp_path / "tmp").mkdir()
    yield tmp_path
    base = tmp_path / "tmp" / f"memprobe-{os.getuid()}"
    assert sorted((tmp_path / "tmp").rglob("*")) in ([], [base])


def environment(place: Path) -> dict[str, str]:
    env = {**os.environ, "TMPDIR": str(place / "tmp")}
    env.pop("XDG_RUNTIME_DIR", None)
    return env


def snapshot(place: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", "snapshot", *map(str, words)],
        cwd=place, env=environment(place), capture_output=True, text=True, timeout=PATIENCE,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def probes(kernel: Kernel) -> object:
    return kernel.value("[m for m in __import__('sys').modules if m.startswith('memprobe')]")


def test_an_idle_kernel_is_looked_at_and_is_as_before(kernel: Kernel, place: Path) -> None:
    before = kernel.value("_describe()")
    done = snapshot(place, kernel.connection_file)
    assert done.returncode == 0, done.stderr
    assert "big" in done.stdout
    assert "DataFrame" in done.stdout
    assert differences(before, kernel.value("_describe()")) == {}
    assert list(place.iterdir()) == [place / "tmp"]


def test_a_busy_kernel_is_looked_at_and_is_as_before(kernel: Kernel, place: Path) -> None:
    before = kernel.value("_describe()")
    gate = place / "gate"
    os.mkfifo(gate)
    waiting = kernel.start_cell(
        "local = [numpy.ones(3_000_000)]\nprint('running', flush=True)\n"
        f"with open({str(gate)!r}) as file: file.read()\ndel local, file"
    )
    kernel.wait_for_output(waiting, "running")
    done = snapshot(place, kernel.pid, "--output-format", "json", "-q")
    gate.write_text("x")
    kernel.finish(waiting)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    held = {expr: row["exclusive_bytes"] for row in report["holders"] for expr in row["exprs"]}
    assert held["local"] == pytest.approx(24_000_000, rel=0.01)
    assert held["big"] == pytest.approx(24_000_000, rel=0.01)
    assert report["recording"]["path"] == ""
    assert differences(before, kernel.value("_describe()")) == {}
    gate.unlink()


def test_exactly_one_snapshot_is_taken_and_kept_where_asked(kernel: Kernel, place: Path) -> None:
    done = snapshot(place, kernel.pid, "-o", "kept.memprobe")
    assert done.returncode == 0, done.stderr
    assert "recording: kept.memprobe" in done.stderr
    recording = read(place / "kept.memprobe")
    assert [one.reason for one in recording.snapshots] == ["request"]
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert recording.samples
    again = snapshot(place, kernel.pid, "-o", "kept.memprobe")
    assert (again.returncode, again.stdout) == (2, "")
    assert "--force" in again.stderr


@pytest.fixture
def attached(kernel: Kernel, place: Path) -> Iterator[Attachment]:
    options = AttachOptions(output=place / "a.memprobe", max_pause=0.00001)
    attachment = attach(kernel.connection_file, kernel.pid, options)
    yield attachment
    attachment.detach()
    assert probes(kernel) == []


def test_a_probe_that_is_there_is_asked_and_stays(
    kernel: Kernel, attached: Attachment, place: Path
) -> None:
    # Its own snapshots are skipped, this one is not: the pause is ours to allow.
    done = snapshot(place, kernel.pid, "--max-pause", "5")
    assert done.returncode == 0, done.stderr
    assert "big" in done.stdout
    status = attached.ask("status")
    assert status is not None
    assert status["result"]["clients"] == [attached.client]
    attached.poll()
    taken = [one for one in read(place / "a.memprobe").snapshots if one.skipped is None]
    assert [one.reason for one in taken] == ["request"]


def test_a_snapshot_that_would_take_too_long_is_no_measurement(kernel: Kernel, place: Path) -> None:
    done = snapshot(place, kernel.pid, "--max-pause", "0.00001", "-o", "none.memprobe")
    assert (done.returncode, done.stdout) == (5, "")
    assert "skipped" in done.stderr
    assert "--max-pause" in done.stderr
    assert probes(kernel) == []


def test_a_kernel_whose_gil_is_held_is_left_alone(kernel: Kernel, place: Path) -> None:
    gate = place / "gate"
    os.mkfifo(gate)
    # PyDLL does not release the GIL around read.
    holding = kernel.start_cell(
        f"import ctypes\nfd = os.open({str(gate)!r}, os.O_RDWR)\n"
        f"read = ctypes.PyDLL(None).read\nopen({str(place / 'holding')!r}, 'w').close()\n"
        "read(fd, ctypes.create_string_buffer(1), 1)\nos.close(fd)"
    )
    wait_until((place / "holding").exists)  # what it prints would need the GIL to reach us
    try:
        done = snapshot(place, kernel.pid, "--timeout", "0.5")
    finally:
        gate.write_text("x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "GIL" in done.stderr
    kernel.finish(holding)
    assert probes(kernel) == []


@contextmanager
def running(place: Path, program: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a program under memprobe until its gate is opened; yield the host and the gate."""
    (place / "job.py").write_text(program)
    gate = place / "gate"
    line = memprobe_run(place / "run.memprobe", "job.py", str(gate))
    with subprocess.Popen(
        line, cwd=place, env=environment(place), stdout=subprocess.PIPE, text=True
    ) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
            yield host, gate
        finally:
            host.terminate()  # passed on to the script, where both still run


def test_a_script_under_memprobe_run_is_looked_at_and_goes_on(place: Path) -> None:
    with running(place, LOOP) as (host, gate):
        by_name = snapshot(place, "job.py", "-o", "kept.memprobe")
        (script,) = psutil.Process(host.pid).children()
        by_pid = snapshot(place, script.pid, "--output-format", "concise")
        by_host = snapshot(place, host.pid, "-q", "--output-format", "json")
        gate.touch()
        assert host.wait(PATIENCE) == 0
    assert by_name.returncode == 0, by_name.stderr
    assert "rows" in by_name.stdout
    assert by_pid.returncode == 0, by_pid.stderr
    assert json.loads(by_host.stdout)["recording"]["pid"] == script.pid
    kept = read(place / "kept.memprobe")
    assert kept.snapshots[-1].reason == "request"
    assert kept.end is not None
    assert kept.end.reason == "detach"
    whole = read(place / "run.memprobe")
    assert [one.reason for one in whole.snapshots].count("request") == 3
    assert whole.end is not None
    assert whole.end.status == 0


def test_a_script_that_waits_says_why_there_is_no_snapshot(place: Path) -> None:
    os.mkfifo(place / "gate")
    with running(place, SLEEP) as (host, gate):
        done = snapshot(place, "job.py", "--timeout", "0.3")
        gate.write_text("")
        assert host.wait(PATIENCE) == 0
    assert (done.returncode, done.stdout) == (5, "")
    assert "collects garbage" in done.stderr
    assert "--timeout" in done.stderr
    # The request went with who made it.
    assert "request" not in [one.reason for one in read(place / "run.memprobe").snapshots]


def test_ctrl_c_leaves_no_report_and_nothing_behind(place: Path) -> None:
    os.mkfifo(place / "gate")
    line = [sys.executable, "-m", "memprobe", "snapshot", "job.py"]
    with running(place, SLEEP) as (host, gate):
        looking = subprocess.Popen(
            line, cwd=place, env=environment(place), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        copies = "tmp/memprobe-snapshot-*/*"
        wait_until(lambda: any(one.stat().st_size for one in place.glob(copies)))
        looking.send_signal(signal.SIGINT)
        out, err = looking.communicate(timeout=PATIENCE)
        gate.write_text("")
        assert host.wait(PATIENCE) == 0
    assert (looking.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_notebook_that_memprobe_runs_is_joined(place: Path) -> None:
    gate = place / "gate"
    os.mkfifo(gate)
    cells = [
        "kept = [str(number) * 20 for number in range(100_000)]\nprint('ready', flush=True)\n"
        f"with open({str(gate)!r}) as file: file.read()"
    ]
    written = [
        {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [],
         "source": source}
        for source in cells
    ]  # fmt: skip
    book = {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (place / "watched.ipynb").write_text(json.dumps(book))
    with subprocess.Popen(
        memprobe_run(place / "run.memprobe", "watched.ipynb"),
        cwd=place, env=environment(place), stdout=subprocess.PIPE, text=True,
    ) as host:  # fmt: skip
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        done = snapshot(place, "watched.ipynb")
        gate.write_text("")
        assert host.wait(PATIENCE) == 0
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    assert "request" in [one.reason for one in read(place / "run.memprobe").snapshots]


def test_a_plain_python_process_that_waits_is_asked_in_vain(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as plain:
        done = snapshot(place, plain.pid, "--timeout", "3")
        plain.communicate(b"\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"process {plain.pid} did not let the probe in within 3 s" in done.stderr
    assert "the request was withdrawn" in done.stderr
