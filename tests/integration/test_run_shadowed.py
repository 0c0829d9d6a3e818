"""A program's own files are run by the program alone, whatever they are called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from building import obstacle
from running import both, was_probed
from test_packaging import PYTHONS

PROGRAM = """
kept = {number: str(number) for number in range(1000)}
functions = [lambda: number for number in range(10)]
class Row:
    def __init__(self):
        self.own = bytearray(1 << 20)
rows = [Row() for _ in range(3)]
"""


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("engine", ["native", "fallback"])
def test_a_snapshot_imports_nothing_that_a_programs_own_file_could_stand_for(
    engine: str, version: str, tmp_path: Path
) -> None:
    python = PYTHONS[version]
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    if engine == "native" and obstacle() is not None:
        pytest.skip(f"the native walker is not built here: {obstacle()}")
    folder = tmp_path / "program"
    folder.mkdir()
    # Nobody calls a file of his __future__, and every module of the probe begins with it.
    for name in sys.stdlib_module_names - {"__future__"}:
        (folder / f"{name}.py").write_text(f"print('somebody has imported {name}')\n")
    script = folder / "holds_rows.py"
    script.write_text(PROGRAM)
    alone, recorded, recording = both(
        tmp_path, str(script), cwd=tmp_path, python=python, MEMPROBE_ENGINE=engine
    )
    assert was_probed(recording)
    assert (recorded.stdout, alone.stdout) == ("", "")
    assert [event.detail for event in recording.events] == []
    snapshot = recording.snapshots[-1]
    assert (snapshot.engine, snapshot.skipped) == (engine, None)
    assert "rows" in {holder.expr for holder in snapshot.holders}
