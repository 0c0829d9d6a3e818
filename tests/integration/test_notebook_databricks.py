"""The probe in a Databricks notebook: reports by displayHTML, saved to a mount, told of a restart.

The kernel is an ordinary one with the variable that Databricks sets and names that it gives.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernels import Kernel
from test_in_notebook import TRACES, printed

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.recording.reader import read

GIVEN = """
import os, signal
pages = []
displayHTML = pages.append
class library:
    restartPython = staticmethod(lambda: os.kill(os.getpid(), signal.SIGKILL))
class dbutils:
    library = library
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "run").mkdir(mode=0o700)
    environment = {
        **os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "DATABRICKS_RUNTIME_VERSION": "15.4",
    }  # fmt: skip
    environment.pop("COLUMNS", None)
    with Kernel(tmp_path, environment) as running:
        running.run(GIVEN)
        running.control_info()
        yield running


def test_a_notebook_there_is_reported_saved_and_left_as_it_was(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run("__import__('memprobe_probes.magic'); __import__('memprobe_probes.ansi_html');")
    before = kernel.value(TRACES)
    kernel.run("%load_ext memprobe\nkept = ['x' * 30_000_000]")
    assert printed(kernel, "%memprobe report") == ""
    (page,) = kernel.value("pages")
    assert page.startswith("<pre")
    assert "kept" in page
    assert "\x1b" not in page
    far = tmp_path / "etl.memprobe"
    assert str(far) in printed(kernel, f"%memprobe save {far}")
    assert "already" in printed(kernel, f"%memprobe save {far}")
    assert (tmp_path / "etl.memprobe.parts" / "part-000001").exists()
    kernel.run("%memprobe\n%unload_ext memprobe\ndel kept\npages.clear()")
    assert kernel.value(TRACES) == before
    recording = read(far)
    assert recording.end is not None
    assert recording.end.reason == "detach"
    assert not (tmp_path / "etl.memprobe.parts").exists()
    assert recording.header.databricks is not None
    assert recording.header.databricks.runtime == "15.4"


def test_a_place_that_cannot_be_written_is_one_line(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%load_ext memprobe")
    said = printed(kernel, f"%memprobe save {tmp_path}/none/etl.memprobe")
    assert "cannot save" in said
    assert "No such file" in said
    assert "usage" in printed(kernel, "%memprobe save")


def test_a_kernel_that_ends_completes_what_was_saved(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"%load_ext memprobe\n%memprobe save {tmp_path}/etl.memprobe")
    kernel.client.shutdown()
    _ended(kernel)
    recording = read(tmp_path / "etl.memprobe")
    assert recording.end is not None
    assert recording.end.reason == "exit"


def test_a_kernel_that_is_killed_leaves_parts_that_can_be_read(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run(f"%load_ext memprobe\n%memprobe save {tmp_path}/etl.memprobe")
    os.kill(kernel.pid, signal.SIGKILL)
    _ended(kernel)
    recording = read(tmp_path / "etl.memprobe.parts")
    assert recording.header.context == "notebook"
    assert recording.end is None


def _spool(kernel: Kernel) -> Path:
    probe = "__import__('memprobe_probes.bootstrap').bootstrap.active()"
    return Path(str(kernel.value(f"{probe}.config['spool']")))


def _ended(kernel: Kernel) -> None:
    """Wait for the process's end; its manager is still to collect it."""
    os.waitid(os.P_PID, kernel.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("cell", ["dbutils.library.restartPython()", "%restart_python"])
def test_a_restart_is_told_before_nothing_can_be_told_any_more(kernel: Kernel, cell: str) -> None:
    kernel.run(
        "get_ipython().register_magic_function("
        "lambda line: dbutils.library.restartPython(), 'line', 'restart_python')\n"
        "%load_ext memprobe"
    )
    spool = _spool(kernel)
    while '"kind":"sample"' not in spool.read_text():
        os.sched_yield()
    kernel.start_cell(cell)
    _ended(kernel)
    recording = read(spool)
    assert [one.event for one in recording.events][-1] == "restarting"
    gaps = {gap.what: gap.why for gap in build.report(recording, Config()).not_measured}
    assert "restartPython" in gaps["the end of the run"]


def test_a_restart_that_runs_our_exit_handler_is_the_reason_of_the_end(kernel: Kernel) -> None:
    kernel.run(
        "%load_ext memprobe\n"
        "import memprobe_probes.bootstrap as own\n"
        "library.restartPython = staticmethod(lambda: (own._at_exit(), os._exit(0)))"
    )
    spool = _spool(kernel)
    kernel.start_cell("dbutils.library.restartPython()")
    _ended(kernel)
    end = read(spool).end
    assert end is not None
    assert end.reason == "restarted"


def test_a_restart_that_did_not_happen_is_taken_back(kernel: Kernel) -> None:
    kernel.run("library.restartPython = staticmethod(lambda: None)\n%load_ext memprobe")
    kernel.run("dbutils.library.restartPython()")
    assert [one.event for one in read(_spool(kernel)).events] == ["restarting", "not-restarted"]
