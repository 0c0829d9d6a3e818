from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from recording_lines import header, line, ramp, write

from memprobe.errors import RecordingError
from memprobe.recording.reader import Recording, read


def some_recording() -> list[bytes]:
    """Return the lines of a recording with every kind in it and with multi-byte names."""
    cells = [
        piece
        for cell in range(1, 9)
        for piece in (
            line("marker", cell * 3, phase="start", cell=cell),
            line("sample", cell * 3 + 1, rss=cell << 20, cost={"cpu_ns": cell, "bytes": 9}),
            line("marker", cell * 3 + 2, cell=cell, bound={"größe_😀": 1}, used=["日本"]),
        )
    ]
    holder = {"id": 1, "root": "notebook-namespace", "expr": "größe", "object": 1, "type": "list"}
    return [
        header(),
        *cells,
        line("snapshot", 40, holders=[holder], groups=[{"holders": [1], "bytes": 5}]),
        line("spark", 41, app="a"),
        line("jvm", 42, heap_used=1),
        line("event", 43, event="join", client="é"),
        line("end", 44, reason="exit", status=0),
    ]


def records(recording: Recording) -> int:
    lists = (
        recording.samples,
        recording.markers,
        recording.snapshots,
        recording.spark,
        recording.jvm,
        recording.events,
    )
    return 1 + sum(map(len, lists)) + (recording.end is not None)


def test_a_recording_cut_at_every_byte_loses_at_most_its_last_line(tmp_path: Path) -> None:
    lines = some_recording()
    whole = b"".join(lines)
    path = tmp_path / "cut.memprobe"
    # A record is whole as soon as its last brace is there, with or without its newline.
    ends, position = [], 0
    for piece in lines:
        position += len(piece)
        ends.append(position - 1)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends)
        if complete == 0:
            with pytest.raises(RecordingError) as refused:
                read(path)
            wanted = "cut off before its first record" if size else "it is empty"
            assert wanted in refused.value.cause
            assert refused.value.remedy
            continue
        recording = read(path)
        assert records(recording) == complete
        assert recording.torn == (size not in ends and size - 1 not in ends)
        assert recording.warnings == []


def test_everything_that_was_written_is_read(tmp_path: Path) -> None:
    recording = read(write(tmp_path / "a.memprobe", *some_recording()))
    assert recording.header.program == "größe.ipynb"
    assert [sample.rss for sample in recording.samples] == [cell << 20 for cell in range(1, 9)]
    assert recording.markers[1].bound == {"größe_😀": 1}
    assert recording.snapshots[0].holders[0].expr == "größe"
    assert recording.spark[0].app == "a"
    assert recording.jvm[0].heap_used == 1
    assert recording.events[0].client == "é"
    assert recording.end is not None
    assert recording.end.status == 0


@pytest.mark.parametrize(
    ("bad", "warning"),
    [
        (b'{"kind":"sample","t":1,"rss":\n', "skipped unreadable line"),
        (b'{"kind":"sample","t":"soon"}\n', "skipped unreadable line"),
        (b'{"kind":["sample"],"t":1}\n', "skipped unreadable line"),
        (b"[" * 100_000 + b"\n", "skipped unreadable line"),
        (b"\x00\xff\xfe\n", "skipped unreadable line"),
        (b"[1]\n", "skipped unreadable line"),
        (b"\n", "skipped unreadable line"),
        (b'{"kind":"gpu","t":1}\n', "skipped record of the unknown kind 'gpu'"),
        (b'{"t":1}\n', "skipped record of the unknown kind 'None'"),
        (b'{"kind":"sample","t":1,"gpu":1}\n', "skipped unknown field sample.gpu"),
        (
            b'{"kind":"sample","t":1,"children":[{"pid":1,"gpu":1}]}\n',
            "skipped unknown field sample.children.gpu",
        ),
        (b'{"kind":"header","t":1}\n', "skipped second header"),
    ],
)
def test_what_cannot_be_understood_is_skipped_and_counted(
    tmp_path: Path, bad: bytes, warning: str
) -> None:
    lines = [header(), *ramp(2, 1e6, 0), bad, bad, *ramp(2, 1e6, 0)]
    recording = read(write(tmp_path / "a.memprobe", *lines))
    assert recording.warnings == [f"{warning} (2 times)"]
    understood = 2 if "unknown field" in warning else 0
    assert len(recording.samples) == 4 + understood
    assert not recording.torn


def test_a_name_that_is_no_utf8_does_not_cost_the_record(tmp_path: Path) -> None:
    # Python's JSON writer spells an undecodable byte of a file name as a lone surrogate.
    odd = header(program="X").replace(b'"X"', b'"etl\\udcff.py"')
    recording = read(write(tmp_path / "a.memprobe", odd))
    assert recording.header.program == "etl?.py"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "it is empty"),
        (b"\n", "not a record"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 5000, "not a record"),
        (b"import pandas\n", "not a record"),
        (b"no newline at all", "not a record"),
        (b'{"version": 1, "find', "not a record"),
        (b'{"version": 1}\n', "not a header"),
        (b"[1, 2]\n", "not a record"),
        (line("sample", 1, rss=1) + header(), "not a header"),
        (b'{"kind":"header"}\n', "header is damaged"),
        (header(pid="x"), "header is damaged"),
        (b"{" * 3_000_000, "not a record"),
    ],
)
def test_what_is_no_recording_is_refused_with_cause_and_remedy(
    tmp_path: Path, content: bytes, cause: str
) -> None:
    path = write(tmp_path / "a.memprobe", content)
    with pytest.raises(RecordingError) as refused:
        read(path)
    assert cause in refused.value.cause
    assert refused.value.remedy
    assert str(path) in refused.value.summary


def test_a_newer_format_is_refused_even_if_its_header_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.memprobe", b'{"kind":"header","format":2,"pid":{"new":1}}\n')
    with pytest.raises(RecordingError, match="format 2") as refused:
        read(path)
    assert "newer" in refused.value.cause
    assert "upgrade" in refused.value.remedy


def test_a_missing_file_a_directory_and_a_fifo_are_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    expected = {
        tmp_path / "missing": "No such file",
        tmp_path: "directory",
        fifo: "regular file",
        Path("/dev/zero"): "regular file",
        tmp_path / ("x" * 300): "too long",
    }
    for path, cause in expected.items():
        with pytest.raises(RecordingError) as refused:
            read(path)
        assert cause in refused.value.cause
        assert refused.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_one_may_not_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.memprobe", header())
    path.chmod(0)
    with pytest.raises(RecordingError, match="cannot read"):
        read(path)


def test_the_later_end_counts_and_keeps_what_only_the_earlier_one_knew(tmp_path: Path) -> None:
    lines = [header(), line("end", 1, reason="exit", peak=9), line("end", 2, reason="x", status=3)]
    end = read(write(tmp_path / "a.memprobe", *lines)).end
    assert end is not None
    assert (end.reason, end.status, end.peak) == ("x", 3, 9)


def test_a_day_of_samples_is_read_in_well_under_a_few_seconds(tmp_path: Path) -> None:
    sample = {"rss": 10**9, "gc": [1, 2, 3], "cost": {"cpu_ns": 1, "bytes": 1}}
    day = [line("sample", at, **sample) for at in range(86_400)]
    cells = [line("marker", at, cell=at, used=["df"]) for at in range(5_000)]
    path = write(tmp_path / "day.memprobe", header(), *day, *cells)
    start = time.process_time()
    recording = read(path)
    # CPU time, and wide: it takes 0.5 s here, and a busy machine must not fail the test.
    assert time.process_time() - start < 2.5
    assert len(recording.samples) == 86_400


def test_random_damage_is_survived_or_refused_but_never_a_bug(tmp_path: Path) -> None:
    whole = b"".join(some_recording())
    dice = random.Random(7)
    path = tmp_path / "damaged.memprobe"
    refusals = []
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(damaged))
            damaged[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        path.write_bytes(damaged)
        try:
            assert records(read(path)) <= len(some_recording()) + 24
        except RecordingError as refused:
            refusals.append(refused)
    assert 0 < len(refusals) < 500
    assert all(refused.cause and refused.remedy for refused in refusals)
