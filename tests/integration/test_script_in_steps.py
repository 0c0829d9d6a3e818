"""A script that runs in steps sees and does what it does alone, and has a marker per step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from running import PROGRAMS, Behaviour, bare_environment, behave, without_addresses

from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Marker
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.command import Command
from memprobe.targets.script import LAUNCH, ScriptRun

DOCUMENTED = '''"""What it is."""
# -*- coding: utf-8 -*-
from __future__ import annotations

import sys

@staticmethod
def later(x: nowhere): ...
"no docstring"
print(__doc__, __name__, sys.argv[0] == __file__, later.__func__.__annotations__)
kept = bytearray(20_000_000)
size: int = len(kept)
print(size, __annotations__)
del kept
if len(sys.argv) > 9:
    print("never")
'''


def in_steps(
    script: Path, tmp_path: Path, starts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Behaviour, Recording]:
    path = tmp_path / f"{script.stem}.memprobe"
    environment = bare_environment()
    monkeypatch.setattr("os.environ", environment)
    command = Command(
        (sys.executable, str(LAUNCH / "in_steps.py"), str(script)), script.name, 0, direct=True
    )
    options = {"steps": {"folder": None, "starts": starts}, "peak_reset": True}
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "cwd": script.parent}
        outcome = ScriptRun(command, RecordingWriter.create(path), options, streams).run()
    seen = Behaviour((tmp_path / "out").read_text(), (tmp_path / "err").read_text(), outcome.status)
    return seen, read(path)


def alone(script: Path) -> Behaviour:
    line = [sys.executable, str(script)]
    return behave(line, env=bare_environment(), cwd=script.parent)


def steps_of(recording: Recording) -> list[Marker]:
    return [
        one
        for one in recording.markers
        if one.marker == "phase" and one.phase == "end" and one.name not in ("probe", "start-up")
    ]


@pytest.mark.parametrize("name", ["identity.py", "exit_order.py", "shadow/shadowing.py"])
def test_program_cannot_tell(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = PROGRAMS / name
    starts = [[1, "cell 1", "a"], [5, "cell 2", "b"], [21, "cell 3", "c"]]
    seen, recording = in_steps(script, tmp_path, starts, monkeypatch)
    bare = alone(script)
    assert without_addresses(seen) == without_addresses(bare)
    assert len(steps_of(recording)) > 1


def test_docstring_future_and_lines_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "documented.py"
    script.write_text(DOCUMENTED)
    starts = [[5, "cell 1", "a"], [9, "cell 2", "b"], [13, "cell 3", "c"], [15, "cell 4", "d"]]
    seen, recording = in_steps(script, tmp_path, starts, monkeypatch)
    assert seen == alone(script)
    assert seen.stdout.startswith("What it is. __main__ True {'x': 'nowhere'}\n20000000 ")
    steps = {one.name: one for one in steps_of(recording)}
    assert list(steps) == [None, "cell 1", "cell 2", "cell 3", "cell 4"]
    assert steps["cell 2"].bound == {"kept": 11, "size": 12}
    assert steps["cell 3"].deleted == ["kept"]
    held = [
        sum(group.bytes for group in one.groups)
        for one in recording.snapshots
        if one.reason == "marker"
    ]
    assert [size > 20_000_000 for size in held] == [False, False, True, False, False]
    start_up = next(one for one in recording.markers if one.name == "start-up")
    assert 0 < (start_up.seconds or 0) < 5


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\nraise ValueError('seen')\n",
        "def f():\n    1/0\ntry:\n    f()\nexcept Exception as e:\n    raise KeyError from e\n",
        "import sys\nsys.exit(3)\n",
        "import sys\nsys.exit('a last word')\n",
        "x = 1\nprint((\n",
        "import sys\nsys.excepthook = lambda *all: print('hook', all[0].__name__)\n1/0\n",
        "# coding: latin-1\nx = 1\nprint('done')\n",
        "import os\npid = os.fork()\nif not pid:\n    os._exit(0)\nos.waitpid(pid, 0)\nprint(1)\n",
    ],
    ids=["raises", "chained", "status", "text", "syntax", "hook", "encoding", "fork"],
)
def test_every_way_to_end_is_the_same(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ends.py"
    script.write_text(source, encoding="latin-1")
    seen, recording = in_steps(script, tmp_path, [[2, "cell 1", "a"]], monkeypatch)
    assert seen == alone(script)
    assert recording.end is not None
