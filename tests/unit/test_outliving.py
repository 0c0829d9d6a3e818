"""What a script leaves behind is told, and what may be anybody's is not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from recording_lines import header, line, write

from memprobe.targets import outliving


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def recording(tmp_path: Path, pid: int, start: float, role: str = "child") -> Path:
    children = [{"pid": pid, "role": role, "rss": 1}]
    return write(
        tmp_path / "x.memprobe",
        header(context="script", start=start),
        line("sample", 1, rss=1, children=children),
        line("sample", 2, rss=1, children=[]),
    )


def test_a_child_that_runs_on_is_told_until_it_has_ended(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    path = recording(tmp_path, child.pid, time.time() - 10)
    (told,) = outliving.left_by(path, outliving.segments(), None)
    assert told.startswith("a child process (")
    child.kill()
    child.wait()
    assert outliving.left_by(path, outliving.segments(), None) == []


def test_a_jvm_has_a_moment_to_see_that_its_python_has_ended(tmp_path: Path) -> None:
    for role, told in (("driver-jvm", False), ("child", True)):
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"]) as ending:
            path = recording(tmp_path, ending.pid, time.time() - 10, role)
            assert bool(outliving.left_by(path, outliving.segments(), None)) is told


def test_a_process_older_than_the_script_is_not_its_child(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    path = recording(tmp_path, child.pid, time.time() + 60)
    assert outliving.left_by(path, outliving.segments(), None) == []


def test_shared_memory_counts_when_every_process_leaves_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(outliving, "SEGMENTS", folder)
    path = recording(tmp_path, 2**22 + 1, time.time())
    before = outliving.segments()
    (folder / "psm_1").touch()
    told = outliving.left_by(path, before, None)
    assert told == ["shared memory in /dev/shm"]
    again = outliving.segments()
    assert outliving.left_by(path, again, told) == []
    (folder / "psm_2").touch()
    assert outliving.left_by(path, again, told) == told
