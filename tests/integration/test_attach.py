"""Attach from outside: joined, left, replayed, and what happens when a kernel ends under it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernels import PATIENCE, Kernel
from running import INTERRUPTED_HOST

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.errors import RecordingError, TargetError
from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Event, Marker, Sample, Snapshot
from memprobe.targets.kernel import Attachment, AttachOptions, _refuse_foreign, attach
from memprobe.targets.live_sessions import session_bases

LONG = 1000.0  # seconds
# memprobe, but that it gives a probe more time to leave than any test has.
PATIENT_HOST = (
    "import sys; from memprobe.cli import main; from memprobe.targets import kernel; "
    f"kernel.LEAVE = {LONG}; sys.exit(main())"
)
CELLS = [
    "import numpy as np, pandas as pd",
    "orders = pd.DataFrame(np.ones((1_000_000, 4)))",
    "def total():\n    return float(orders.to_numpy().sum())",
    "prices = pd.DataFrame(np.ones((1_000_000, 3)))",
    "mean = prices.to_numpy().mean()",
    *(f"step = {n}" for n in range(5)),
    "total()",
    "step = 99",
]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        for cell in CELLS:
            running.run(cell)
        yield running


def _attach(kernel: Kernel, path: Path, **options: object) -> Attachment:
    chosen = AttachOptions(output=path, program="etl.ipynb", **options)  # type: ignore[arg-type]
    return attach(kernel.connection_file, kernel.pid, chosen)


def _has(kind: type) -> object:
    return lambda records: any(isinstance(record, kind) for record in records)


def test_cells_of_before_are_replayed_and_judged(kernel: Kernel, tmp_path: Path) -> None:
    attachment = _attach(kernel, tmp_path / "a.memprobe")
    kernel.wait_for(attachment, _has(Snapshot))
    attachment.detach()
    recording = read(tmp_path / "a.memprobe")
    replayed = [marker for marker in recording.markers if marker.phase == "replay"]
    assert [marker.cell for marker in replayed] == list(range(1, len(CELLS) + 1))
    assert {marker.source for marker in replayed} == {"history"}
    report = build.report(recording, Config())
    found = {finding.code: finding for finding in report.findings}
    # `orders` is read by the function that a late cell calls; `prices` by nothing since cell 5.
    assert list(found) == ["MP202"]
    assert [holder.expr for one in report.findings for holder in one.holders] == ["prices"]
    assert found["MP202"].exclusive_bytes == pytest.approx(24_000_000, rel=0.01)
    assert found["MP202"].created is not None
    assert found["MP202"].created.cell == 4
    assert found["MP202"].last_used is not None
    assert found["MP202"].last_used.cell == 5
    assert recording.path.stat().st_mode & 0o777 == 0o600


def test_a_notebook_of_vs_code_tells_its_name_from_inside(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("__vsc_ipynb_file__ = '/home/somebody/etl prices.ipynb'")
    options = AttachOptions(output=tmp_path / "v.memprobe", program="0b1c-kernel-id")
    attachment = attach(kernel.connection_file, kernel.pid, options)
    attachment.detach()
    kernel.run("del __vsc_ipynb_file__")
    assert read(tmp_path / "v.memprobe").header.program == "etl prices.ipynb"


def test_a_real_recording_cut_at_any_byte_loses_at_most_its_last_line(
    kernel: Kernel, tmp_path: Path
) -> None:
    attachment = _attach(kernel, tmp_path / "w.memprobe")
    kernel.wait_for(attachment, _has(Snapshot))
    attachment.detach()
    whole = (tmp_path / "w.memprobe").read_bytes()
    lines = whole.split(b"\n")
    first = len(lines[0])
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    near = {end + away for end in ends for away in range(-8, 9)}
    sizes = {*range(first), *near, *range(0, len(whole), 17)}  # each one would take a minute
    for size in sorted(sizes & set(range(len(whole)))):
        (tmp_path / "cut.memprobe").write_bytes(whole[:size])
        if size < first:
            with pytest.raises(RecordingError):
                read(tmp_path / "cut.memprobe")
            continue
        cut = read(tmp_path / "cut.memprobe")
        kinds = (cut.samples, cut.markers, cut.snapshots, cut.events, cut.accounts)
        records = sum(map(len, kinds))
        complete = whole[:size].count(b"\n")
        assert records + 1 + (cut.end is not None) >= complete


def test_a_cell_is_followed_while_it_runs(kernel: Kernel, tmp_path: Path) -> None:
    attachment = _attach(kernel, tmp_path / "b.memprobe")
    kernel.wait_for(attachment, _has(Snapshot))
    kernel.run("blocks = [np.ones(30_000_000 // 8)]\nprices.sum()")
    markers = kernel.wait_for(
        attachment, lambda rs: any(isinstance(r, Marker) and r.phase == "end" for r in rs)
    )
    attachment.detach()
    kernel.run("del blocks")
    end = next(m for m in markers if isinstance(m, Marker) and m.phase == "end")
    assert end.bound == {"blocks": 1}
    assert "prices" in end.used
    assert end.seconds is not None
    assert end.peak is not None
    assert end.peak_by == "kernel"
    assert end.shows


def test_a_second_client_joins_and_the_probe_stays_for_it(kernel: Kernel, tmp_path: Path) -> None:
    first = _attach(kernel, tmp_path / "c.memprobe")
    second = _attach(kernel, tmp_path / "d.memprobe")
    assert not first.joined
    assert second.joined
    kernel.wait_for(second, _has(Snapshot))
    first.detach()
    reply = second.ask("status", timeout=PATIENCE)
    assert reply is not None
    assert reply["result"]["clients"] == [second.client]
    second.detach()
    assert (
        kernel.value("sorted(m for m in __import__('sys').modules if m.startswith('memprobe'))")
        == []
    )
    for name in ("c", "d"):
        assert build.report(read(tmp_path / f"{name}.memprobe"), Config()).findings
    assert not first.folder.path.exists()


def test_a_probe_without_a_client_leaves_by_itself(kernel: Kernel, tmp_path: Path) -> None:
    attachment = _attach(kernel, tmp_path / "e.memprobe", lease=0.3)
    attachment._next_lease = float("inf")  # a closed laptop renews nothing
    events = kernel.wait_for(attachment, lambda _: attachment.ended is not None)
    attachment.detach()
    assert "lease-expired" in [r.event for r in events if isinstance(r, Event)]
    assert attachment.ended is not None
    assert attachment.ended.reason == "lease-expired"
    assert kernel.value("[m for m in __import__('sys').modules if m.startswith('memprobe')]") == []


def test_a_snapshot_that_would_take_too_long_is_skipped_and_said(
    kernel: Kernel, tmp_path: Path
) -> None:
    attachment = _attach(kernel, tmp_path / "f.memprobe", max_pause=0.00001)
    kernel.wait_for(attachment, _has(Snapshot))
    attachment.detach()
    report = build.report(read(tmp_path / "f.memprobe"), Config())
    assert any("--max-pause" in gap.why for gap in report.not_measured), report.not_measured


def test_memory_is_read_from_outside_while_c_code_holds_the_gil(
    kernel: Kernel, tmp_path: Path
) -> None:
    attachment = _attach(kernel, tmp_path / "g.memprobe", interval=0.1)
    kernel.wait_for(attachment, _has(Snapshot))
    gate, held = tmp_path / "gate", tmp_path / "held"
    os.mkfifo(gate)
    # PyDLL does not release the GIL around a call, and this one waits for who writes.
    holding = kernel.start_cell(
        f"import ctypes; call = ctypes.PyDLL(None).open; open({str(held)!r}, 'w').close()\n"
        f"gate = call({os.fsencode(gate)!r}, {os.O_RDONLY})"
    )
    kernel.wait_for(attachment, lambda _: held.exists())
    begun = time.monotonic_ns()

    def outside() -> list[int]:
        samples = read(tmp_path / "g.memprobe").samples
        return [one.t for one in samples if one.by == "host" and one.rss and one.t > begun]

    kernel.wait_for(attachment, lambda _: len(outside()) >= 8)
    gate.write_text("")
    kernel.finish(holding)
    attachment.detach()
    kernel.run("__import__('os').close(gate); del gate, call, ctypes")


def test_values_never_reach_the_recording(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("secret = {'password-key': 'hunter2'}; notes = pd.DataFrame({'salary-col': [1]})")
    attachment = _attach(kernel, tmp_path / "h.memprobe")
    kernel.wait_for(attachment, _has(Snapshot))
    kernel.run("token = 'hunter3' * 2_000_000  # a comment with hunter4")
    kernel.wait_for(
        attachment, lambda rs: any(isinstance(r, Marker) and r.phase == "end" for r in rs)
    )
    attachment.detach()
    kernel.run("del token, secret, notes")
    text = (tmp_path / "h.memprobe").read_text()
    assert "token" in text
    for private in ("hunter", "password-key", "salary-col", "comment"):
        assert private not in text


def test_the_command_records_for_a_duration_and_reports(kernel: Kernel, tmp_path: Path) -> None:
    done = _memprobe(
        "attach", str(kernel.pid), "--duration", "1", "--output-format", "json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = [one for one in json.loads(done.stdout)["findings"] if one["status"] != "advice"]
    assert {one["code"] for one in found} == {"MP202"}
    recordings = list(tmp_path.glob("*.memprobe"))
    assert len(recordings) == 1
    assert "attached to" in done.stderr


def test_a_second_attach_does_not_touch_the_recording_of_the_first(
    kernel: Kernel, tmp_path: Path
) -> None:
    for _ in range(2):
        done = _memprobe("attach", str(kernel.pid), "--duration", "0.5", "-q", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("memprobe-*.memprobe"))) == 2


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_is_the_normal_end_of_an_attach(kernel: Kernel, tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "memprobe", "attach", str(kernel.connection_file)]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "attached to" in process.stderr.readline()
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "prices" in out


def test_ctrl_c_between_reading_and_writing_loses_nothing(kernel: Kernel, tmp_path: Path) -> None:
    words = ["attach", str(kernel.pid), "-o", "i.memprobe", "--output-format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_HOST, *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "leaving" in done.stderr
    recording = read(tmp_path / "i.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert [snapshot.reason for snapshot in recording.snapshots] == ["attach", "detach"]
    found = [one for one in json.loads(done.stdout)["findings"] if one["status"] != "advice"]
    assert {one["code"] for one in found} == {"MP202"}


def test_a_second_ctrl_c_does_not_wait_for_a_kernel_that_is_stuck(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.run("data = list(range(1_000_000)); import ctypes")
        words = ["attach", str(kernel.pid), "-o", "j.memprobe"]
        command = [sys.executable, "-c", PATIENT_HOST, *words]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert "attached to" in process.stderr.readline()
        os.kill(kernel.pid, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            assert "leaving" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            os.kill(kernel.pid, signal.SIGCONT)
        assert process.returncode == 0, err
        assert "does not answer" in err
        recording = read(tmp_path / "j.memprobe")
        assert recording.end is not None
        # Nobody follows it any more; the kernel obeys once it runs again.
        probe = "[m for m in __import__('sys').modules if m.startswith('memprobe')]"
        deadline = time.monotonic() + PATIENCE
        while kernel.value(probe) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert kernel.value(probe) == []
    for base in session_bases():  # hurried as it was, it could not wait to remove this
        shutil.rmtree(base / recording.header.session, ignore_errors=True)


def test_detach_takes_the_probe_out_whoever_put_it_there(kernel: Kernel, tmp_path: Path) -> None:
    attachment = _attach(kernel, tmp_path / "i.memprobe")
    kernel.wait_for(attachment, _has(Snapshot))
    done = _memprobe("detach", str(kernel.pid), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kernel.wait_for(attachment, lambda _: attachment.ended is not None)
    attachment.detach()
    assert kernel.value("[m for m in __import__('sys').modules if m.startswith('memprobe')]") == []
    again = _memprobe("detach", str(kernel.pid), cwd=tmp_path)
    assert again.returncode == 0
    assert "no probe" in again.stderr


def test_a_disk_that_is_full_is_known_before_the_kernel_is_entered(kernel: Kernel) -> None:
    with pytest.raises(RecordingError):
        _attach(kernel, Path("/dev/full"))
    assert kernel.value("[m for m in __import__('sys').modules if m.startswith('memprobe')]") == []


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_a_kernel_that_ends_under_it_still_gives_a_report(tmp_path: Path, how: str) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.run("data = list(range(1_000_000)); get_ipython()")
        attachment = _attach(kernel, tmp_path / "r.memprobe")
        kernel.wait_for(attachment, lambda rs: _has(Snapshot)(rs) and _has(Sample)(rs))  # type: ignore[operator]
        if how == "killed":
            os.kill(kernel.pid, signal.SIGKILL)
        else:
            kernel.restart()
        kernel.wait_for(attachment, lambda _: attachment.ended is not None)
        attachment.detach()
    recording: Recording = read(tmp_path / "r.memprobe")
    assert recording.end is not None
    assert recording.end.reason == {"killed": "kernel-died", "restarted": "kernel-restarted"}[how]
    report = build.report(recording, Config())
    assert "data" in [expr for row in report.holders for expr in row.exprs]


@pytest.mark.parametrize("version", ["3.9.18", "3.9", "2.7.18"])
def test_a_kernel_with_an_old_python_is_refused_before_it_is_entered(version: str) -> None:
    info = {"implementation": "ipython", "language_info": {"name": "python", "version": version}}
    with pytest.raises(TargetError) as caught:
        _refuse_foreign(info, "kernel-old.json")
    assert "3.10" in caught.value.cause


@pytest.mark.parametrize("version", ["3.10.13", "3.13.0", "3.14", ""])
def test_a_kernel_with_a_newer_python_or_none_told_is_entered(version: str) -> None:
    info = {"implementation": "ipython", "language_info": {"name": "python", "version": version}}
    _refuse_foreign(info, "kernel-new.json")


def test_a_kernel_that_does_not_answer_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        os.kill(kernel.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TargetError) as caught:
                _attach(kernel, tmp_path / "s.memprobe", timeout=0.5)
        finally:
            os.kill(kernel.pid, signal.SIGCONT)
        # What was asked for too late does nothing when the kernel wakes up.
        assert (
            kernel.value("[m for m in __import__('sys').modules if m.startswith('memprobe')]") == []
        )
    assert caught.value.cause
    assert caught.value.remedy
    assert not (tmp_path / "s.memprobe").exists()


def _memprobe(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *words],
        cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
