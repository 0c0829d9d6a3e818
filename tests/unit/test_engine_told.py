"""A report tells which engine measured, and what was missed without the native walker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recording_lines import header, line, write

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.findings import NotMeasured, Report
from memprobe.recording.reader import read
from memprobe.reporters import json as json_report
from memprobe.reporters import markdown, text

WHY = "the native walker needs the GIL, and this is a free-threaded Python"


def report(tmp_path: Path, *snapshots: dict[str, object]) -> Report:
    lines = [line("snapshot", at, **fields) for at, fields in enumerate(snapshots)]
    return build.report(read(write(tmp_path / "a.memprobe", header(), *lines)), Config())


def reasons(made: Report) -> list[NotMeasured]:
    return [gap for gap in made.not_measured if gap.why == WHY]


def test_the_fallback_is_told_with_its_reason_in_every_report(tmp_path: Path) -> None:
    made = report(tmp_path, {"engine": "fallback", "engine_note": WHY})
    shown = " ".join(text.render(made, width=120).split())
    assert "walked in the process, without the native walker" in shown
    assert WHY in shown
    assert "without the native walker" in markdown.render(made)
    assert WHY in markdown.render(made)
    told = json.loads(json_report.render(made))
    assert (told["overhead"]["engine"], told["overhead"]["engine_note"]) == ("fallback", WHY)
    assert WHY in [gap["why"] for gap in told["not_measured"]]


def test_the_native_walker_is_told_and_nothing_was_missed(tmp_path: Path) -> None:
    made = report(tmp_path, {"engine": "native"})
    assert "native walker" in text.render(made, width=120)
    assert "without" not in text.render(made, width=120)
    assert (made.overhead.engine, made.overhead.engine_note) == ("native", None)
    assert [gap for gap in made.not_measured if "walker" in gap.why] == []


@pytest.mark.parametrize("first", ["native", "fallback"])
def test_the_last_snapshot_that_was_taken_decides(tmp_path: Path, first: str) -> None:
    made = report(
        tmp_path,
        {"engine": first, "engine_note": "of the first"},
        {"engine": "fallback", "engine_note": WHY},
        {"engine": "native", "skipped": "too long"},
    )
    assert made.overhead.engine == "fallback"
    assert len(reasons(made)) == 1
    assert "of the first" not in text.render(made, width=120)


def test_where_every_snapshot_was_skipped_the_reason_is_told_all_the_same(tmp_path: Path) -> None:
    sample = line("sample", 2.0, rss=1 << 20)
    skipped = line("snapshot", 1.0, engine="fallback", engine_note=WHY, skipped="too long")
    path = write(tmp_path / "a.memprobe", header(), skipped, sample)
    made = build.report(read(path), Config())
    assert made.overhead.engine is None
    assert len(reasons(made)) == 1


def test_an_older_recording_tells_no_reason_that_it_does_not_hold(tmp_path: Path) -> None:
    made = report(tmp_path, {"engine": "fallback"})
    assert [gap for gap in made.not_measured if "walker" in gap.what + gap.why] == []
