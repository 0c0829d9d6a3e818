"""An environment of its own for every tool that memprobe is compared with.

    python_of("memray") -> Path of that environment's interpreter

Made below ``benchmarks/.cache`` from the versions in ``tools.toml`` with the interpreter that
runs the benchmark, and made again only when those versions have changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
COMMON = ("numpy", "pandas", "matplotlib", "ipykernel")  # what programs and notebooks need
CONSTRAINTS = HERE.parent / "constraints.txt"
PATIENCE = 900  # seconds for one installation


class Unavailable(Exception):
    """A tool cannot be installed here; its text is the reason, in one line."""


def packages(tool: str) -> list[str]:
    """Return what ``tools.toml`` names for a tool: requirements with exact versions."""
    table = tomllib.loads((HERE / "tools.toml").read_text(encoding="utf-8"))
    return list(table[tool]["packages"])


def version(tool: str) -> str:
    """Return the version of a tool as a table shows it; that of Python for its own modules."""
    found = [name.partition("==")[2] for name in packages(tool)]
    return ", ".join(found) if found else f"Python {sys.version.partition(' ')[0]}"


def python_of(tool: str) -> Path:
    """Return the interpreter of the tool's environment. Raises ``Unavailable``."""
    folder = CACHE / "environments" / tool
    python = folder / "bin" / "python"
    ready = folder / "ready.json"
    wanted = json.dumps([sys.version, *packages(tool), *COMMON])
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {tool}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        _install(python, [*packages(tool), *COMMON])
        ready.write_text(wanted, encoding="utf-8")
    return python


def _install(python: Path, names: list[str]) -> None:
    line = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # A tool's own version is the one of tools.toml, whatever memprobe itself is tested with.
    line += ["-c", str(_constraints()), *names]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"its installation took more than {PATIENCE} s") from None
    if done.returncode:
        errors = [text for text in done.stderr.splitlines() if text.startswith("ERROR: ")]
        raise Unavailable((errors or ["the installation failed"])[-1].removeprefix("ERROR: "))


def _constraints() -> Path:
    """Write and return the part of constraints.txt that holds the common packages."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition("==")[0] in COMMON]
    path = CACHE / "constraints.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return path
