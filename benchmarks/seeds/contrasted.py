"""One notebook through ``memprobe contrast``: its JSON, in the interpreter of a runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from seeds.etl import write_notebook
from seeds.runtime import environment

PATIENCE = 1500.0


def contrasted(
    python: Path,
    folder: Path,
    name: str,
    cells: list[str],
    rounds: int,
    script: str | None = None,
    page: Path | None = None,
) -> dict[str, Any]:
    """Return the report of a notebook made of ``cells``, and of its script or a derived one.

    ``page``: where to write it as HTML, too. Raises RuntimeError with the tool's own error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    write_notebook(path, cells)
    line = [str(python), "-m", "memprobe", "contrast", str(path), "--rounds", str(rounds),
            "--output-format", "json", "--exit-zero"]  # fmt: skip
    if page is not None:
        line += ["--html", str(page.absolute())]
    if script is not None:
        own = folder / f"{name}.py"
        own.write_text(script, encoding="utf-8")
        line.append(str(own))
    print(f"  contrast {name}", file=sys.stderr, flush=True)
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder
    )
    if not done.stdout:
        raise RuntimeError(done.stderr.strip() or f"status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
