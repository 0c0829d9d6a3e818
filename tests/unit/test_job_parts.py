"""The recording of a job as it arrives: in order, each part once, also what was cut off."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recording_lines import header, line

from memprobe.databricks import parts as arriving
from memprobe.databricks.parts import Parts
from memprobe.recording.reader import read
from memprobe.recording.writer import RecordingWriter
from memprobe_probes.segments import OUTCOME, name_of


class Folder:
    """A store that is a dict; ``fetched`` tells what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def names(self) -> list[str]:
        return list(self.files)

    def get(self, name: str) -> bytes:
        self.fetched.append(name)
        return self.files[name]

    def part(self, number: int, *lines: bytes) -> None:
        self.files[name_of(number)] = zlib.compress(b"".join(lines))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RecordingWriter]:
    made = RecordingWriter.create(tmp_path / "a.memprobe")
    yield made
    made.close()


def _parts(writer: RecordingWriter, *folders: Any) -> Parts:
    return Parts(folders, writer)


def _samples(writer: RecordingWriter) -> list[int | None]:
    return [one.rss for one in read(writer.path).samples]


def test_each_part_is_fetched_once_and_in_order(writer: RecordingWriter) -> None:
    folder = Folder()
    parts = _parts(writer, Folder(), folder)
    folder.part(1, header(), line("sample", 1, rss=1))
    folder.part(3, line("sample", 3, rss=3))
    assert parts.fetch() == 1
    assert parts.header is not None
    folder.part(2, line("sample", 2, rss=2))
    assert parts.fetch() == 2
    assert parts.fetch() == 0
    assert folder.fetched == [name_of(1), name_of(2), name_of(3)]
    assert _samples(writer) == [1, 2, 3]


def test_a_part_that_is_still_being_written_is_taken_when_it_is_whole(
    writer: RecordingWriter,
) -> None:
    folder = Folder()
    parts = _parts(writer, folder)
    folder.part(1, header(), line("sample", 1, rss=1))
    whole = folder.files[name_of(1)]
    folder.files[name_of(1)] = whole[: len(whole) // 2]
    assert parts.fetch() == 0
    folder.files[name_of(1)] = whole
    assert parts.fetch() == 1
    assert _samples(writer) == [1]


def test_of_a_part_that_was_cut_off_for_good_the_whole_lines_are_kept(
    writer: RecordingWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "QUIET", 0.0)
    folder = Folder()
    parts = _parts(writer, folder)
    folder.part(1, header())
    packing = zlib.compressobj()
    packed = packing.compress(line("sample", 1, rss=1) + line("sample", 2, rss=2))
    packed += packing.flush(zlib.Z_SYNC_FLUSH) + packing.compress(line("sample", 3, rss=3)[:20])
    folder.files[name_of(2)] = packed + packing.flush(zlib.Z_SYNC_FLUSH)
    parts.fetch_rest(5.0)
    assert _samples(writer) == [1, 2]
    assert not read(writer.path).torn


def test_all_is_here_when_the_task_has_said_how_many_parts_there_are(
    writer: RecordingWriter,
) -> None:
    folder = Folder()
    parts = _parts(writer, folder)
    folder.part(1, header(), line("end", 2, reason="exit", peak=7))
    folder.files[OUTCOME] = json.dumps({"status": 3, "parts": 1}).encode()[:-3]
    parts.fetch()
    assert not parts.complete  # it has not arrived whole
    folder.files[OUTCOME] = json.dumps({"status": 3, "parts": 1}).encode()
    parts.fetch_rest(5.0)
    assert parts.complete
    assert parts.outcome == {"status": 3, "parts": 1}
    assert parts.end is not None
    assert parts.end.peak == 7
    assert read(writer.path).end is None  # the host writes it, with what only it knows
