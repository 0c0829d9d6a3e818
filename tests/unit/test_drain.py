"""The host's copy of the spool: every whole line, and the records this version understands."""

from __future__ import annotations

from pathlib import Path

from memprobe.recording.drain import Drain
from memprobe.recording.schema import Sample
from memprobe.recording.writer import RecordingWriter


def drained(folder: Path, *lines: bytes) -> tuple[list[object], bytes]:
    spool, target = folder / "spool", folder / "a.memprobe"
    spool.write_bytes(b"".join(lines))
    writer = RecordingWriter.create(target)
    drain = Drain(spool, writer)
    records = drain.pull()
    drain.close()
    writer.close()
    return list(records), target.read_bytes()


def test_a_record_with_a_field_of_a_later_probe_is_copied_whole_and_understood(
    tmp_path: Path,
) -> None:
    line = b'{"kind":"sample","t":5,"rss":7,"novelty":{"a":1},"cost":{"cpu_ns":3,"heat":4}}\n'
    records, copied = drained(tmp_path, line)
    (sample,) = records
    assert isinstance(sample, Sample)
    assert (sample.t, sample.rss, sample.cost and sample.cost.cpu_ns) == (5, 7, 3)
    assert copied == line


def test_lines_that_nobody_understands_are_copied_and_not_returned(tmp_path: Path) -> None:
    lines = [b"no json\n", b'{"kind":"aura","t":1}\n', b'{"kind":"sample","t":"late"}\n']
    records, copied = drained(tmp_path, *lines, b'{"kind":"sample","t":1')
    assert records == []
    assert copied == b"".join(lines)
