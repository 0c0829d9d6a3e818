"""Reports are written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memprobe.cli import whole_file
from memprobe.cli.output import write_file
from memprobe.cli.whole_file import write_whole
from memprobe.errors import MemprobeError


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"former")
    target.chmod(0o640)
    first = target.stat().st_ino

    write_whole(str(target), b"new")

    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_ino != first
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_new_file_has_the_permissions_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "opened").write_bytes(b"")

    write_whole(str(tmp_path / "new"), b"x")

    assert (tmp_path / "new").stat().st_mode == (tmp_path / "opened").stat().st_mode


def test_a_disk_that_fails_leaves_the_former_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"former")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "replace", full)

    with pytest.raises(MemprobeError) as raised:
        write_file(str(target), "new", option="--html")

    assert "No space left" in raised.value.cause
    assert "--html FILE" in raised.value.remedy
    assert target.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_link_keeps_leading_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"former")
    (tmp_path / "link").symlink_to("real")

    write_whole(str(tmp_path / "link"), b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    write_whole("/dev/null", b"x")

    assert Path("/dev/null").is_char_device()
