"""The native walker harms no program: crashes, hangs, limits, forks, signals, user code, traces."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import obstacle
from running import PROGRAMS, bare_environment

from memprobe_probes import native_walker

FOUND, REASON = native_walker.load()
pytestmark = pytest.mark.skipif(FOUND is None, reason=str(REASON))

BEGIN = f"""
import json, os, sys
sys.path.insert(0, {str(PROGRAMS)!r})
"""
Program = Callable[..., dict[str, Any]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run code that sets ``told``; it must end well and say nothing else. Returns ``told``."""

    def run(code: str, *, prefix: tuple[str, ...] = (), **environment: str) -> dict[str, Any]:
        file = tmp_path / "program.py"
        file.write_text(BEGIN + textwrap.dedent(code) + "\nprint(json.dumps(told))\n")
        done = subprocess.run(
            [*prefix, sys.executable, str(file)], capture_output=True, text=True, timeout=120,
            env=bare_environment(**environment), cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of an extension whose type is broken in the way one asks for."""
    if obstacle():
        pytest.skip(str(obstacle()))
    folder = tmp_path_factory.mktemp("trouble")
    compiler = shutil.which("cc") or shutil.which("gcc")
    include = sysconfig.get_paths()["include"]
    subprocess.run(
        [str(compiler), "-shared", "-fPIC", "-O0", "-w", f"-I{include}",
         str(PROGRAMS / "trouble.c"), "-o", str(folder / "trouble.so")],
        check=True,
    )  # fmt: skip
    return str(folder)


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        pytest.param(1, "it crashed (signal 11)", id="bad-address"),
        pytest.param(2, "it took longer than it may", id="endless"),
        pytest.param(4, "it crashed (signal 6)", id="aborts"),
        pytest.param(5, "it crashed (signal 11)", id="endless-recursion"),
    ],
)
def test_a_broken_type_kills_the_copy_and_not_the_program(
    program: Program, trouble: str, mode: int, why: str
) -> None:
    told = program(
        f"""
        import faulthandler, signal
        faulthandler.enable()
        handled = []
        signal.signal(signal.SIGALRM, lambda *_: handled.append("alarm"))
        signal.signal(signal.SIGABRT, lambda *_: handled.append("abort"))
        sys.path.insert(0, {trouble!r})
        import snapshots, trouble
        kept = [bytes(1_000_000), trouble.make({mode})]
        taker = snapshots.Taker(seconds=1)
        taker.take()
        traces = snapshots.Traces()
        told = {{"first": taker.take(), "later": [taker.take() for _ in range(3)]}}
        told.update(left=traces.left(), handled=handled)
        """
    )
    for one in (told["first"], *told["later"]):
        assert one["note"] == f"the native walker failed: {why}"
        assert why in one["skipped"]
    assert (told["left"], told["handled"]) == ([], [])


def test_a_type_that_asks_for_memory_does_so_in_the_copy(program: Program, trouble: str) -> None:
    told = program(
        f"""
        sys.path.insert(0, {trouble!r})
        import snapshots, trouble
        kept = [bytes(1_000_000), trouble.make(3)]
        told = snapshots.Taker().take()
        """
    )
    assert told["engine"] == "native"
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)


ENDLESS = """
sys.path.insert(0, TROUBLE)
import signal, snapshots, time, trouble
from memprobe_probes.engines import LATER
snapshots.Taker().take()
traces = snapshots.Traces()
taker = snapshots.Taker(seconds=SECONDS)
kept = [bytes(1_000_000), trouble.make(2)]
taker.take(LATER)
(copy,) = snapshots.children()
"""


def at_work(trouble: str, seconds: int, code: str) -> str:
    """Return a program in which a copy is at work that never comes to its end."""
    begin = ENDLESS.replace("TROUBLE", repr(trouble)).replace("SECONDS", str(seconds))
    return begin + textwrap.dedent(code) + "\nkept.clear()\ntold['left'] = traces.left()\n"


def test_a_copy_that_is_killed_is_reported(program: Program, trouble: str) -> None:
    told = program(at_work(trouble, 20, "os.kill(copy, signal.SIGKILL); told = taker.collect()"))
    assert told["note"] == "the native walker failed: it was killed, as for lack of memory"
    assert told["left"] == []


def test_a_copy_that_is_stopped_is_ended_when_its_time_is_over(
    program: Program, trouble: str
) -> None:
    told = program(
        at_work(
            trouble, 1,
            """
            os.kill(copy, signal.SIGSTOP)
            began = time.monotonic()
            told = taker.collect()
            told["seconds"] = time.monotonic() - began
            """,
        )
    )  # fmt: skip
    assert told["note"] == "the native walker failed: it took longer than it may"
    assert told["seconds"] < 5
    assert told["left"] == []


def test_the_programs_own_waiting_never_meets_the_copy(program: Program, trouble: str) -> None:
    told = program(
        at_work(
            trouble, 20,
            """
            handled = []
            signal.signal(signal.SIGCHLD, lambda *_: handled.append(1))
            own = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
            told = {"right": os.wait()[0] == own, "handled": len(handled)}
            try:
                os.wait()
            except ChildProcessError:
                told["nobody"] = True
            os.kill(copy, signal.SIGKILL)
            told["note"] = taker.collect()["note"]
            told["handled after"] = len(handled)
            """,
        )
    )  # fmt: skip
    assert told == {
        "right": True, "handled": 1, "nobody": True, "handled after": 1, "left": [],
        "note": "the native walker failed: it was killed, as for lack of memory",
    }  # fmt: skip


def test_where_children_are_ignored_the_answer_comes_all_the_same(program: Program) -> None:
    told = program(
        """
        import signal, snapshots
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        kept = [bytes(1_000_000)]
        told = snapshots.Taker().take()
        told["children"] = snapshots.children()
        """
    )
    assert (told["engine"], told["children"]) == ("native", [])
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)


def test_a_fork_of_the_program_leaves_the_copy_alone(program: Program, trouble: str) -> None:
    told = program(
        at_work(
            trouble, 20,
            """
            own = os.fork()
            if own == 0:
                try:
                    taker.engines.job.wait(1)
                except Exception as error:
                    assert "a fork of the process" in str(error), error
                    taker.engines.close()
                    os._exit(7)
                os._exit(8)
            status = os.waitstatus_to_exitcode(os.waitpid(own, 0)[1])
            told = {"fork": status, "lives": snapshots.children() == [copy]}
            taker.engines.close()
            told["ended"] = snapshots.children() == []
            """,
        )
    )  # fmt: skip
    assert told == {"fork": 7, "lives": True, "ended": True, "left": []}


@pytest.mark.parametrize(
    "end", ["sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_copy_does_not_outlive_the_program(trouble: str, tmp_path: Path, end: str) -> None:
    file = tmp_path / "ends.py"
    begin = BEGIN + at_work(trouble, 60, "told = {}").rpartition("\nkept.clear()")[0]
    # Waiting until the copy's clock runs: it is set before what the program has open is closed.
    closed = "while len(os.listdir(f'/proc/{copy}/fd')) > 1: time.sleep(0.01)"
    file.write_text(f"{begin}\n{closed}\nprint(copy, flush=True)\n{end}\n")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(file)], stdout=subprocess.PIPE, timeout=30, env=bare_environment()
    )
    copy = int(done.stdout)
    while is_alive(copy):
        assert time.monotonic() - began < 15
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # whoever adopted it may be slow to wait for it


def test_a_copy_outlives_the_thread_that_made_it(program: Program) -> None:
    told = program(
        """
        import snapshots, threading
        from memprobe_probes.engines import LATER
        kept = [[n] for n in range(300_000)]
        taker = snapshots.Taker()
        maker = threading.Thread(target=taker.take, args=(LATER,))
        maker.start()
        maker.join()
        told = taker.collect()
        """
    )
    assert (told["engine"], told["note"]) == ("native", None)
    assert told["bytes"]["kept"] > 300_000 * 64


@pytest.mark.parametrize(
    ("limit", "note"),
    [
        pytest.param(
            "resource.RLIMIT_NOFILE, (3, 3)", "Too many open files", id="no-descriptor-left"
        ),
        pytest.param(
            "resource.RLIMIT_FSIZE, (100, 100)", "its answer could not be written", id="no-room"
        ),
        pytest.param("resource.RLIMIT_AS, (used, used)", "no memory", id="no-address-space"),
    ],
)
def test_where_a_limit_is_reached_the_other_engine_answers(
    program: Program, limit: str, note: str
) -> None:
    told = program(
        f"""
        import resource, snapshots
        kept = [bytes(1_000_000)]
        taker = snapshots.Taker()
        taker.take()
        traces = snapshots.Traces()
        used = int(open("/proc/self/statm").read().split()[0]) * 4096 + (4 << 20)
        which, limits = {limit}
        before = resource.getrlimit(which)
        resource.setrlimit(which, (limits[0], before[1]))
        told = taker.take()
        resource.setrlimit(which, before)
        told["left"] = traces.left()
        """
    )
    assert told["engine"] == "fallback"
    assert note in told["note"]
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)
    assert told["left"] == []
