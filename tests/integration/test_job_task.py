"""A script as a job's task: it behaves as without the probe, and the interpreter is as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from test_packaging import PROBES, PYTHONS, VERSIONS

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.recording.reader import read

PROGRAM = Path(__file__).with_name("programs") / "job_tasks.py"
STATUS = {"plain": 0, "zero": 0, "three": 3, "serverless": 3, "failing": 1, "syntax": 1}


@pytest.fixture(scope="module", params=VERSIONS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the program printed, and where its recordings are, on each Python."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip(f"Python {request.param} is not installed")
    folder = tmp_path_factory.mktemp("tasks")
    environment = {**os.environ, "TMPDIR": str(folder)}
    environment.pop("XDG_RUNTIME_DIR", None)
    done = subprocess.run(
        [python, "-I", "-S", str(PROGRAM), str(PROBES.parent), str(folder)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    return json.loads(last), printed, folder, done.stderr


def test_the_script_sees_what_it_would_see_alone(ran: Any) -> None:
    told, printed, _, _ = ran
    assert printed == ["theirs __main__ plain.py ['one', 'two'] False", "ran"]
    assert told["told"] == {
        "plain": "ended", "zero": "ended", "three": "SystemExit: 3",
        "serverless": "RuntimeError: the script ended with status 3",
        "failing": "ZeroDivisionError: division by zero",
        "syntax": "SyntaxError: invalid syntax (syntax.py, line 1)", "nowhere": "ended",
    }  # fmt: skip


def test_the_interpreter_is_as_before(ran: Any) -> None:
    told, _, folder, _ = ran
    assert told["before"] == told["after"]
    (base,) = folder.glob("memprobe-*")
    assert list(base.iterdir()) == []


def test_what_can_be_copied_nowhere_is_said_in_the_output(ran: Any) -> None:
    _, _, _, errors = ran
    assert errors.count("memprobe: the recording could not be copied") == 1


@pytest.mark.parametrize("name", STATUS)
def test_the_recording_and_how_it_ended_are_left_beside_it(ran: Any, name: str) -> None:
    _, _, folder, _ = ran
    word = json.loads((folder / name / "outcome.json").read_text())
    parts = sorted((folder / name).glob("part-*"))
    assert word["status"] == STATUS[name]
    assert word["whole"] is True
    assert word["trouble"] is None
    assert word["parts"] == len(parts) > 0
    path = folder / f"{name}.memprobe"
    path.write_bytes(b"".join(zlib.decompress(part.read_bytes()) for part in parts))
    recording = read(path)
    assert recording.end is not None
    assert recording.end.reason == "exit"
    assert recording.snapshots[-1].reason == "exit"
    if name == "plain":
        (held,) = [one for one in build.report(recording, Config()).holders if "kept" in one.exprs]
        assert held.exclusive_bytes == pytest.approx(30_000_000, rel=0.01)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs signals")
def test_a_task_that_is_killed_leaves_what_was_copied(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(PROBES.parent)!r})
from memprobe_probes import job
script = {str(tmp_path / "killed.py")!r}
with open(script, "w") as file:
    file.write('''
import os, time
kept = [b"x" * 20_000_000]
part = {str(tmp_path / "far/part-000001")!r}
while not os.path.exists(part):
    time.sleep(0.01)
os.kill(os.getpid(), 9)
''')
job.run({{"script": script, "folders": [{str(tmp_path / "far")!r}], "every": 0.2,
          "probe": {{"context": "script", "method": "databricks-job", "program": "k.py"}}}}, {{}})
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment)
    assert done.returncode == -9
    content = zlib.decompress((tmp_path / "far/part-000001").read_bytes())
    assert json.loads(content.splitlines()[0])["method"] == "databricks-job"
    assert not (tmp_path / "far/outcome.json").exists()
