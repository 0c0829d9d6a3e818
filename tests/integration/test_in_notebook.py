"""The probe from inside: %load_ext memprobe, %memprobe, and `with memprobe.record(...)`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import PATIENCE, Kernel

from memprobe import detectors
from memprobe.analysis.evidence import gather
from memprobe.config import Config
from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Sample
from memprobe.targets.kernel import Attachment, AttachOptions, attach

TRACES = """{
    "hooks": {event: len(found) for event, found in get_ipython().events.callbacks.items()},
    "magic": "memprobe" in get_ipython().magics_manager.magics["line"],
    "cell magic": "memprobe" in get_ipython().magics_manager.magics["cell"],
    "transformers": len(get_ipython().input_transformers_cleanup),
    "completers": list(get_ipython().strdispatchers["complete_command"].strs),
    "names": sorted(name for name in get_ipython().user_ns if not name.startswith("_")),
    "threads": len(__import__("os").listdir("/proc/self/task")),
    "collector": len(__import__("gc").callbacks),
    "files": sorted(
        link for fd in __import__("os").listdir("/proc/self/fd")
        for link in [__import__("os").path.realpath("/proc/self/fd/" + fd)]
        if "memprobe" in link or "statm" in link),
}"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    # A short path of its own, so that no session of anybody else is met.
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "run").mkdir(mode=0o700)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder / "run")}
    environment.pop("COLUMNS", None)  # pytest-xdist sets it
    with Kernel(folder, environment) as running:
        running.run("import numpy as np")
        running.control_info()
        yield running


def printed(kernel: Kernel, cell: str) -> str:
    """Run a cell and return what it printed."""
    message = kernel.start_cell(cell)
    text, idle = "", False
    deadline = time.monotonic() + PATIENCE
    while not idle:
        assert time.monotonic() < deadline, text
        answer = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if answer["parent_header"].get("msg_id") == message:
            text += answer["content"].get("text", "")
            idle = answer["content"].get("execution_state") == "idle"
    assert kernel.finish(message)["status"] == "ok", text
    return text


def spool_in(text: str) -> Path:
    """Return the recording that a status or farewell names."""
    return Path(next(word for word in text.split() if word.endswith(".memprobe")))


def visit(kernel: Kernel, path: Path) -> Attachment:
    attachment = attach(kernel.connection_file, kernel.pid, AttachOptions(output=path))
    kernel.wait_for(attachment, lambda records: any(isinstance(r, Sample) for r in records))
    return attachment


def clients(kernel: Kernel) -> list[str]:
    found = kernel.value(
        "__import__('memprobe_probes.bootstrap').bootstrap.command({'verb': 'status'})"
        ".get('result', {}).get('clients', [])"
    )
    assert isinstance(found, list)
    return found


def test_loading_measures_and_unloading_leaves_nothing(kernel: Kernel) -> None:
    kernel.run("__import__('memprobe_probes.magic');")  # imported modules stay
    before = kernel.value(TRACES)
    kernel.run("%load_ext memprobe")
    status = printed(kernel, "%memprobe")
    assert "measuring this notebook every 1 s" in status
    assert printed(kernel, "%memprobe status").splitlines()[0] == status.splitlines()[0]
    spool = spool_in(status)
    assert spool.stat().st_mode & 0o777 == 0o600
    during = kernel.value(TRACES)
    assert during["magic"]
    assert during["threads"] == before["threads"] + 1
    assert str(spool) in during["files"]
    kernel.run("%unload_ext memprobe")
    # Nothing to wait for: the magic returns when the probe has gone.
    assert kernel.value(TRACES) == before
    recording = read(spool)
    assert recording.header.method == "extension"
    assert recording.end is not None
    assert recording.end.reason == "detach"
    gone = kernel.run("%memprobe", may_fail=True)
    assert (gone["status"], gone["ename"]) == ("error", "UsageError")


def test_the_report_shows_what_is_held(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    kernel.run("idle_array = np.ones(4_000_000)")
    for step in range(6):
        kernel.run(f"step = {step}")
    report = printed(kernel, "%memprobe report")
    assert "MP202" in report
    assert "idle_array" in report
    kernel.run("del idle_array, step\n%unload_ext memprobe")


def test_stopping_says_where_the_recording_is_and_reloading_starts_again(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    farewell = printed(kernel, "%memprobe stop")
    assert farewell.startswith("memprobe has stopped; the recording is /")
    assert read(spool_in(farewell)).end is not None
    for word in ("", "status", "report", "snapshot", "stop"):
        assert "no probe in this notebook" in printed(kernel, f"%memprobe {word}")
    # As the message tells: IPython would refuse a second %load_ext.
    assert printed(kernel, "%reload_ext memprobe") == ""
    first = spool_in(printed(kernel, "%memprobe"))
    kernel.run("%reload_ext memprobe")
    second = spool_in(printed(kernel, "%memprobe"))
    assert read(first).end is not None
    assert read(second).end is None
    assert clients(kernel) == ["extension"]
    kernel.run("%unload_ext memprobe")


def test_anything_else_is_answered_with_the_usage(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    usage = (
        "usage: %memprobe status | report | snapshot | stop | graph NAME | release FINGERPRINT… "
        "| save FILE\n"
    )
    assert printed(kernel, "%memprobe nonsense") == usage
    assert printed(kernel, "%memprobe status now").startswith("usage: ")
    kernel.run("%unload_ext memprobe")


def test_the_verbs_are_completed(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    line = "%memprobe s"
    found = kernel.value(f"get_ipython().complete('s', {line!r}, {len(line)})[1]")
    assert set(found) >= {"status", "snapshot", "stop"}
    kernel.run("%unload_ext memprobe")


def test_a_snapshot_shows_who_holds_what_and_since_when(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    cell = kernel.run("wanted = np.ones(4_000_000)")["execution_count"]
    used = kernel.run("total = wanted.sum()")["execution_count"]
    shown = printed(kernel, "%memprobe snapshot")
    row = next((line for line in shown.splitlines() if line.startswith("wanted")), shown)
    assert "numpy.ndarray 4,000,000" in row
    assert "30.5 MiB" in row
    assert f"cell {cell}" in row
    assert f"cell {used}" in row
    assert "MP202" not in shown
    kernel.run("del wanted, total\n%unload_ext memprobe")


# --- %%memprobe -------------------------------------------------------------------------------


def answers(kernel: Kernel, cell: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a cell; return its reply and the contents of everything it published."""
    message = kernel.start_cell(cell)
    published: list[dict[str, Any]] = []
    while True:
        answer = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if answer["parent_header"].get("msg_id") != message:
            continue
        content = {"kind": answer["msg_type"], **answer["content"]}
        if content.get("execution_state") == "idle":
            return kernel.finish(message), published
        published.append(content)


def report_of(published: list[dict[str, Any]]) -> dict[str, str]:
    """Return the report of a measured cell, by MIME type."""
    (found,) = [one["data"] for one in published if one["kind"] == "display_data"]
    return dict(found)


def result_of(published: list[dict[str, Any]]) -> list[str]:
    return [one["data"]["text/plain"] for one in published if one["kind"] == "execute_result"]


@pytest.fixture(params=["with a probe", "without a probe"])
def magic(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    kernel.run("%load_ext memprobe")
    if request.param == "without a probe":
        kernel.run("%memprobe stop")
    yield kernel
    kernel.run("%unload_ext memprobe")


def test_a_measured_cell_says_what_it_did_to_memory(magic: Kernel) -> None:
    reply, published = answers(
        # Too large for the allocator to take from what it has kept.
        magic,
        "%%memprobe\nkept = np.ones(6_000_000)\npassing = np.ones(12_000_000); del passing",
    )
    assert reply["status"] == "ok"
    report = report_of(published)
    lines = report["text/plain"].splitlines()
    assert lines[0].startswith("memprobe   the cell took ")
    told = re.search(r"([\d.]+) MiB before, ([\d.]+) MiB after .* peak ([\d.]+) MiB", lines[1])
    assert told is not None
    before, after, peak = map(float, told.groups())
    assert after - before == pytest.approx(45.8, abs=3)
    assert peak - before == pytest.approx(137.3, abs=6)
    assert re.fullmatch(r"keeps      \+45.8 MiB +kept   numpy.ndarray, new", lines[2])
    assert "<td>kept</td><td>numpy.ndarray, new</td>" in report["text/html"]
    let_go = report_of(answers(magic, "%%memprobe\ndel kept")[1])["text/plain"]
    assert "keeps      nothing more than before" in let_go
    assert "lets go    45.8 MiB that names kept before the cell" in let_go


def test_a_measured_cell_runs_as_without_the_magic(magic: Kernel) -> None:
    reply, published = answers(magic, "%%memprobe\nimport asyncio\nawait asyncio.sleep(0)\n6 * 7")
    count = reply["execution_count"]
    assert result_of(published) == ["42"]
    assert magic.value(f"(Out[{count}], _, In[{count}].split()[-1])") == (42, 42, "7")
    assert report_of(published)
    quiet = answers(magic, "%%memprobe\n6 * 7;")[1]
    assert result_of(quiet) == []
    nested = answers(magic, "%%memprobe\n%%timeit -n1 -r1\npass")[1]
    assert "per loop" in str(nested)
    assert report_of(nested)
    inner = answers(magic, "%%time\n%%memprobe\ninside = 3\ninside + 1")[1]
    assert result_of(inner) == ["4"]
    assert report_of(inner)
    assert magic.value("inside") == 3
    assert not [one for one in answers(magic, "1")[1] if one["kind"] == "display_data"]
    magic.run("del inside, asyncio")


def test_an_error_in_a_measured_cell_is_the_users_own(magic: Kernel) -> None:
    plain = magic.run("#\n\nif True:\n    1 / 0", may_fail=True)
    reply, published = answers(magic, "%%memprobe\n\nif True:\n    1 / 0")
    assert (reply["status"], reply["ename"]) == ("error", "ZeroDivisionError")
    counted = "\n".join(reply["traceback"]).replace(
        f"In[{reply['execution_count']}]", f"In[{plain['execution_count']}]"
    )
    expected = "\n".join(plain["traceback"])
    assert "memprobe_probes" not in counted
    assert line_numbers(counted) == line_numbers(expected)
    assert report_of(published)
    wrong = answers(magic, "%%memprobe\nx = = 1")[0]
    assert wrong["ename"] == "SyntaxError"
    assert answers(magic, "%%memprobe\n1")[0]["status"] == "ok"


def line_numbers(text: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return re.findall(r"line (\d+)|-> *(\d+)", plain)  # type: ignore[return-value]


def test_databricks_shows_the_report_by_its_own_function(magic: Kernel) -> None:
    magic.run("shown = []\ndisplayHTML = shown.append")
    published = answers(magic, "%%memprobe\npass")[1]
    assert [one for one in published if one["kind"] == "display_data"] == []
    assert magic.value("shown[0][:24]") == '<table class="memprobe">'
    magic.run("del displayHTML, shown")


def test_a_measurement_without_a_probe_leaves_nothing(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe\n%memprobe stop")
    answers(kernel, "%%memprobe\npass")
    before = kernel.value(TRACES)
    answers(kernel, "%%memprobe\npass")
    assert kernel.value(TRACES) == before
    assert before["files"] == []
    kernel.run("%unload_ext memprobe")


def test_a_visitor_joins_and_leaves_and_the_extension_stays(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%load_ext memprobe")
    spool = spool_in(printed(kernel, "%memprobe"))
    attachment = visit(kernel, tmp_path / "a.memprobe")
    assert len(clients(kernel)) == 2
    attachment.detach()
    assert clients(kernel) == ["extension"]
    assert spool_in(printed(kernel, "%memprobe")) == spool
    assert read(spool).end is None
    kernel.run("%unload_ext memprobe")
    assert read(spool).end is not None


def test_the_extension_joins_a_visitor_and_leaves_it_there(kernel: Kernel, tmp_path: Path) -> None:
    attachment = visit(kernel, tmp_path / "a.memprobe")
    kernel.run("%load_ext memprobe")
    assert len(clients(kernel)) == 2
    kernel.run("%unload_ext memprobe")
    assert len(clients(kernel)) == 1
    attachment.detach()
    recording = read(tmp_path / "a.memprobe")
    assert recording.header.method == "kernel"
    assert recording.end is not None


# The probe's thread leaves only when somebody waits for that (or waits in vain).
SLOW_TO_LEAVE = """
seen = sys.modules["memprobe_probes.bootstrap"]
probe, wait, asked = seen.active(), seen.wait_for_departure, threading.Event()
def close(*arguments, **options):
    asked.wait(10)
    return type(probe).close(probe, *arguments, **options)
def wait_for_departure():
    asked.set()
    wait()
probe.close, seen.wait_for_departure = close, wait_for_departure
seen.stop("stop")
"""


@pytest.mark.parametrize("injected", [False, True])
def test_a_visit_while_another_probe_leaves_gets_a_probe_of_its_own(
    tmp_path: Path, injected: bool
) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.run("import sys, threading")
        if not injected:
            kernel.run("import memprobe_probes")
        modules = "sorted(name for name in sys.modules if name.startswith('memprobe'))"
        before = kernel.value(modules)
        first = visit(kernel, tmp_path / "a.memprobe")
        kernel.run(SLOW_TO_LEAVE)
        second = visit(kernel, tmp_path / "b.memprobe")
        assert len(clients(kernel)) == 1
        kernel.run("del seen, probe, wait, close, wait_for_departure")
        second.detach()
        first.detach()
        recording = read(tmp_path / "b.memprobe")
        assert recording.end is not None
        assert recording.end.reason == "detach"
        assert recording.header.session != read(tmp_path / "a.memprobe").header.session
        if injected:
            assert kernel.value(modules) == before


def test_cells_that_print_do_not_push_out_the_last_output(kernel: Kernel) -> None:
    kernel.run("%load_ext memprobe")
    spool = spool_in(printed(kernel, "%memprobe"))
    kernel.run("np.ones(4_000_000)")
    for _ in range(4):
        kernel.run("print('said')")
    kernel.run("total = _.sum()")
    in_use = judged(kernel, spool)
    assert "MP201" not in in_use
    for _ in range(3):
        kernel.run("1 + 1")
    for _ in range(5):
        kernel.run("total = _")
    assert "MP201" in judged(kernel, spool)
    kernel.run("%reset -f out")
    kernel.run("%unload_ext memprobe")


def judged(kernel: Kernel, spool: Path) -> set[str]:
    """Take a snapshot and return the codes of what is found."""
    kernel.value("__import__('memprobe_probes.bootstrap').bootstrap.command({'verb': 'snapshot'})")
    return {finding.code for finding in detectors.run(gather(read(spool), Config()))}


def test_a_block_in_a_notebook_is_recorded(kernel: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "block.memprobe"
    before = kernel.value(TRACES)
    kernel.run(
        f"import memprobe\nwith memprobe.record({str(path)!r}) as where:\n"
        f"    assert where == {str(path)!r}\n    block = np.ones(4_000_000)\n"
        "del block, where, memprobe"
    )
    assert kernel.value(TRACES) == before
    recording = read(path)
    assert (recording.header.context, recording.header.method) == ("notebook", "record")
    assert "block" in held(recording)


def held(recording: Recording) -> list[str]:
    return [holder.expr for holder in recording.snapshots[-1].holders]


# --- record() in a script ---------------------------------------------------------------------

START = "import gc, os, sys, threading\nimport memprobe\npath = sys.argv[1]\n"
# Printed at the end: nothing of the probe is left in the process.
CLEAN = """
from memprobe_probes import bootstrap
print(bootstrap.active(), len(gc.callbacks), [
    link for fd in os.listdir("/proc/self/fd")
    for link in [os.path.realpath(f"/proc/self/fd/{fd}")] if "memprobe" in link or "statm" in link])
"""
NOTHING = "None 0 []"


def script(source: str, path: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + source, str(path)], capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip


def test_a_block_in_a_script_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "with memprobe.record(path):\n"
        "    table = [bytes(1000) for _ in range(20_000)]\n"
        "    print(threading.active_count(), len(os.listdir('/proc/self/task')))" + CLEAN,
        path,
    )
    assert (done.stdout, done.stderr) == (f"1 1\n{NOTHING}\n", "")
    recording = read(path)
    assert (recording.header.context, recording.header.method) == ("script", "record")
    assert [snapshot.reason for snapshot in recording.snapshots] == ["exit"]
    assert "table" in str(held(recording))
    assert recording.end is not None
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_exception_leaves_the_block_as_it_is_and_the_recording_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "try:\n with memprobe.record(path):\n  kept = bytearray(20_000_000)\n  1 / 0\n"
        "except ZeroDivisionError as error:\n"
        " print(type(error.__context__), type(error.__cause__))" + CLEAN,
        path,
    )
    none = "<class 'NoneType'>"
    assert (done.stdout, done.stderr) == (f"{none} {none}\n{NOTHING}\n", "")
    recording = read(path)
    assert "kept" in str(held(recording))
    assert recording.end is not None


REFUSED = (
    "try:\n with memprobe.record(path): print('the block ran')\n"
    "except OSError as error: print(type(error).__name__, str(error).count(path))" + CLEAN
)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("there.memprobe", "FileExistsError"),
        ("missing/a.memprobe", "FileNotFoundError"),
        ("there.memprobe/a.memprobe", "NotADirectoryError"),
        ("link.memprobe", "FileExistsError"),
        ("/dev/full", "FileExistsError"),
    ],
)
def test_a_path_that_cannot_be_written_is_one_error_before_the_block(
    tmp_path: Path, where: str, error: str
) -> None:
    (tmp_path / "there.memprobe").write_text("mine")
    (tmp_path / "link.memprobe").symlink_to(tmp_path / "victim")
    done = script(REFUSED, tmp_path / where)
    assert (done.stdout, done.stderr) == (f"{error} 1\n{NOTHING}\n", "")
    assert (tmp_path / "there.memprobe").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["link.memprobe", "there.memprobe"]


def test_a_full_disk_is_said_before_the_block_and_leaves_no_file(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
    done = script(limit + REFUSED, tmp_path / "a.memprobe")
    assert (done.stdout, done.stderr) == (f"OSError 1\n{NOTHING}\n", "")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_up_in_the_block_does_not_disturb_it(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "import resource\nwith memprobe.record(path):\n"
        " room = os.path.getsize(path) + 10\n"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))\n"
        " print('the block ran')" + CLEAN,
        path,
    )
    assert (done.stdout, done.stderr) == (f"the block ran\n{NOTHING}\n", "")
    recording = read(path)
    assert recording.torn
    assert recording.end is None


def test_a_second_recording_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "with memprobe.record(path):\n"
        " try:\n  with memprobe.record(path + '2'): print('the block ran')\n"
        " except RuntimeError as error: print(error)\n"
        " print(os.path.exists(path + '2'))\n"
        "with memprobe.record(path + '3'): pass" + CLEAN,
        path,
    )
    expected = f"memprobe is already recording in this process\nFalse\n{NOTHING}\n"
    assert (done.stdout, done.stderr) == (expected, "")
    assert read(path).end is not None
    assert read(f"{path}3").end is not None


def test_a_block_in_a_thread_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "def work():\n with memprobe.record(path):\n  global made\n  made = bytearray(20_000_000)\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()" + CLEAN,
        path,
    )
    assert (done.stdout, done.stderr) == (NOTHING + "\n", "")
    recording = read(path)
    assert "made" in str(held(recording))
    assert recording.end is not None


def test_a_forked_child_of_the_block_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.memprobe"
    done = script(
        "with memprobe.record(path, interval=0.01):\n"
        " before = os.path.getsize(path)\n"
        " child = os.fork()\n"
        " if child == 0:\n"
        "  import time\n  end = time.monotonic() + 0.1\n"
        "  while time.monotonic() < end: gc.collect()\n"
        "  with memprobe.record(path + '2'): pass\n"
        "  os._exit(0)\n"
        " os.waitpid(child, 0)\n"
        " print(os.path.getsize(path) - before)" + CLEAN,
        path,
    )
    assert (done.stdout, done.stderr) == (f"0\n{NOTHING}\n", "")
    assert read(path).end is not None
    assert read(f"{path}2").header.pid != read(path).header.pid
