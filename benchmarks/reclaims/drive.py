"""One case once: a fresh kernel, its cells, and ``memprobe release`` from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import load

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scenarios"))

from accuracy import spark  # noqa: E402
from accuracy.kernel import CellFailed, execute, kernel  # noqa: E402
from reclaims.cases import STEPS, Case  # noqa: E402

LONGEST = 300  # seconds for one call of memprobe
PID = "import os as _os; print(_os.getpid()); del _os"


class Failed(Exception):
    """A case did not come to its end; its text says why."""


def once(case: Case) -> dict[str, Any]:
    """Return what was predicted and what came back. Raises ``Failed``."""
    try:
        with _kernel(case) as client:
            return _run(case, client)
    except (CellFailed, TimeoutError) as trouble:
        raise Failed(str(trouble)) from trouble


@contextmanager
def _kernel(case: Case) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        if not case.spark:
            with kernel({**os.environ, "IPYTHONDIR": folder}, folder) as client:
                yield client
            return
        with (
            spark.marked(spark.environment()) as environment,
            kernel({**environment, "IPYTHONDIR": folder}, folder) as client,
        ):
            yield client


def _run(case: Case, client: Any) -> dict[str, Any]:
    pid = execute(client, PID, counts=False).strip()
    # There from the beginning: what grows from run to run is seen only so.
    execute(client, "%load_ext memprobe", counts=False)
    for number, cell in enumerate(case.cells):
        execute(client, cell, fails=number in case.fails)
    for cell in STEPS:
        execute(client, cell)
    report = _memprobe("snapshot", pid, "-q", "--max-pause", "5")
    found = [one for one in report["findings"] if one["code"] == case.code]
    if not found:
        others = ", ".join(one["code"] for one in report["findings"])
        raise Failed(f"no finding {case.code}; there are: {others or 'none'}")
    if case.refused:
        return _refused(pid, found[0])
    told = _memprobe("release", pid, *[one["fingerprint"] for one in found], "--yes", "-q",
                     "--max-pause", "5")  # fmt: skip
    where = found[0]["reclaim"]["where"]
    place = next((one for one in told["measured"] if one["where"] == where), None)
    if place is None or place["given_back"] is None:
        raise Failed("what came back was not measured")
    return {
        "predicted": place["predicted"], "back": place["given_back"], "where": where,
        "basis": sorted({one["predicted"]["basis"] for one in told["findings"]}),
        "cuts": sum(len(one["cuts"]) for one in told["findings"]),
        "after": place["after"], "outside": _resident(pid) if where == "driver-python" else None,
        "load": load(),
    }  # fmt: skip


def _refused(pid: str, finding: dict[str, Any]) -> dict[str, Any]:
    done = _called("release", pid, finding["fingerprint"], "--yes")
    if done.returncode != 2 or finding["release"]:
        raise Failed("it was not refused")
    return {"refused": finding["not_released"], "fix": finding["fix"], "load": load()}


def _memprobe(*words: str) -> Any:
    done = _called(*words, "--output-format", "json")
    if done.returncode:
        raise Failed(f"memprobe {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _called(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *words], capture_output=True, text=True,
        timeout=LONGEST, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _resident(pid: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line[:4] == "Rss:")
