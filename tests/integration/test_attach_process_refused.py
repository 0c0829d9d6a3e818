"""Plain processes that are not entered: cause and remedy are told, and nothing is written."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_processes import eventually, interpreters, plain
from test_packaging import interpreter

from memprobe.errors import TargetError
from memprobe.targets import discovery, process
from memprobe.targets.kernel import AttachOptions
from memprobe.targets.pending.tracing import Stop, state_of

IDLE = "import sys; print('ready', flush=True); sys.stdin.readline(); print('bye')"
PYTHON = next((one for one in interpreters().values() if one), sys.executable)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64",
    reason="pending calls are written on Linux on x86_64 only",
)


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[str]]:
    with plain(PYTHON, IDLE) as target:
        yield target
        out, errors = target.communicate("\n", timeout=60)
        assert (out, errors) == ("bye\n", "")


def refusal(pid: int, folder: Path) -> TargetError:
    """Return why it is refused: by what is asked for a name, and by the attach itself."""
    before = Path(f"/proc/{pid}/maps").read_bytes() if os.path.exists(f"/proc/{pid}/maps") else b""
    with pytest.raises(TargetError, match=f"cannot attach to process {pid}") as named:
        discovery.resolve(str(pid))
    with pytest.raises(TargetError, match=f"cannot attach to process {pid}") as caught:
        process.attach(pid, AttachOptions(output=folder / "no.memprobe", timeout=5.0))
    assert (named.value.cause, named.value.remedy) == (caught.value.cause, caught.value.remedy)
    assert not (folder / "no.memprobe").exists()
    if before:
        assert Path(f"/proc/{pid}/maps").read_bytes() == before
    return caught.value


def test_a_stopped_process(idle: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(idle.pid, signal.SIGSTOP)
    eventually(lambda: state_of(idle.pid, idle.pid) == "T", "it did not stop")
    try:
        error = refusal(idle.pid, tmp_path)
    finally:
        os.kill(idle.pid, signal.SIGCONT)
    assert "stopped" in error.cause
    assert f"kill -CONT {idle.pid}" in error.remedy


TRACER = """
import sys
from memprobe.targets.pending.tracing import _ptrace
_ptrace(0x4206, int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_is_traced(idle: subprocess.Popen[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TRACER, str(idle.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as tracer:  # fmt: skip
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "ready\n"
        error = refusal(idle.pid, tmp_path)
        tracer.communicate("\n")
    assert f"process {tracer.pid} traces it" in error.cause


def test_no_python_at_all(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as target:
        with pytest.raises(TargetError, match="cannot attach") as caught:
            discovery.resolve(str(target.pid))
        assert "not a Python process but sleep" in caught.value.cause
        with pytest.raises(TargetError, match="cannot attach") as caught:
            process.attach(target.pid, AttachOptions(output=tmp_path / "no.memprobe"))
        assert "no CPython" in caught.value.cause
        target.kill()


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = interpreter("3.9") or interpreter("3.8")
    if old is None:
        pytest.skip("no Python older than 3.10 is installed")
    with plain(old, IDLE) as target:
        error = refusal(target.pid, tmp_path)
    assert "3.10 is the oldest" in error.cause


SUBINTERPRETER = (
    """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
kept = interpreters.create()
"""
    + IDLE
)


def test_several_interpreters_in_one_process(tmp_path: Path) -> None:
    refused = pytest.raises(TargetError, match="cannot attach")
    with plain(PYTHON, SUBINTERPRETER) as target, refused as caught:
        process.attach(target.pid, AttachOptions(output=tmp_path / "no.memprobe"))
    assert "subinterpreters" in caught.value.cause


@as_root
def test_a_process_of_another_user(tmp_path: Path) -> None:
    text = "import os; os.setuid(65534)\n" + IDLE
    with plain(PYTHON, text) as target, pytest.raises(TargetError, match="cannot") as caught:
        discovery.resolve(str(target.pid))
    assert "65534" in caught.value.cause
    assert "sudo -u" in caught.value.remedy


@as_root
def test_a_file_system_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no namespace can be made here")
    with subprocess.Popen(
        ["unshare", "-m", PYTHON, "-c", IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as target:  # fmt: skip
        assert target.stdout is not None
        assert target.stdout.readline() == "ready\n"
        error = refusal(target.pid, tmp_path)
        target.communicate("\n")
    assert "a file system of its own" in error.cause
    assert "inside" in error.remedy


FILTERED = (
    """
import ctypes, struct
code = ctypes.create_string_buffer(struct.pack("<HBBI", 6, 0, 0, 0x7fff0000))  # allow everything
program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 1, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program))) == 0
"""
    + IDLE
)


def test_system_calls_that_are_restricted(tmp_path: Path) -> None:
    with plain(PYTHON, FILTERED) as target:
        error = refusal(target.pid, tmp_path)
    assert "seccomp" in error.cause


@as_root
def test_without_the_right_to_trace(tmp_path: Path) -> None:
    """As a user whose process may not be dumped: even its own user cannot open its memory."""
    libc = ctypes.CDLL(None)
    text = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n" + IDLE
    with plain(PYTHON, text) as target:
        probing = (
            "import os, sys\nos.setgroups([]); os.setgid(0); os.setuid(int(sys.argv[2]))\n"
            "from memprobe.targets.rights import why_not, may_open\n"
            "print(may_open(int(sys.argv[1])), why_not(int(sys.argv[1])).why)"
        )
        done = subprocess.run(
            [sys.executable, "-c", probing, str(target.pid), "65534"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert libc is not None
    if done.returncode:
        pytest.skip("memprobe's own files cannot be read by another user here")
    assert done.stdout.startswith("False it belongs to user 0")


def test_a_stop_lets_everything_go_on(idle: subprocess.Popen[str]) -> None:
    for _ in range(20):
        with Stop(idle.pid):
            assert state_of(idle.pid, idle.pid) == "t"
    eventually(lambda: state_of(idle.pid, idle.pid) in "SR", "it does not go on")
