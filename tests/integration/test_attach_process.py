"""Attaching to plain Python processes: the probe comes in and leaves; the program is the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_processes import Works, eventually, interpreters, plain
from running import HOST, bare_environment

from memprobe.errors import TargetError
from memprobe.recording.reader import read
from memprobe.targets import process
from memprobe.targets.kernel import AttachOptions
from memprobe.targets.live_sessions import live_sessions
from memprobe.targets.pending.injector import Injector

INTERPRETERS = interpreters()
NEWEST = next((one for name, one in INTERPRETERS.items() if name == "3.12" and one), sys.executable)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64",
    reason="pending calls are written on Linux on x86_64 only",
)


def options(folder: Path, **more: object) -> AttachOptions:
    return AttachOptions(output=folder / "found.memprobe", force=True, timeout=60.0, **more)  # type: ignore[arg-type]


def memprobe(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", HOST, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(params=sorted(INTERPRETERS))
def python(request: pytest.FixtureRequest) -> str:
    found = INTERPRETERS[request.param]
    if found is None:
        pytest.skip(f"Python {request.param} is not installed, or is older than 3.10")
    return found


def test_a_program_at_work_is_recorded_and_stays_as_it_was(python: str, tmp_path: Path) -> None:
    target = Works(python, tmp_path)
    before = target.described()
    attachment = process.attach(target.pid, options(tmp_path))
    eventually(lambda: any(r.t for r in attachment.poll()), "nothing was recorded")
    during = target.described()
    assert attachment.detach()
    eventually(lambda: target.described() == before, "something was left")
    target.end()
    assert during["threads"] == before["threads"] + 1
    assert during["python_threads"] == before["python_threads"]
    recording = read(tmp_path / "found.memprobe")
    assert (recording.header.context, recording.header.method) == ("script", "pending-call")
    assert recording.header.pid == target.pid
    holders = {one.expr for one in recording.snapshots[-1].holders}
    assert "own" in holders
    assert recording.end is not None
    assert recording.end.reason == "detach"


BLOCKED = """
import socket, sys
one = socket.socket(fileno={number})
print("ready", flush=True)
sys.stdout.write(repr(one.recv(100)) + "\\n")
sys.stdout.flush()
sys.stdin.readline()
"""


def test_what_waits_in_a_call_is_told_and_the_request_is_withdrawn(tmp_path: Path) -> None:
    python = INTERPRETERS["3.11"] or INTERPRETERS["3.10"]
    if python is None:
        pytest.skip("neither Python 3.10 nor 3.11 is installed")
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    said: list[str] = []
    text = BLOCKED.format(number=theirs.fileno())
    with subprocess.Popen(
        [python, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=bare_environment(), pass_fds=[theirs.fileno()], text=True,
    ) as target:  # fmt: skip
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        eventually(lambda: syscall(target.pid) == "45", "it does not wait in recv")
        asked = AttachOptions(output=tmp_path / "no.memprobe", timeout=4.0)
        with pytest.raises(TargetError, match="did not let the probe in") as caught:
            process.attach(target.pid, asked, say=said.append)
        assert "in `recv`" in caught.value.cause
        assert "withdrawn" in caught.value.cause
        assert any("`recv`" in line and "queued" in line for line in said)
        assert is_untouched(target.pid, tmp_path)
        assert not (tmp_path / "no.memprobe").exists()
        ours.send(b"now")
        assert target.stdout.readline() == "b'now'\n"
        out, errors = target.communicate("\n", timeout=60)
    assert (out, errors, target.returncode) == ("", "", 0)
    assert target.pid not in live_sessions({target.pid: None})


def syscall(pid: int) -> str:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0]


def is_untouched(pid: int, kept: Path) -> bool:
    """Whether no entry waits in the ring, and no text of ours is in the target."""
    injector = Injector(pid, kept)
    try:
        texts = [injector.memory.read(one.address, one.room) for one in injector._areas]
        return not injector._ring.state().waiting and not any(b"memprobe" in one for one in texts)
    finally:
        injector.close()


WAITS = """
import threading
print("ready", flush=True)
done = threading.Event()
threading.Thread(target=lambda: (input(), done.set())).start()
done.wait()
print("done", flush=True)
"""


def test_a_main_thread_that_waits_for_a_lock_is_woken(python: str, tmp_path: Path) -> None:
    with plain(python, WAITS) as target:
        eventually(lambda: syscall(target.pid) == "202", "it does not wait for a lock")
        attachment = process.attach(target.pid, options(tmp_path))
        assert attachment.detach()
        assert is_untouched(target.pid, tmp_path)
        out, errors = target.communicate("\n", timeout=60)
    assert (out, errors, target.returncode) == ("done\n", "", 0)


FORKS = """
import os, select, sys, time
print("ready", flush=True)
while not select.select([0], [], [], 0.02)[0]: pass
assert sys.stdin.readline() == "fork\\n"
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
while sys.stdin.readline() != "end\\n": pass
os.kill(child, 9); os.waitpid(child, 0)
"""


def test_a_child_that_was_forked_meanwhile_holds_nothing_up(tmp_path: Path) -> None:
    with plain(NEWEST, FORKS) as target:
        attachment = process.attach(target.pid, options(tmp_path))
        assert target.stdin is not None
        assert target.stdout is not None
        target.stdin.write("fork\n")
        target.stdin.flush()
        child = int(target.stdout.readline())
        folder = attachment.folder.path
        assert attachment.detach()
        assert attachment.ended is not None
        assert attachment.ended.reason == "detach"
        assert not folder.exists()
        assert Path(f"/proc/{child}").exists()
        out, _ = target.communicate("end\n", timeout=60)
        assert (out, target.returncode) == ("", 0)


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    target = Works(NEWEST, tmp_path_factory.mktemp("works"))
    yield target
    target.end()


def test_a_second_one_joins_and_the_first_goes_on(works: Works, tmp_path: Path) -> None:
    first = process.attach(works.pid, options(tmp_path))
    second = process.attach(works.pid, AttachOptions(output=tmp_path / "second.memprobe"))
    assert (first.joined, second.joined) == (False, True)
    assert second.folder.path == first.folder.path
    assert second.detach()
    assert first.ask("status", timeout=60.0) is not None
    done = memprobe("detach", works.pid)
    assert done.returncode == 0, done.stderr
    eventually(lambda: first.poll() is not None and first.ended is not None, "it did not leave")
    first.close()
    assert works.described()["modules"] == []


def test_a_snapshot_leaves_nothing_and_ps_says_how(works: Works) -> None:
    before = works.described()
    done = memprobe("snapshot", works.pid, "--output-format", "markdown")
    assert done.returncode == 0, done.stderr
    assert "own" in done.stdout
    eventually(lambda: works.described() == before, "something was left")
    listed = memprobe("ps", "--output-format", "json")
    rows = [row for row in __import__("json").loads(listed.stdout)["contexts"]
            if row["pid"] == works.pid]  # fmt: skip
    assert [(row["attachable"], row["method"]) for row in rows] in ([(True, "pending-call")], [])


def test_attach_tells_which_way_it_took(works: Works, tmp_path: Path) -> None:
    done = memprobe("attach", works.pid, "--duration", "1", "-o", tmp_path / "one.memprobe")
    assert done.returncode == 0, done.stderr
    assert f"(process {works.pid}) by a pending call" in done.stderr
    refused = memprobe("attach", works.pid, "--method", "kernel")
    assert refused.returncode == 2
    assert "no Jupyter kernel" in refused.stderr
    refused = memprobe("attach", works.pid, "--method", "remote-exec")
    assert refused.returncode == 2
    assert "3.13 or older" in refused.stderr
