"""Other Pythons of this machine as targets: none of them has memprobe or anything it needs."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import both, was_probed, without_addresses

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def interpreter(version: str) -> str:
    """Return a Python of ``version`` outside this environment, or skip."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    places = sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin"))
    own = str(Path(sys.executable).parent)
    others = [place for place in os.environ["PATH"].split(":") if place not in (own, "")]
    found = [shutil.which(f"python{version}", path=place) for place in [*places, *others]]
    for python in filter(None, found):
        # A shim on the path may stand for nothing.
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    pytest.skip(f"no Python {version} on this machine")


@pytest.mark.parametrize("version", VERSIONS)
def test_other_python_notices_nothing(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    for target in (
        ["identity.py", "-o"],
        # The warning of 3.12 about forking beside a thread would be an error.
        ["-W", "error", "processes.py"],
        ["exit_order.py"],
        ["leave.py", "exception"],
        ["interrupted.py", "300"],
        ["shadow/shadowing.py"],
    ):
        alone, recorded, recording = both(tmp_path, *target, python=python)
        assert without_addresses(recorded) == without_addresses(alone), target
        assert was_probed(recording), target
        assert recording.header.python.startswith(version)
        assert [snapshot.reason for snapshot in recording.snapshots][-1] == "exit", target
        assert not [event for event in recording.events if event.event == "probe-error"], target


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
def test_too_old_python_runs_unprobed(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    alone, recorded, recording = both(tmp_path, "-c", "print('old', __name__)", python=python)
    assert recorded.stdout == alone.stdout
    assert recorded.status == alone.status
    assert alone.stderr == ""
    assert recorded.stderr.startswith("memprobe: the program ran without the probe: no Python 3.10")
    assert not was_probed(recording)
