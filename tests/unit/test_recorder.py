"""The writer of a recording: its cap, its file, and what happens when writing fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from memprobe.recording.reader import read
from memprobe_probes.recorder import CROWDED, END_ROOM, RESERVED, Recorder

HEADER = {"format": 1, "context": "script"}


def filled(path: Path, kind: str, cap: int) -> Recorder:
    """Return a recorder that has refused a record of ``kind`` because of the cap."""
    recorder = Recorder(str(path), cap)
    recorder.write("header", **HEADER)
    while recorder.write(kind):
        pass
    return recorder


def kinds(path: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in path.read_bytes().splitlines()]


def test_half_full_is_crowded(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    while recorder.written <= 10_000 * CROWDED:
        assert not recorder.crowded
        assert recorder.write("sample", text="x" * 100)
    assert recorder.crowded
    assert recorder.written == (tmp_path / "a").stat().st_size
    recorder.close()


def test_samples_leave_a_quarter_to_snapshots_and_the_last_records_always_fit(
    tmp_path: Path,
) -> None:
    path, cap = tmp_path / "a", 40_000
    recorder = filled(path, "sample", cap)
    assert cap * RESERVED - 200 < recorder.written <= cap * RESERVED
    assert not recorder.write("marker", name="x" * 200)
    for routine in ("interval", "marker"):
        assert not recorder.write("snapshot", reason=routine, engine="x" * 200)
    assert recorder.write("snapshot", reason="exit")
    while recorder.write("snapshot", reason="x" * 100):
        pass
    assert cap - END_ROOM - 200 < recorder.written <= cap - END_ROOM
    while recorder.write("event", event="snapshot-dropped"):
        pass
    assert recorder.write("end", reason="x" * 1000)
    recorder.close()
    assert path.stat().st_size <= cap
    assert recorder.failed is None
    assert recorder.dropped == 6
    assert kinds(path)[-1] == "end"


def test_a_dropped_record_leaves_no_torn_line(tmp_path: Path) -> None:
    recorder = filled(tmp_path / "a", "sample", 9_000)
    recorder.write("end", reason="exit")
    recorder.close()
    recording = read(tmp_path / "a")
    assert not recording.torn
    assert not recording.warnings
    assert recording.end is not None


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        recorder = Recorder(str(tmp_path / "a"), 10_000)
    finally:
        os.umask(before)
    recorder.close()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_an_existing_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(FileExistsError):
        Recorder(str(tmp_path / "a"), 10_000)
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_never_followed(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "victim").write_text("")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        Recorder(str(tmp_path / "a"), 10_000)
    assert (tmp_path / "victim").exists() == there


def test_the_descriptor_is_out_of_the_programs_way_and_not_inherited(tmp_path: Path) -> None:
    before = os.open(os.devnull, os.O_RDONLY)
    os.close(before)
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    after = os.open(os.devnull, os.O_RDONLY)
    os.close(after)
    assert after == before
    assert not os.get_inheritable(recorder._fd)
    recorder.close()


def test_names_that_are_no_valid_unicode_are_written_and_read_again(tmp_path: Path) -> None:
    name = "größe\udc80\n\0\U0001f40d"
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    recorder.write("header", **HEADER)
    assert recorder.write("event", event=name)
    recorder.close()
    lines = (tmp_path / "a").read_bytes().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["event"] == name
    [event] = read(tmp_path / "a").events
    assert event.event.startswith("größe")


def test_writing_after_close_is_dropped(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    assert recorder.write("header", **HEADER)
    recorder.close()
    recorder.close()
    assert not recorder.write("end", reason="late")
    assert recorder.failed is None
    assert kinds(tmp_path / "a") == ["header"]


def test_a_full_disk_is_said_once_and_never_raised(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    recorder.write("header", **HEADER)
    full = os.open("/dev/full", os.O_WRONLY)
    with_file(recorder, full)
    assert not recorder.write("sample")
    assert recorder.failed == "No space left on device"
    # There may be room again, but a line could be torn by now: nothing more is written.
    with_file(recorder, os.open(tmp_path / "a", os.O_WRONLY | os.O_APPEND))
    assert not recorder.write("end", reason="exit")
    recorder.close()
    assert kinds(tmp_path / "a") == ["header"]


def with_file(recorder: Recorder, fd: int) -> None:
    """Let the recorder's own descriptor be the file of ``fd``."""
    os.dup2(fd, recorder._fd, inheritable=False)
    os.close(fd)
    facts = os.fstat(recorder._fd)
    recorder._file = (stat.S_IFMT(facts.st_mode), facts.st_dev, facts.st_ino)


SHORT = """
import resource, sys
from memprobe_probes.recorder import Recorder
recorder = Recorder(sys.argv[1], 10_000)
recorder.write("header", format=1, context="script")
resource.setrlimit(resource.RLIMIT_FSIZE, (recorder.written + 20, resource.RLIM_INFINITY))
print(recorder.write("sample", rss=1), recorder.failed, recorder.written)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(recorder.write("end", reason="exit"), recorder.failed)
"""


def test_after_a_short_write_nothing_follows_the_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "a"
    first, second = script(SHORT, path).splitlines()
    assert first == f"False short write {path.stat().st_size}"
    assert second == "False short write"
    recording = read(path)
    assert recording.torn
    assert recording.end is None


def test_a_descriptor_that_the_program_closed_and_reused_is_left_alone(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "a"), 10_000)
    number = recorder._fd
    theirs = os.open(tmp_path / "theirs", os.O_WRONLY | os.O_CREAT)
    os.dup2(theirs, number)
    os.close(theirs)
    assert not recorder.write("sample")
    assert recorder.failed is not None
    recorder.close()
    assert (tmp_path / "theirs").read_bytes() == b""
    os.close(number)  # it is still open: an error otherwise


FORK = """
import os, sys
from memprobe_probes.recorder import Recorder
recorder = Recorder(sys.argv[1], 10_000)
recorder.write("header", format=1, context="script")
child = os.fork()
if child == 0:
    recorder.write("sample", rss=1)
    recorder.close()
    os._exit(0)
os.waitpid(child, 0)
print(recorder.write("end", reason="exit"))
"""


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    assert script(FORK, tmp_path / "a") == "True\n"
    assert kinds(tmp_path / "a") == ["header", "end"]


def script(source: str, path: Path) -> str:
    """Run ``source`` with a path in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", source, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
