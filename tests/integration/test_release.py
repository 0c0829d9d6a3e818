"""``memprobe release`` on a real kernel: what is cut, what comes back, and what is left alone."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kernels import PATIENCE, Kernel
from traces import FINGERPRINT, SETUP, differences

from memprobe.analysis.release_choice import chosen
from memprobe.config import Config
from memprobe.errors import TargetError
from memprobe.findings import Finding
from memprobe.targets import release
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import AttachOptions

MB = 10**6
IDLE = [f"step = {n}" for n in range(6)]
OUTPUT = "numpy.ones((2_500_000, 1))"  # 20 MB, displayed
FAILS = """
def load():
    rows = numpy.ones(2_500_000)
    raise ValueError(len(rows))
load()
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        running.run(SETUP)
        running.run(FINGERPRINT)
        running.control_info()
        running.run("print('so does the first text from the main thread')")
        yield running


@pytest.fixture
def work(kernel: Kernel) -> Iterator[Kernel]:
    """Yield the kernel and take away afterwards what a test left in it."""
    yield kernel
    kernel.run(
        "%reset -f out\nimport sys\nsys.last_value = sys.last_traceback = None\n"
        "get_ipython().InteractiveTB.tb = None\n"
        "[globals().pop(name, None) for name in ('left', 'second', 'frames', 'alias')];"
    )


def cells(kernel: Kernel, *sources: str) -> None:
    """Run cells, then so many others that what they made is stale."""
    for source in sources:
        kernel.run(source, may_fail=source == FAILS)
    for source in [*IDLE, "big.shape;"]:
        kernel.run(source)


def verb(kernel: Kernel, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *words[:1], str(kernel.pid), *words[1:]],
        capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def looked(kernel: Kernel, tmp_path: Path) -> Iterator[release.Look]:
    options = AttachOptions(output=tmp_path / "look.memprobe", max_pause=2.0, force=True)
    file, pid = kernel.connection_file, kernel.pid
    with (
        Interrupts() as interrupts,
        release.look(file, pid, options, Config(), interrupts) as found,
    ):
        yield found


def finding(found: release.Look, code: str, name: str = "") -> Finding:
    matches = [one for one in found.report.findings if one.code == code]
    return next(one for one in matches if not name or name in [h.expr for h in one.holders])


def row_of(answer: dict[str, Any]) -> dict[str, Any]:
    (row,) = answer["findings"]
    assert isinstance(row, dict)
    return row


def back(answer: dict[str, Any]) -> int:
    read = answer["places"]["driver-python"]
    return int(read["before"] - read["after"])


def test_names_outputs_and_tracebacks_go_and_their_bytes_come_back(work: Kernel) -> None:
    cells(work, "left = numpy.ones(2_500_000)", OUTPUT, FAILS)
    before = work.value("_describe()")
    report = json.loads(verb(work, "snapshot", "--output-format", "json", "-q").stdout)
    by_code = {one["code"]: one for one in report["findings"]}
    assert {"MP104", "MP201", "MP202"} <= set(by_code)
    assert all(one["release"] and one["cuts"] for one in by_code.values())
    wanted = [by_code[code]["fingerprint"] for code in ("MP104", "MP201", "MP202")]
    done = verb(work, "release", *[one[:6] for one in wanted], "-y", "-q",
                "--output-format", "json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["state"] for one in told["findings"]] == ["done"] * 3
    assert told["thread"] == "main"
    (place,) = told["measured"]
    assert place["given_back"] == pytest.approx(60 * MB, rel=0.02)
    assert place["predicted"] == pytest.approx(60 * MB, rel=0.02)
    changed = differences(before, work.value("_describe()"))
    names, hidden = changed.pop("names"), changed.pop("hidden")  # type: ignore[misc]
    assert changed == {}
    gone = set(names[0]) - set(names[1])
    assert "left" in gone
    assert all(one == "left" or one[1:].isdigit() for one in gone)
    assert set(names[1]) <= set(names[0])
    assert set(hidden[1]) <= set(hidden[0])


def test_a_dry_run_shows_the_cuts_and_touches_nothing(work: Kernel) -> None:
    cells(work, "left = numpy.ones(2_500_000)")
    before = work.value("_describe()")
    report = json.loads(verb(work, "snapshot", "--output-format", "json", "-q").stdout)
    wanted = next(one["fingerprint"] for one in report["findings"] if one["code"] == "MP202")
    done = verb(work, "release", wanted, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "del left" in done.stdout
    assert "Nothing was touched" in done.stdout
    assert differences(before, work.value("_describe()")) == {}
    assert work.value("int(left.sum())") == 2_500_000


def test_a_person_is_asked_and_only_a_yes_touches_anything(work: Kernel) -> None:
    cells(work, "left = numpy.ones(2_500_000)")
    report = json.loads(verb(work, "snapshot", "--output-format", "json", "-q").stdout)
    wanted = next(one["fingerprint"] for one in report["findings"] if one["code"] == "MP202")
    assert b"del left" in _asked(work, wanted, b"n\n")
    assert work.value("int(left.sum())") == 2_500_000
    _asked(work, wanted, b"y\n")
    assert work.value("'left' in globals()") is False


def _asked(kernel: Kernel, wanted: str, answer: bytes) -> bytes:
    """Release at a terminal, type ``answer``, and return what was shown before the question."""
    parent, child = pty.openpty()
    with os.fdopen(parent, "r+b", buffering=0) as terminal:
        asked = subprocess.Popen(
            [sys.executable, "-m", "memprobe", "release", str(kernel.pid), wanted],
            stdin=child, stdout=child, stderr=child,
        )  # fmt: skip
        os.close(child)
        shown = b""
        while b"Let go of this?" not in shown:
            assert select.select([terminal], [], [], PATIENCE)[0], shown
            shown += terminal.read(4096)
        terminal.write(answer)
        assert asked.wait(PATIENCE) == 0
    return shown


def test_without_a_terminal_and_without_yes_it_is_an_error(work: Kernel) -> None:
    done = verb(work, "release", "5b0c")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert done.stdout == ""


def test_an_unknown_fingerprint_lists_those_that_are_there(work: Kernel) -> None:
    cells(work, "left = numpy.ones(2_500_000)")
    done = verb(work, "release", "ffffff", "--yes")
    assert done.returncode == 2
    assert "no finding ffffff" in done.stderr
    assert "MP202" in done.stderr
    assert work.value("int(left.sum())") == 2_500_000


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("left = numpy.ones(2_500_000)", "another object"),
        ("left = [left]", "another object"),
        ("second = left", "something else refers"),
        ("del left", "gone"),
    ],
)
def test_what_changed_since_the_snapshot_is_left_alone(
    work: Kernel, tmp_path: Path, change: str, why: str
) -> None:
    cells(work, "left = numpy.ones(2_500_000)")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP202", "left")
        work.run(change)
        before = work.value("sorted(globals())")
        row = row_of(release.release(found, [one]))
        assert row["state"] == "changed"
        assert why in row["why"]
        assert row["done"] == 0
        assert work.value("sorted(globals())") == before


def test_another_snapshot_in_between_is_a_change(work: Kernel, tmp_path: Path) -> None:
    cells(work, "left = numpy.ones(2_500_000)")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP202", "left")
        assert verb(work, "snapshot", "-q").returncode == 0
        with pytest.raises(TargetError, match="changed since"):
            release.release(found, [one])
    assert work.value("int(left.sum())") == 2_500_000


def test_a_second_name_is_shown_and_goes_too(work: Kernel, tmp_path: Path) -> None:
    cells(work, "left = numpy.ones(2_500_000)\nsecond = left")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP202", "left")
        assert sorted(cut.says for cut in one.cuts) == ["del left", "del second"]
        answer = release.release(found, [one])
        assert row_of(answer) == {"fingerprint": one.fingerprint, "state": "done", "done": 2}
        assert back(answer) == pytest.approx(20 * MB, rel=0.03)


def test_a_container_is_emptied_only_where_all_ways_to_it_were_shown(
    work: Kernel, tmp_path: Path
) -> None:
    cells(work, "frames = [numpy.ones(2_500_000)]")
    cut = {"action": "clear", "expr": "frames", "root": "notebook-namespace", "type": "list",
           "length": 1, "says": "frames.clear()"}  # fmt: skip
    for hidden, shown, state in (
        ("alias = frames", [], "refused"),
        ("alias = {'inside': frames}", [], "refused"),
        ("alias = frames", ["alias"], "done"),
    ):
        work.run(hidden)
        with looked(work, tmp_path) as found:
            asked = [{"fingerprint": "x", "cuts": [{**cut, "also": shown}]}]
            reply = found.attachment.ask("release", number=found.number, findings=asked)
            assert reply is not None
            row = row_of(reply["result"])
            assert row["state"] == state, (hidden, row)
            assert work.value("len(frames)") == (0 if state == "done" else 1)


def test_while_a_cell_runs_what_it_uses_waits_and_the_rest_goes(
    work: Kernel, tmp_path: Path
) -> None:
    cells(work, "left = numpy.ones(2_500_000)", "second = numpy.ones(2_500_000)")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waiting = work.start_cell(
        f"def use():\n    return second.sum()\nprint('running', flush=True)\n"
        f"with open({str(gate)!r}) as file: file.read()\nkept = use()\ndel file, use"
    )
    work.wait_for_output(waiting, "running")
    try:
        with looked(work, tmp_path) as found:
            named = [holder.expr for one in found.report.findings for holder in one.holders]
            assert "second" not in named
            answer = release.release(found, [finding(found, "MP202", "left")])
            assert (answer["state"], answer.get("thread")) == ("done", "probe"), answer
            assert back(answer) == pytest.approx(20 * MB, rel=0.03)
            cuts = [{"action": "del", "expr": "second", "root": "notebook-namespace", "says": ""}]
            asked = [{"fingerprint": "x", "cuts": cuts}]
            reply = found.attachment.ask("release", number=found.number, findings=asked)
            assert reply is not None
            assert reply["result"]["state"] == "busy"
            assert "`second`" in reply["result"]["why"]
    finally:
        gate.write_text("x")
        work.finish(waiting)
    assert work.value("int(kept)") == 2_500_000
    assert work.value("'left' in globals()") is False


def test_a_release_that_fails_half_way_says_what_was_done(work: Kernel, tmp_path: Path) -> None:
    work.run("import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt")
    work.run(
        "def refuse():\n    raise RuntimeError\n"
        "for number in range(6):\n    plt.figure(number + 1, figsize=(20, 20)).canvas.draw()\n"
        "plt.figure(3).canvas.manager.destroy = refuse"
    )
    cells(work)
    with looked(work, tmp_path) as found:
        one = finding(found, "MP205")
        closing = [int(cut.says[10:-1]) for cut in one.cuts if cut.action == "close-figure"]
        assert sorted(closing) == [1, 2, 3, 4, 5, 6]
        before = closing.index(3)
        assert before > 0
        row = row_of(release.release(found, [one]))
        assert (row["state"], row["why"]) == ("failed", "RuntimeError")
        assert row["done"] == before
        assert set(closing[before + 1 :]) <= set(work.value("plt.get_fignums()"))
        assert not set(closing[:before]) & set(work.value("plt.get_fignums()"))
    work.run("plt.close('all')\ndel plt, matplotlib, refuse, number")


def test_finalizers_run_on_the_thread_of_the_cells_when_all_is_cut(
    work: Kernel, tmp_path: Path
) -> None:
    work.run(
        "import threading\nclass Held:\n    seen = []\n"
        "    def __init__(self): self.rows = numpy.ones(2_500_000)\n"
        "    def __del__(self):\n"
        "        here = threading.current_thread() is threading.main_thread()\n"
        "        Held.seen.append((here, 'second' in globals()))\n"
    )
    cells(work, "left = Held()\nsecond = left")
    with looked(work, tmp_path) as found:
        assert row_of(release.release(found, [finding(found, "MP202", "left")]))["state"] == "done"
    assert work.value("Held.seen") == [(True, False)]
    work.run("del Held, threading")


GENERATOR = """
import threading
ends = []
def batches():
    rows = numpy.ones(2_500_000)
    try:
        yield 1
    finally:
        ends.append((threading.current_thread() is threading.main_thread(), len(rows)))
"""


def test_a_suspended_generator_goes_with_its_name(work: Kernel, tmp_path: Path) -> None:
    work.run(GENERATOR)
    cells(work, "left = batches()\nnext(left);")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP106", "left")
        assert [cut.action for cut in one.cuts] == ["del-generator"]
        answer = release.release(found, [one])
        assert row_of(answer)["state"] == "done"
        assert back(answer) == pytest.approx(20 * MB, rel=0.05)
    assert work.value("ends") == [(True, 2_500_000)], "once, on the thread of the cells"
    work.run("del batches, ends, threading")


def test_a_view_becomes_a_copy_and_its_names_stay_one_object(work: Kernel, tmp_path: Path) -> None:
    work.run("left = numpy.arange(2_500_000.0).reshape(-1, 5)[7]\nleft.flags.writeable = False")
    work.run("second = left")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP301", "left")
        assert {cut.says for cut in one.cuts} == {"left = left.copy()", "second = second.copy()"}
        answer = release.release(found, [one])
        assert row_of(answer)["state"] == "done"
        assert back(answer) == pytest.approx(20 * MB, rel=0.05)
    facts = "left is second, left.base is None, left.flags.writeable, left.tolist()"
    assert work.value(f"({facts})") == (True, True, False, [35.0, 36.0, 37.0, 38.0, 39.0])


def test_findings_say_truly_whether_they_can_be_released(work: Kernel, tmp_path: Path) -> None:
    work.run("async def batches():\n    rows = numpy.ones(2_500_000)\n    await forever\n")
    work.run("import types\n@types.coroutine\ndef wait():\n    yield\nforever = wait()")
    cells(work, "left = batches()\nleft.send(None);")
    with looked(work, tmp_path) as found:
        one = finding(found, "MP106", "left")
        assert (one.release, one.cuts) == (False, [])
        assert "its own code" in one.not_released
        with pytest.raises(Exception, match="cannot release") as refused:
            chosen(found.report, [one.fingerprint])
        assert "left.close()" in refused.value.remedy  # type: ignore[attr-defined]
    work.run("left.close(); del batches, forever, wait, types")


def printed(kernel: Kernel, code: str, *, answer: str | None = None) -> str:
    """Run a cell and return what it printed; ``answer`` is typed where it asks."""
    waiting = kernel.start_cell(code, allow_stdin=answer is not None)
    if answer is not None:
        kernel.client.get_stdin_msg(timeout=PATIENCE)
        kernel.client.input(answer)
    seen, idle = "", False
    while not idle:
        message = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") == waiting:
            seen += message["content"].get("text", "")
            idle = message["content"].get("execution_state") == "idle"
    assert kernel.finish(waiting)["status"] == "ok"
    return seen


def test_the_magic_shows_asks_and_releases_in_its_own_cell(work: Kernel) -> None:
    work.run("%load_ext memprobe")
    cells(work, "left = numpy.ones(2_500_000)")
    shown = printed(work, "%memprobe report")
    assert "or: %memprobe release " in shown, shown
    wanted = shown.split("or: %memprobe release ")[1].split()[0].partition("\x1b")[0]
    assert "del left" in printed(work, f"%memprobe release {wanted} --dry-run")
    assert "--yes" in printed(work, f"%memprobe release {wanted}")
    assert "nothing was touched" in printed(work, f"%memprobe release {wanted}", answer="n")
    assert work.value("int(left.sum())") == 2_500_000
    done = printed(work, f"%memprobe release {wanted}", answer="y")
    assert "del left" in done
    assert "19.1 MiB came back" in done
    assert "in this cell" in done
    assert work.value("'left' in globals()") is False
    assert "no finding" in printed(work, f"%memprobe release {wanted} --yes")
    assert printed(work, "%memprobe release").startswith("usage: ")
    work.run("%unload_ext memprobe")


def test_it_waits_for_the_end_of_a_cell_where_it_is_told_to(work: Kernel, tmp_path: Path) -> None:
    work.run("import functools\n@functools.lru_cache(maxsize=None)\n"
             "def rows(n): return numpy.ones(2_500_000)\nrows(1);")  # fmt: skip
    cells(work)
    with looked(work, tmp_path) as found:
        one = finding(found, "MP102")
        assert [cut.says for cut in one.cuts] == ["rows.cache_clear()"]
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waiting = work.start_cell(
        f"print('running', flush=True)\nwith open({str(gate)!r}) as file: file.read()\ndel file"
    )
    work.wait_for_output(waiting, "running")
    words = ["release", str(work.pid), one.fingerprint, "--yes", "--wait"]
    try:
        refused = verb(work, "release", one.fingerprint, "--yes", "-q")
        assert refused.returncode == 2
        assert "a cell is running" in refused.stderr
        waits = subprocess.Popen(
            [sys.executable, "-m", "memprobe", *words, str(PATIENCE)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert waits.stderr is not None
        while "waiting: " not in waits.stderr.readline():
            assert waits.poll() is None
    finally:
        gate.write_text("x")
        work.finish(waiting)
    shown, trouble = waits.communicate(timeout=PATIENCE)
    assert waits.returncode == 0, trouble
    assert "19.1 MiB came back" in shown
    assert work.value("rows.cache_info().currsize") == 0
    work.run("del rows, functools")
