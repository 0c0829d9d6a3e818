"""What ``memprobe run`` records of a program, however that program ends."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import (
    HOST,
    INTERRUPTED_HOST,
    PROGRAMS,
    bare_environment,
    behave,
    both,
    memprobe_run,
    was_probed,
)

from memprobe.errors import RecordingError
from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Snapshot

DEADLINE = 120.0  # seconds for something that takes a moment, on a machine busy with others


def until(met: Callable[[], object], what: str) -> None:
    """Wait until ``met()`` is true; fail with ``what`` otherwise."""
    deadline = time.monotonic() + DEADLINE
    while not met():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def running(path: Path, *target: str, options: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """A run whose target waits for a line on its standard input."""
    with subprocess.Popen(
        memprobe_run(path, *target, options=options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROGRAMS,
        env=bare_environment(MEMPROBE_CPU_SHARE="5%"),
    ) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
            yield host
        finally:
            if host.poll() is None:
                host.kill()


def pid_of_target(path: Path) -> int:
    """Wait for the recording's header and return the target's pid."""
    until(lambda: has_records(path, "header"), "the header")
    return read(path).header.pid


def has_records(path: Path, kind: str) -> bool:
    with contextlib.suppress(RecordingError):
        recording = read(path)
        return {
            "header": True,
            "snapshot": bool(recording.snapshots),
            "end": recording.end is not None,
        }[kind]
    return False


def held_names(snapshots: list[Snapshot]) -> set[str]:
    return {holder.expr for holder in snapshots[-1].holders}


def test_killed_target_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "killed.memprobe"
    with running(path, "allocates.py", options=("--interval", "0.1")) as host:
        until(lambda: has_records(path, "snapshot"), "a due snapshot")
        os.kill(read(path).header.pid, signal.SIGKILL)
        stderr = host.communicate(timeout=DEADLINE)[1]
        assert host.returncode == 128 + signal.SIGKILL
    recording = read(path)
    assert (recording.end.reason, recording.end.signal) == ("signal", signal.SIGKILL)
    assert recording.end.peak > 60_000_000
    assert not recording.torn
    assert "ledger_lines" in held_names(recording.snapshots)
    assert "ledger_lines" in stderr


def test_killed_host_leaves_a_readable_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    path = tmp_path / "orphan.memprobe"
    with running(path, "allocates.py", options=("-q", "--interval", "0.1")) as host:
        target = pid_of_target(path)
        (spool,) = runtime.glob("memprobe/*/spool.memprobe")
        assert stat.S_IMODE(spool.stat().st_mode) == 0o600
        host.kill()
        host.wait()
        assert Path(f"/proc/{target}").exists()
        host.stdin.write("end\n")
        host.stdin.flush()
        assert host.stdout.read() == "told end\n"
    until(lambda: not Path(f"/proc/{target}").exists(), "the end of the target")
    spooled = read(spool)
    assert spooled.end.reason == "exit"
    assert "ledger_lines" in held_names(spooled.snapshots)


def test_recording_is_private_and_complete(tmp_path: Path) -> None:
    _, _, recording = both(tmp_path, "leave.py", "status")
    assert stat.S_IMODE(Path(recording.path).stat().st_mode) == 0o600
    assert [snapshot.reason for snapshot in recording.snapshots] == ["exit"]
    assert recording.header.program == "leave.py"
    assert recording.header.argc == 1
    assert recording.end.peak > 5_000_000
    assert recording.end.wall > 0
    assert recording.end.cpu > 0
    text = Path(recording.path).read_text()
    assert "status" not in text.replace('"status":3', "").replace('"status":', "")


def test_what_the_last_snapshot_took_is_told_apart(tmp_path: Path) -> None:
    _, _, recording = both(tmp_path, "leave.py", "status")
    (snapshot,) = recording.snapshots
    assert snapshot.pause_ns / 1e9 <= recording.end.at_exit < recording.end.cpu


def test_exec_ends_the_recording_and_the_status_is_the_new_programs(tmp_path: Path) -> None:
    path = tmp_path / "exec.memprobe"
    with subprocess.Popen(
        memprobe_run(path, "executes.py", "wait"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROGRAMS,
        env=bare_environment(),
    ) as host:
        until(lambda: has_records(path, "end"), "the end of the recording")
        assert host.poll() is None
        stdout = host.communicate("x\n", timeout=DEADLINE)[0]
    assert (stdout, host.returncode) == ("before ['wait']\nready\ntold x\n", 9)
    recording = read(path)
    assert was_probed(recording)
    assert recording.end.reason == "exec"


def test_probe_writes_into_no_file_of_a_daemon(tmp_path: Path) -> None:
    own = tmp_path / "daemon.log"
    path = tmp_path / "daemon.memprobe"
    line = memprobe_run(path, "daemon.py", str(own), options=("-q", "--interval", "0.1"))
    seen = behave(line, env=bare_environment(), cwd=PROGRAMS)
    assert (seen.stdout, seen.status) == ("1021 0\n", 0)
    assert own.read_bytes() == b""
    recording = read(path)
    assert recording.end.reason == "exit"
    assert [event.event for event in recording.events] == ["probe-lost"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_signal_to_memprobe_reaches_the_target(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    path = tmp_path / "signal.memprobe"
    with running(path, "allocates.py", options=("-q",)) as host:
        pid_of_target(path)
        host.send_signal(number)
        host.wait(DEADLINE)  # before its standard input ends: that would end the target too
        stderr = host.communicate(timeout=DEADLINE)[1]
    assert host.returncode == 128 + number
    assert ("KeyboardInterrupt" in stderr) == (name == "SIGINT")
    assert read(path).end.signal == number


def test_ctrl_c_as_the_target_ends_does_not_cut_the_recording_off(tmp_path: Path) -> None:
    path = tmp_path / "ended.memprobe"
    (tmp_path / "short.py").write_text("pass")
    line = memprobe_run(path, str(tmp_path / "short.py"))
    line[line.index(HOST)] = INTERRUPTED_HOST
    seen = behave(line, env=bare_environment(), cwd=PROGRAMS)
    assert (seen.status, seen.stderr) == (0, "")
    assert read(path).end.reason == "exit"


def test_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    command = memprobe_run(tmp_path / "nohup.memprobe", "leave.py", "SIGHUP")
    shell = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command]
    with subprocess.Popen(
        shell, stdout=subprocess.PIPE, text=True, cwd=PROGRAMS, env=bare_environment()
    ) as host:
        path = tmp_path / "nohup.memprobe"
        target = pid_of_target(path)
        # Had the signal not been ignored, the target would not sleep in pause().
        until(lambda: "pause" in Path(f"/proc/{target}/wchan").read_text() or is_asleep(target),
              "the target in pause()")  # fmt: skip
        os.kill(target, signal.SIGTERM)
        host.wait(DEADLINE)
    assert host.returncode == 128 + signal.SIGTERM


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_report_and_default_name(tmp_path: Path) -> None:
    (tmp_path / "etl job.py").write_text("rows = [str(n) * 40 for n in range(200_000)]\n")
    line = memprobe_run(tmp_path, "etl job.py", options=())
    line[line.index("-o") : line.index("-o") + 2] = []
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("", 0)
    (path,) = tmp_path.glob("*.memprobe")
    assert path.name == f"memprobe-etl-job.{read(path).header.pid}.memprobe"
    assert "rows" in seen.stderr
    assert path.name in seen.stderr


def test_descriptors_of_the_caller_reach_the_target(tmp_path: Path) -> None:
    program = tmp_path / "reads.py"
    program.write_text("import os\nprint(os.read(7, 100))\n")
    line = memprobe_run(tmp_path / "fd.memprobe", str(program))
    shell = ["sh", "-c", 'exec "$@" 7<<END\nhello\nEND', "sh", *line]
    assert behave(shell, env=bare_environment(), cwd=tmp_path).stdout == "b'hello\\n'\n"


def test_other_sessions_folder_is_not_touched(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    _, _, recording = both(tmp_path, "leave.py", "status", XDG_RUNTIME_DIR=str(runtime))
    assert was_probed(recording)
    assert list((runtime / "memprobe").iterdir()) == []


def test_program_without_a_python_is_recorded_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "none.memprobe"
    seen = behave(memprobe_run(path, "sh", "-c", "exit 4"), env=bare_environment(), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("", 4)
    assert "without the probe: no Python" in seen.stderr
    recording: Recording = read(path)
    assert [event.event for event in recording.events] == ["no-probe"]


def test_limit_coming_near_takes_snapshots_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "grows.memprobe"
    line = memprobe_run(path, "grows.py")
    shell = ["sh", "-c", 'ulimit -v 300000; exec "$@"', "sh", *line]
    seen = behave(shell, env=bare_environment(), cwd=PROGRAMS)
    assert seen.status == 128 + signal.SIGKILL
    recording = read(path)
    assert recording.header.limits.source == "rlimit"
    crossed = [s for s in recording.snapshots if s.reason == "threshold"]
    assert [snapshot.threshold for snapshot in crossed] == [0.6, 0.75, 0.85]
    assert "hoard" in held_names(crossed)


def test_a_run_killed_for_memory_names_what_was_there(
    cgroup: Callable[[int], Path], tmp_path: Path
) -> None:
    path = tmp_path / "oom.memprobe"
    enter = f'echo $$ > {cgroup(400_000_000) / "cgroup.procs"} && exec "$@"'
    run = memprobe_run(path, str(PROGRAMS / "fills.py"), options=())
    done = subprocess.run(
        ["/bin/sh", "-c", enter, "sh", *run],
        capture_output=True, text=True, timeout=120, check=False, env=bare_environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 128 + signal.SIGKILL, done.stderr
    recording = read(path)
    shares = [shot.threshold for shot in recording.snapshots if shot.reason == "threshold"]
    assert shares
    assert recording.header.limits.effective == pytest.approx(400_000_000, rel=0.01)
    last = recording.snapshots[-1]
    held = {holder.expr for holder in last.holders}
    assert "fill: chunks" in held, held
    assert "held" in done.stderr.splitlines()[0], done.stderr
