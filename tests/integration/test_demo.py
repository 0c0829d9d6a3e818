"""``memprobe demo``: a real kernel, found leaking from outside, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from memprobe.cli import demo
from memprobe.demo import story
from memprobe.demo.kernel import started
from memprobe.errors import TargetError, UsageError


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the command, in a folder and with a temporary folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "NO_COLOR": "1"}
    environment.pop("XDG_RUNTIME_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "memprobe", "demo"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    done.folder = folder  # type: ignore[attr-defined]
    return done


def test_it_finds_the_displayed_frame_and_says_what_to_type(played) -> None:
    assert played.returncode == 0, played.stderr
    assert "MP201" in played.stdout
    assert "%xdel _3" in played.stdout


def test_it_attaches_while_the_last_cell_runs(played) -> None:
    lines = played.stderr.splitlines()
    running = next(n for n, line in enumerate(lines) if line.endswith("running"))

    assert "from outside, while the cell runs" in lines[running + 1]


def test_progress_goes_to_stderr_and_no_traceback_to_anybody(played) -> None:
    assert "starting" not in played.stdout
    assert "Traceback" not in played.stdout + played.stderr


def test_it_leaves_no_process_and_no_file_behind(played) -> None:
    pid = int(re.search(r"attached to process (\d+)", played.stderr)[1])
    left = [path for path in (played.folder / "tmp").rglob("*") if path.is_file()]

    assert not psutil.pid_exists(pid)
    assert left == []
    assert [path.name for path in played.folder.iterdir()] == ["tmp"]


def test_without_pandas_it_names_the_command_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)

    result = CliRunner().invoke(demo.command)

    assert isinstance(result.exception, UsageError)
    assert "pip install ipykernel pandas" in result.exception.remedy


def test_a_last_cell_that_fails_is_told_and_the_kernel_is_stopped(tmp_path: Path) -> None:
    with started(tmp_path) as kernel:
        pid = kernel.pid
        with pytest.raises(TargetError, match="did not begin"):
            kernel.begin("raise ValueError")

    assert not psutil.pid_exists(pid)


def test_the_notebook_comes_with_the_package() -> None:
    assert story.NOTEBOOK.is_file()
