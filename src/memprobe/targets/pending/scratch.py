"""A fresh interpreter of the target's own kind, asked where it keeps its pending calls.

Never an arbitrary program: the target's executable only where it is a ``python``, else the
``python`` beside its libpython. The answer is kept by file, so that it is asked once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
import subprocess
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

from memprobe.targets.pending.layout import Layout, from_answer
from memprobe.targets.pending.refusal import Refused
from memprobe.targets.pending.runtime import Runtime
from memprobe.targets.processes import environment, link
from memprobe.targets.session import write_private

PATIENCE = 20.0  # seconds: a machine may be busy
_PYTHON = re.compile(r"python3?(\.\d+)?d?$")
_LIBRARY = re.compile(r"libpython(3\.\d+)([a-z]*)\.so")
_PASSED = ("LD_LIBRARY_PATH", "PYTHONHOME", "PATH")
_KEPT = "layouts.json"


def layout_of(pid: int, runtime: Runtime, kept_in: Path | None) -> Layout:
    """Return the layout of the target's Python; ``kept_in`` is a private folder, or None.

    Raises Refused where no such interpreter can be asked, or what it says is not understood.
    """
    python = interpreter_for(pid, runtime)
    key = _key(python, runtime)
    answers = _kept(kept_in) if kept_in else {}
    if key not in answers:
        answers[key] = _asked(python, _environment(pid))
        if kept_in:
            _keep(kept_in, answers)
    answer = answers[key]
    if "refused" in answer:
        raise Refused(str(answer["refused"]))
    layout = from_answer(answer)
    _require_same(layout, runtime, python)
    return layout


def cache_folder() -> Path | None:
    """Return the folder for what was found out, or None where there is no private one."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "memprobe"
    with contextlib.suppress(OSError, RuntimeError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
            return folder if not facts.st_mode & 0o022 else None
    return None


def interpreter_for(pid: int, runtime: Runtime) -> str:
    """Return the path of an interpreter that uses the same image as the target.

    Raises Refused where there is none.
    """
    exe = link(pid, "exe") or ""
    if exe.endswith(" (deleted)") or runtime.file.path.endswith(" (deleted)"):
        raise Refused(
            "its Python was replaced on disk since it started", "restart it with the new Python"
        )
    if _PYTHON.fullmatch(os.path.basename(exe)) and os.access(exe, os.X_OK):
        return exe
    found = _LIBRARY.match(os.path.basename(runtime.file.path))
    if found is not None:
        beside = Path(runtime.file.path).parent.parent / "bin" / f"python{found[1]}{found[2]}"
        if os.access(beside, os.X_OK):
            return str(beside)
    raise Refused(
        f"no interpreter of its own kind was found: it runs {os.path.basename(exe) or 'unknown'}"
    )


def _environment(pid: int) -> dict[str, str]:
    theirs = environment(pid)
    return {name: theirs[name] for name in _PASSED if name in theirs}


def _asked(python: str, variables: dict[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", _question()], env=variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"{python} could not be asked how it is built: {error}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return {"refused": f"{python}: {said}"}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _require_same(layout: Layout, runtime: Runtime, python: str) -> None:
    """Raise Refused unless the interpreter asked and the target have mapped the same file."""
    same = (layout.device, layout.inode) == (runtime.file.device, runtime.file.inode)
    if not same or layout.apart != runtime.run - runtime.state:
        raise Refused(f"{python} is not the Python that runs in it ({runtime.file.path})")


def _key(python: str, runtime: Runtime) -> str:
    """Return what an answer is kept under: the program, the library, and how it was asked."""
    parts: list[object] = [zlib.crc32(_question().encode())]
    for path in (python, runtime.file.path):
        try:
            facts = os.stat(path)
        except OSError as error:
            raise Refused(f"{path} cannot be looked at: {error.strerror}") from None
        parts += [path, facts.st_dev, facts.st_ino, facts.st_mtime_ns]
    return ":".join(map(str, parts))


def _question() -> str:
    return resources.files(__package__).joinpath("calibration.py").read_text(encoding="utf-8")


def _kept(folder: Path) -> dict[str, dict[str, Any]]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(folder / _KEPT, flags), encoding="utf-8") as file:
            answers: dict[str, dict[str, Any]] = json.load(file)
            return answers if os.fstat(file.fileno()).st_uid == os.geteuid() else {}
    except (OSError, ValueError):
        return {}


def _keep(folder: Path, answers: dict[str, dict[str, Any]]) -> None:
    name = folder / f".{_KEPT}.{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        write_private(name, json.dumps(answers).encode())
        os.replace(name, folder / _KEPT)
