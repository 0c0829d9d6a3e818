"""Build packages from a folder, as far as this machine can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def built(folder: Path, out: Path, *kinds: str, **environment: str) -> Path:
    """Build what is in ``folder`` and return the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "-o", str(out), str(folder)]
    python = ("PYTHONPATH", "PYTHONHOME")
    env = {**{k: v for k, v in os.environ.items() if k not in python}, **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def obstacle() -> str | None:
    """Return why no extension can be built here, or None."""
    if sysconfig.get_platform() not in ("linux-x86_64", "linux-aarch64"):
        return "the native walker is not made for this platform"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the native walker is not made for free-threaded Python"
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return "no C compiler"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "no headers of Python"
    return None
