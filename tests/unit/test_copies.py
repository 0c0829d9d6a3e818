"""A recording on a mount that takes whole files only, and a report's colours as HTML."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from memprobe.errors import RecordingError
from memprobe.recording.reader import read
from memprobe_probes import ansi_html, context, copies, segments
from memprobe_probes.copies import Copy


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.memprobe"
    path.write_bytes(b'{"kind":"header","t":1,"format":1,"context":"script"}\n')
    return path


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as a mount."""
    folder = tmp_path / "Volumes"
    folder.mkdir()
    monkeypatch.setattr(copies, "MOUNTS", (f"{folder}/",))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return folder


def test_mounts_are_known_by_their_names() -> None:
    assert copies.is_remote("/Volumes/main/default/x/a.memprobe")
    assert copies.is_remote("/Workspace/Users/a/b.memprobe")
    assert not copies.is_remote("/tmp/Volumes/a.memprobe")
    assert not copies.is_remote("a.memprobe")


def test_parts_come_first_and_the_whole_at_the_end(spool: Path, tmp_path: Path) -> None:
    copy = Copy(str(spool), str(tmp_path / "a.memprobe"), every=3600.0)
    assert [path.name for path in (tmp_path / "a.memprobe.parts").iterdir()] == ["part-000001"]
    with spool.open("ab") as file:
        file.write(b'{"kind":"end","t":2}\n')
    assert copy.finish()
    assert (tmp_path / "a.memprobe").read_bytes() == spool.read_bytes()
    assert not (tmp_path / "a.memprobe.parts").exists()


def test_parts_that_were_left_are_read_as_a_recording(spool: Path, tmp_path: Path) -> None:
    Copy(str(spool), str(tmp_path / "a.memprobe"), every=3600.0)
    (tmp_path / "a.memprobe.parts" / segments.name_of(2)).write_bytes(b"half of it")
    recording = read(tmp_path / "a.memprobe.parts")
    assert recording.header.context == "script"
    assert recording.end is None
    with pytest.raises(RecordingError, match="is no recording"):
        read(tmp_path)


def test_what_is_there_is_never_overwritten(spool: Path, tmp_path: Path) -> None:
    for name in ("a.memprobe", "b.memprobe.parts"):
        (tmp_path / name).write_text("theirs")
    for name in ("a.memprobe", "b.memprobe"):
        with pytest.raises(FileExistsError):
            Copy(str(spool), str(tmp_path / name))
    assert (tmp_path / "a.memprobe").read_text() == "theirs"


def test_a_place_that_takes_no_file_is_an_error_and_leaves_nothing(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        Copy(str(spool), str(tmp_path / "none" / "a.memprobe"))

    def refused(path: str, content: bytes) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(segments, "_write_whole", refused)
    with pytest.raises(OSError, match="Operation not permitted"):
        Copy(str(spool), str(tmp_path / "a.memprobe"))
    assert [path.name for path in tmp_path.iterdir()] == ["spool.memprobe"]


def test_record_writes_to_a_mount_by_way_of_the_local_disk(mount: Path) -> None:
    with context.record(mount / "a.memprobe") as path:
        kept = ["x" * 12_000_000]
        assert (mount / "a.memprobe.parts").is_dir()
    assert path == str(mount / "a.memprobe")
    assert [one.name for one in mount.iterdir()] == ["a.memprobe"]
    recording = read(path)
    assert recording.end is not None
    assert recording.snapshots
    assert list((mount.parent / "memprobe").iterdir()) == []
    assert kept


def test_record_refuses_before_the_block_and_leaves_nothing(mount: Path) -> None:
    (mount / "a.memprobe").write_text("theirs")
    with pytest.raises(FileExistsError), context.record(mount / "a.memprobe"):
        pytest.fail("the block ran")
    assert list((mount.parent / "memprobe").iterdir()) == []


def test_an_exception_of_the_block_passes_and_the_recording_is_whole(mount: Path) -> None:
    with pytest.raises(ZeroDivisionError), context.record(mount / "a.memprobe"):
        _ = 1 / 0
    assert read(mount / "a.memprobe").end is not None


@pytest.mark.parametrize("action", ["default", "error"])
def test_a_mount_that_fails_at_the_end_is_told_and_the_local_file_stays(
    mount: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    def refused(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "_copy_whole", refused)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        with context.record(mount / "a.memprobe"):
            pass
    assert [str(one.message) for one in told if "No space left" in str(one.message)] or (
        action == "error"
    )
    (session,) = (mount.parent / "memprobe").iterdir()
    assert read(session / "spool.memprobe").end is not None


def test_colours_become_styles_and_everything_else_is_escaped() -> None:
    shown = ansi_html.page("a <b> \x1b[1;31mred & bold\x1b[0m plain \x1b[92mlight")
    assert "a &lt;b&gt; " in shown
    assert '<span style="font-weight:bold;color:#c0392b">red &amp; bold</span> plain ' in shown
    assert '<span style="color:#1e8449">light</span>' in shown
    assert "\x1b" not in shown
    assert shown.count("<span") == shown.count("</span>")


def test_no_thread_of_ours_is_left_by_record(mount: Path) -> None:
    before = sorted(os.listdir("/proc/self/task"))
    with context.record(mount / "a.memprobe"):
        pass
    while sorted(os.listdir("/proc/self/task")) != before:
        os.sched_yield()
