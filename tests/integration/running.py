"""Run a program with and without memprobe, and read what both did."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

import memprobe
import memprobe_probes
from memprobe.errors import RecordingError
from memprobe.recording.reader import Recording, read

PROGRAMS = Path(__file__).parent / "programs"
PLACES = [str(Path(package.__file__).parents[1]) for package in (memprobe, memprobe_probes)]
# By path and not by PYTHONPATH: the target's environment must be the bare one.
HOST = f"import sys; sys.path[:0] = {PLACES!r}; from memprobe.cli import main; sys.exit(main())"
# The same with Ctrl-C at the worst moment: between reading the spool's first lines and writing
# them; where $GATE names a file, once that exists.
INTERRUPTED_HOST = f"""
import os, signal, sys, time
sys.path[:0] = {PLACES!r}
read = os.read
def interrupted(descriptor, size):
    block = read(descriptor, size)
    if b'"kind":"header"' in block:
        while not os.path.exists(os.environ.get("GATE", "/")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
    return block
os.read = interrupted
from memprobe.cli import main
sys.exit(main())
"""
TIMEOUT = 180  # seconds, on a machine busy with others


@dataclass(frozen=True)
class Behaviour:
    """Everything a caller sees of a finished program. ``status`` is a shell's: 128+n."""

    stdout: str
    stderr: str
    status: int


def bare_environment(**more: str | None) -> dict[str, str]:
    """Return this environment without what concerns Python, changed by ``more``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    for name, value in more.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def memprobe_run(recording: Path, *target: str, options: tuple[str, ...] = ("-q",)) -> list[str]:
    """Return the command line ``memprobe run … TARGET``."""
    return [sys.executable, "-c", HOST, "run", "-o", str(recording), *options, *target]


def behave(
    line: list[str], *, stdin: str = "", env: dict[str, str], cwd: Path, timeout: float = TIMEOUT
) -> Behaviour:
    """Run ``line`` to its end. What takes too long is killed, with everything below it."""
    with subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=cwd,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            for below in psutil.Process(process.pid).children(recursive=True):
                below.kill()
            process.kill()
            raise
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Behaviour(stdout, stderr, status)


def both(
    tmp_path: Path,
    *target: str,
    stdin: str = "",
    cwd: Path = PROGRAMS,
    python: str = sys.executable,
    options: tuple[str, ...] = (),
    **variables: str | None,
) -> tuple[Behaviour, Behaviour, Recording]:
    """Run Python with ``target`` alone and under memprobe; return both and the recording.

    Another ``python`` than this one is run as an "other command", which need not have memprobe.
    """
    env = bare_environment(**variables)
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.memprobe"
    own = () if python == sys.executable else (python,)
    alone = behave([python, *target], stdin=stdin, env=env, cwd=cwd)
    recorded = behave(
        memprobe_run(path, *own, *target, options=("-q", *options)), stdin=stdin, env=env, cwd=cwd
    )
    try:
        return alone, recorded, read(path)
    except RecordingError as error:
        raise AssertionError(f"{error.cause}; the run: {recorded}") from error


def was_probed(recording: Recording) -> bool:
    """Whether a probe was in the target: only a probe knows the interpreter."""
    return bool(recording.header.python)


def without_addresses(seen: Behaviour) -> Behaviour:
    """Return ``seen`` without the addresses of objects, which differ from run to run."""
    stdout, stderr = (re.sub(r" at 0x[0-9a-f]+", "", text) for text in (seen.stdout, seen.stderr))
    return Behaviour(stdout, stderr, seen.status)
