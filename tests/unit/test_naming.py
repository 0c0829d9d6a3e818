"""Names of recordings that nobody named."""

from __future__ import annotations

from pathlib import Path

import pytest

from memprobe.recording.naming import default_path, free


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("etl.py", "memprobe-etl.7.memprobe"),
        ("team/sales report.ipynb", "memprobe-sales-report.7.memprobe"),
        ("package.job", "memprobe-package.job.7.memprobe"),
        ("{pid} $(x).ipynb", "memprobe-pid-x.7.memprobe"),
        ("Übersicht.ipynb", "memprobe-Übersicht.7.memprobe"),
        ("..ipynb", "memprobe-run.7.memprobe"),
    ],
)
def test_a_program_becomes_one_word_of_a_file_name(program: str, name: str) -> None:
    assert str(default_path(program, 7)) == name


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "memprobe-etl.7.memprobe"
    assert free(path) == path
    path.touch()
    (tmp_path / "memprobe-etl.7-2.memprobe").symlink_to("nowhere")
    assert free(path).name == "memprobe-etl.7-3.memprobe"
