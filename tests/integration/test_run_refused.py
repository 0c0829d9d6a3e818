"""What can never start is one clear error with status 2, and nothing is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from running import PROGRAMS, Behaviour, bare_environment, behave, memprobe_run

NEVER = str(PROGRAMS / "leave.py")


def refused(line: list[str], cwd: Path, **variables: str | None) -> str:
    """Run ``line``; return its one error after checking that nothing else was shown."""
    seen: Behaviour = behave(line, env=bare_environment(**variables), cwd=cwd)
    assert (seen.stdout, seen.status) == ("", 2)
    assert seen.stderr.count("error:") == 1
    assert "cause:" in seen.stderr
    assert "help:" in seen.stderr
    assert "Traceback" not in seen.stderr
    return seen.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (["no_such.py"], "no such file"),
        (["no_such.ipynb"], "no such file"),
        (["no_such_command"], "no such command on PATH"),
        (["plain.txt"], "not executable"),
        (["folder"], "directory without __main__.py"),
        (["broken.ipynb"], "it is no notebook"),
        (["julia.ipynb"], "its language is julia"),
        (["python.ipynb", "argument"], "takes no arguments"),
        (["not_a_program"], "exec format error"),
    ],
)
def test_target_that_cannot_start(target: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain.txt").write_text("text")
    (tmp_path / "broken.ipynb").write_text("{")
    notebook = '{"cells": [], "metadata": {%s}, "nbformat": 4, "nbformat_minor": 5}'
    kernel = '"kernelspec": {"name": "j", "display_name": "j", "language": "julia"}'
    (tmp_path / "julia.ipynb").write_text(notebook % kernel)
    (tmp_path / "python.ipynb").write_text(notebook % "")
    (tmp_path / "not_a_program").write_bytes(b"\x7fELF\x00\x00")
    (tmp_path / "not_a_program").chmod(0o755)
    before = sorted(tmp_path.iterdir())
    line = memprobe_run(tmp_path / "never.memprobe", *target)
    assert said in refused(line, tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        ("/dev/full", "not a regular file"),
        ("missing/run.memprobe", "no such file or directory"),
        ("folder", "is a directory"),
        ("taken.memprobe", "the file exists and is not empty"),
    ],
)
def test_recording_that_cannot_be_written(recording: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken.memprobe").write_text("precious")
    line = memprobe_run(Path(recording), NEVER, "status")
    assert said in refused(line, tmp_path)
    assert (tmp_path / "taken.memprobe").read_text() == "precious"


def test_nothing_to_run(tmp_path: Path) -> None:
    seen = behave(memprobe_run(tmp_path / "x.memprobe"), env=bare_environment(), cwd=tmp_path)
    assert seen.status == 2
    assert "nothing to run" in seen.stderr


def test_full_disk_is_found_before_the_target_starts(tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk: both make write(2) fail.
    line = memprobe_run(tmp_path / "big.memprobe", NEVER, "status")
    shell = ["sh", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh", *line]
    assert "file too large" in refused(shell, tmp_path)
    assert not (tmp_path / "big.memprobe").exists()


def test_read_only_directory(tmp_path: Path) -> None:
    line = memprobe_run(tmp_path, NEVER, "status")
    line[line.index("-o") : line.index("-o") + 2] = []
    place = Path("/proc/self/task")  # no user, not even root, creates files here
    if not place.is_dir():
        pytest.skip("no /proc here: nothing else is read-only for root too")
    refused(line, place)


def test_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    (runtime / "memprobe").symlink_to(tmp_path)
    line = memprobe_run(tmp_path / "x.memprobe", NEVER, "status")
    said = refused(line, tmp_path, XDG_RUNTIME_DIR=str(runtime))
    assert "cannot use the session folder" in said
    assert not (tmp_path / "x.memprobe").exists()


def test_check_takes_the_targets_status_first(tmp_path: Path) -> None:
    line = memprobe_run(tmp_path / "c.memprobe", NEVER, "status", options=("-q", "--check"))
    assert behave(line, env=bare_environment(), cwd=tmp_path).status == 3


def test_check_passes_where_nothing_is_found(tmp_path: Path) -> None:
    line = memprobe_run(tmp_path / "c.memprobe", NEVER, "none", options=("-q", "--check"))
    assert behave(line, env=bare_environment(), cwd=tmp_path).status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--select", "MP999"), "there is no rule MP999"),
        (("--ignore", "output-histery"), "there is no rule output-histery"),
        (("--baseline", "none.json"), "cannot use none.json as a baseline"),
    ],
)
def test_a_gate_that_cannot_judge_is_refused_before_the_program_runs(
    options: tuple[str, str], said: str, tmp_path: Path
) -> None:
    line = memprobe_run(tmp_path / "c.memprobe", NEVER, "none", options=("--check", *options))
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert (seen.status, seen.stdout) == (2, "")
    assert f"error: {said}" in seen.stderr
    assert list(tmp_path.iterdir()) == []


LEAVES_A_TRACEBACK = """
import sys
def work():
    table = bytearray(30_000_000)
    raise ValueError
try:
    work()
except ValueError as error:
    kept = error
"""


def test_check_judges_by_the_chosen_rules_and_what_is_known(tmp_path: Path) -> None:
    script, known = tmp_path / "job.py", tmp_path / "known.json"
    script.write_text(LEAVES_A_TRACEBACK)

    def status(*options: str) -> int:
        line = memprobe_run(
            tmp_path / "c.memprobe", str(script), options=("--force", "--check", *options)
        )
        return behave(line, env=bare_environment(), cwd=tmp_path).status

    assert status() == 1
    assert status("--select", "MP2") == 0
    assert status("--ignore", "traceback-retained") == 0
    report = [sys.executable, "-m", "memprobe", "report", "c.memprobe", "--output-format", "json"]
    written = behave(
        [*report, "-o", str(known), "--exit-zero"], env=bare_environment(), cwd=tmp_path
    )
    assert written.status == 0
    assert status("--baseline", str(known)) == 0


def test_options_after_the_target_are_the_targets(tmp_path: Path) -> None:
    line = memprobe_run(tmp_path / "c.memprobe", "-m", "package_main", "--interval", "x", "-o", "y")
    seen = behave(line, env=bare_environment(), cwd=PROGRAMS)
    assert "['--interval', 'x', '-o', 'y']" in seen.stdout
