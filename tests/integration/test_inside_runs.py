"""``--inside`` on a real kernel and real scripts: what in one object keeps how much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import PATIENCE, Kernel
from running import memprobe_run

from memprobe.recording.reader import read
from memprobe_probes import native_walker

WALKER, WHY = native_walker.load()
needs_walker = pytest.mark.skipif(WALKER is None, reason=str(WHY))

SETUP = """
class Store:
    pass
store = Store()
store.large = bytes(40_000_000)
store.middle = bytes(20_000_000)
store.pages = [bytes(1_000_000) for _ in range(5)]
table = {f"secret{at}": [float(n) for n in range(20_000)] for at in range(5)}
pair = [table, bytes(7_000_000)]
also = store
"""
SCRIPT = f"{SETUP}\nimport sys\nprint('ready', flush=True)\nopen(sys.argv[1]).read()\n"
LOOP = f"""
import os, sys
{SETUP}
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    [[number] for number in range(2000)]
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        running.run(SETUP)
        yield running


def memprobe(place: Path, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *map(str, words)],
        cwd=place, env={**os.environ, **changes}, capture_output=True, text=True,
        timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def insides(text: str) -> dict[str, dict[str, Any]]:
    """Return name → what is inside, of those that a JSON report tells of."""
    found = json.loads(text)["holders"]
    return {name: one["inside"] for one in found for name in one["exprs"] if one["inside"]}


def kept(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return edge → MB that it keeps."""
    return {row["edge"]: round(row["bytes"] / 1e6, 1) for row in rows}


PARTS = {".large": 40.0, ".middle": 20.0, ".pages": 5.0}


@needs_walker
def test_a_notebook_is_looked_into_and_nothing_stays(kernel: Kernel, tmp_path: Path) -> None:
    asked = ("--inside", "store", "--inside", "pair", "--inside", "table")
    done = memprobe(tmp_path, "snapshot", kernel.pid, *asked, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    found = insides(done.stdout)
    assert found["also"] == found["store"]
    assert kept(found["store"]["rows"]) == PARTS
    assert found["store"]["kept_with"] == []
    assert kept(found["pair"]["rows"]) == {"[1]": 7.0}
    assert found["pair"]["shared_with"] == ["table"]
    assert found["pair"]["shared_bytes"] == found["table"]["bytes"]
    assert found["table"]["kept_with"] == ["pair"]
    assert [row["edge"] for row in found["table"]["rows"]] == ["[key]"] * 5
    assert "secret" not in done.stdout
    modules = "[one for one in __import__('sys').modules if one.startswith('memprobe')]"
    assert kernel.value(modules) == []


@needs_walker
def test_a_name_that_is_no_holder_is_an_error_after_the_report(
    kernel: Kernel, tmp_path: Path
) -> None:
    done = memprobe(tmp_path, "snapshot", kernel.pid, "--inside", "stor", "--inside", "table")
    assert done.returncode == 2
    assert "Inside table" in done.stdout
    assert "there is no holder stor" in done.stderr
    assert "did you mean store?" in done.stderr


def test_more_than_four_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    asked = [word for name in "abcde" for word in ("--inside", name)]
    done = memprobe(tmp_path, "run", *asked, "no-such.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "4 holders at most" in done.stderr


@needs_walker
def test_a_script_tells_at_its_end_and_its_recording_again(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(SETUP)
    done = memprobe(tmp_path, "run", "-o", "a.memprobe", "--inside", "store", "job.py")
    assert done.returncode == 0, done.stderr
    assert "Inside store   Store · 62.0 MiB" in done.stderr
    assert "one object under the names store and also" in done.stderr
    again = memprobe(tmp_path, "report", "a.memprobe", "--inside", "--output-format", "json")
    assert kept(insides(again.stdout)["store"]["rows"]) == PARTS


@needs_walker
def test_routine_snapshots_do_not_look_and_one_that_is_asked_for_does(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(LOOP)
    line = memprobe_run(tmp_path / "run.memprobe", "job.py", "gate",
                        options=("-q", "--inside", "table"))  # fmt: skip
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        done = memprobe(tmp_path, "snapshot", "job.py", "--inside", "store",
                        "--output-format", "json")  # fmt: skip
        (tmp_path / "gate").touch()
        assert host.wait(PATIENCE) == 0
    assert done.returncode == 0, done.stderr
    assert set(insides(done.stdout)) == {
        "store",
        "also",
        "table",
    }
    told = {
        one.reason: {holder.expr for holder in one.holders if holder.inside}
        for one in read(tmp_path / "run.memprobe").snapshots
    }
    assert told.pop("request") == {"store", "table"}
    assert told.pop("exit") == {"table"}
    assert set(map(frozenset, told.values())) <= {frozenset()}


@needs_walker
def test_a_notebook_that_memprobe_runs_tells_at_its_end(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None,
            "outputs": [], "source": SETUP}  # fmt: skip
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "watched.ipynb").write_text(json.dumps(book))
    done = memprobe(tmp_path, "run", "--inside", "store", "watched.ipynb")
    assert done.returncode == 0, done.stderr
    assert "Inside store   Store · 62.0 MiB" in done.stderr


def test_the_walk_in_the_process_says_that_it_cannot_and_why(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(SETUP)
    done = memprobe(tmp_path, "run", "-o", "a.memprobe", "--inside", "store", "--inside", "no",
                    "job.py", MEMPROBE_ENGINE="fallback", COLUMNS="120")  # fmt: skip
    assert done.returncode == 0
    said = " ".join(done.stderr.split())
    why = "only the native walker looks inside, and it was not used: the other engine was asked for"
    assert f"inside of store {why}" in said
    assert "there is no holder no" in done.stderr
    again = memprobe(tmp_path, "report", "a.memprobe", "--inside", "store")
    assert again.returncode == 2
    assert "the other engine was asked for" in again.stderr
