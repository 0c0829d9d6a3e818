"""A recording is copied in whole files, each line once, whatever a mount does."""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path

import pytest

from memprobe_probes import segments
from memprobe_probes.segments import Segments, name_of


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.memprobe"
    path.write_bytes(b"")
    return path


def _add(spool: Path, content: bytes) -> None:
    with spool.open("ab") as file:
        file.write(content)


def _arrived(folder: Path) -> list[bytes]:
    parts = sorted(folder.glob("part-*"))
    assert [part.name for part in parts] == [name_of(n + 1) for n in range(len(parts))]
    return [zlib.decompress(part.read_bytes()) for part in parts]


def test_each_copy_is_a_new_file_of_whole_lines(spool: Path, tmp_path: Path) -> None:
    made = Segments(str(spool), [str(tmp_path / "far")])
    _add(spool, b"one\ntwo\nthr")
    assert made.copy()
    _add(spool, b"ee\n")
    assert made.copy()
    assert made.copy()  # nothing is new
    assert _arrived(tmp_path / "far") == [b"one\ntwo\n", b"three\n"]
    assert (tmp_path / "far" / name_of(1)).stat().st_mode & 0o777 == 0o600


def test_no_file_is_ever_written_twice_or_added_to(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    former = os.open

    def watched(path: str, flags: int, mode: int = 0o777) -> int:
        opened.append((str(path), flags))
        return former(path, flags, mode)

    monkeypatch.setattr(os, "open", watched)
    made = Segments(str(spool), [str(tmp_path / "far")])
    for number in range(3):
        _add(spool, b"%d\n" % number)
        assert made.copy()
    written = [(path, flags) for path, flags in opened if flags & os.O_WRONLY]
    assert len(written) == len({path for path, _ in written}) == 3
    assert not any(flags & (os.O_APPEND | os.O_RDWR) for _, flags in written)


def test_what_is_long_goes_in_several_files(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "LARGEST", 1000)
    monkeypatch.setattr(segments, "_BLOCK", 300)
    content = b"".join(b"%050d\n" % number for number in range(100))
    _add(spool, content)
    assert Segments(str(spool), [str(tmp_path / "far")]).copy()
    parts = _arrived(tmp_path / "far")
    assert b"".join(parts) == content
    assert len(parts) > 3
    assert all(part.endswith(b"\n") for part in parts)


def test_the_first_folder_that_takes_a_file_is_kept(spool: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = Segments(str(spool), [str(tmp_path / "file/below"), str(tmp_path / "b")])
    _add(spool, b"x\n")
    assert made.copy()
    assert made.folder == str(tmp_path / "b")


def test_what_could_not_be_written_is_written_later(spool: Path, tmp_path: Path) -> None:
    (tmp_path / "far").write_text("not a folder")
    made = Segments(str(spool), [str(tmp_path / "far")])
    _add(spool, b"x\n")
    assert not made.copy()
    assert made.failed
    assert not made.leave_word("{}")
    (tmp_path / "far").unlink()
    assert made.copy()
    assert made.failed is None
    assert _arrived(tmp_path / "far") == [b"x\n"]


def test_the_thread_copies_when_woken_and_the_rest_at_the_end(spool: Path, tmp_path: Path) -> None:
    made = Segments(str(spool), [str(tmp_path / "far")], every=3600.0)
    before = threading.active_count()
    made.start()
    assert threading.active_count() == before  # nobody who joins all threads waits for ours
    _add(spool, b"a\n")
    made.wake()
    while not (tmp_path / "far" / name_of(1)).exists():
        os.sched_yield()
    _add(spool, b"b\n")
    assert made.finish()
    assert b"".join(_arrived(tmp_path / "far")) == b"a\nb\n"


def test_a_mount_that_hangs_is_waited_for_so_long_and_no_longer(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(segments, "_write_whole", lambda path, content: stuck.wait(60))
    made = Segments(str(spool), [str(tmp_path / "far")], every=3600.0)
    _add(spool, b"a\n")
    made.start()
    assert not made.finish(seconds=0.2)
    assert "longer than" in str(made.failed)
    stuck.set()


def test_a_forked_child_copies_nothing(spool: Path, tmp_path: Path) -> None:
    made = Segments(str(spool), [str(tmp_path / "far")])
    _add(spool, b"a\n")
    made._pid = os.getpid() + 1  # as it looks in a child
    assert not made.copy()
    assert not made.finish()
    assert not (tmp_path / "far").exists()
