"""Which session folders of ended hosts are removed, and which may still be of use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from memprobe.targets import left_behind
from memprobe.targets.session import SessionFolder

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture(scope="module")
def ended() -> int:
    """The pid of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def session(
    base: Path, *, age: float, target: int | None = None, host: str = "", start: float | None = None
) -> Path:
    """Make a folder last written ``age`` seconds ago; with ``target`` it has a recording of it."""
    folder = base / f"s{len(list(base.iterdir()))}"
    folder.mkdir(0o700)
    os.mkfifo(folder / "control", 0o600)
    if host:
        (folder / left_behind.HOST).write_text(host)
    if target is not None:
        began = start if start is not None else time.time()
        record = {"kind": "header", "pid": target, "start": began}
        (folder / left_behind.SPOOL).write_text(json.dumps(record) + "\n")
    then = time.time() - age
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))
    return folder


def test_what_nobody_can_read_any_more_goes(tmp_path: Path, ended: int) -> None:
    without_records = session(tmp_path, age=2 * HOUR, host=f"{ended} 1")
    (without_records / left_behind.SPOOL).touch()
    then = time.time() - 2 * HOUR
    for path in (without_records / left_behind.SPOOL, without_records):
        os.utime(path, (then, then))
    joined = session(tmp_path, age=2 * HOUR, host=f"{ended} 1")
    old = session(tmp_path, age=8 * DAY, target=ended, host=f"{ended} 1")
    from_inside = session(tmp_path, age=8 * DAY, target=ended)
    number_reused = session(
        tmp_path, age=8 * DAY, target=os.getpid(), start=time.time() - 9 * DAY,
        host=f"{os.getpid()} 1",
    )  # fmt: skip
    gone = {without_records, joined, old, from_inside, number_reused}
    assert set(left_behind.sweep(tmp_path)) == gone
    assert list(tmp_path.iterdir()) == []


def test_what_may_be_of_use_stays(tmp_path: Path, ended: int) -> None:
    kept = [
        session(tmp_path, age=6 * DAY, target=ended, host=f"{ended} 1"),  # unread, perhaps
        session(tmp_path, age=8 * DAY, target=ended, host=left_behind.host_line()),
        session(tmp_path, age=8 * DAY, target=os.getpid()),
        session(tmp_path, age=60, host=f"{ended} 1"),  # it may be starting
    ]
    written_lately = session(tmp_path, age=8 * DAY, target=ended)
    os.utime(written_lately / left_behind.SPOOL)
    somewhere_else = tmp_path / "elsewhere"
    somewhere_else.mkdir()
    (tmp_path / "link").symlink_to(somewhere_else)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.iterdir())
    assert left_behind.sweep(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == before
    assert all(folder.exists() for folder in kept)


def test_a_new_session_sweeps_and_says_whose_it_is(
    tmp_path: Path, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    base = tmp_path / "memprobe"
    base.mkdir(0o700)
    left = session(base, age=2 * HOUR, host=f"{ended} 1")
    made = SessionFolder.create({})
    assert not left.exists()
    assert (made.path / left_behind.HOST).read_text() == left_behind.host_line()
    assert left_behind.host_line().startswith(f"{psutil.Process().pid} ")
    then = time.time() - 9 * DAY
    for path in (*made.path.iterdir(), made.path):
        os.utime(path, (then, then))
    assert left_behind.sweep(base) == []
    made.remove()


def test_a_folder_that_cannot_be_listed_is_no_error(tmp_path: Path) -> None:
    assert left_behind.sweep(tmp_path / "missing") == []


def test_a_folder_that_goes_while_it_is_looked_at_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    real = os.scandir

    def vanishing(path: object) -> object:
        entries = list(real(path))  # type: ignore[call-overload]
        (tmp_path / "gone").rmdir()
        return entries

    monkeypatch.setattr("os.scandir", vanishing)
    assert left_behind.sweep(tmp_path) == []
