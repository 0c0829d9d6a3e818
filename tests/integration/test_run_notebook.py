"""``memprobe run NOTEBOOK.ipynb``: its cells run in order in a fresh kernel, watched all along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import HOST, INTERRUPTED_HOST, Behaviour, bare_environment, behave, memprobe_run

from memprobe.recording.reader import Recording, read

pytest.importorskip("ipykernel")


def notebook(path: Path, *sources: str, tags: dict[int, list[str]] | None = None) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {"tags": (tags or {}).get(number, [])},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


def run(tmp_path: Path, *options: str) -> tuple[Behaviour, Recording]:
    path = tmp_path / "nb.memprobe"
    line = memprobe_run(path, str(tmp_path / "etl.ipynb"), options=options)
    return behave(line, env=bare_environment(), cwd=tmp_path.parent), read(path)


def test_cells_run_in_order_until_one_fails(tmp_path: Path) -> None:
    notebook(
        tmp_path / "etl.ipynb",
        "import os, sys\nrows = [str(n) * 50 for n in range(200_000)]\nos.getcwd()",
        "print('to stdout')\nprint('to stderr', file=sys.stderr)",
        "1/0",
        "len(rows)",
        "raise ValueError('seen')",
        "print('never')",
        tags={2: ["raises-exception"]},
    )
    seen, recording = run(tmp_path)
    assert seen.status == 1
    assert seen.stdout == f"{str(tmp_path)!r}\nto stdout\n200000\n"
    assert "to stderr\n" in seen.stderr
    assert "ZeroDivisionError" in seen.stderr
    assert "ValueError: seen" in seen.stderr
    assert "\x1b" not in seen.stderr
    assert "rows" in seen.stderr  # the report names it
    assert (recording.header.context, recording.header.program) == ("notebook", "etl.ipynb")
    ended = [marker for marker in recording.markers if marker.phase == "end"]
    assert [marker.cell_id for marker in ended] == [f"cell-{number}" for number in range(5)]
    assert [marker.error for marker in ended][2::2] == ["ZeroDivisionError", "ValueError"]
    assert recording.snapshots[-1].cell == 5
    assert (recording.end.reason, recording.end.status) == ("exit", 1)
    assert not Path(f"/proc/{recording.header.pid}").exists()


def test_ctrl_c_ends_the_cell_and_loses_no_line_of_the_recording(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"import time\nopen({str(gate)!r}, 'w').close()\ntime.sleep(600)"
    notebook(tmp_path / "etl.ipynb", wait, "print('never')")
    path = tmp_path / "nb.memprobe"
    line = memprobe_run(path, str(tmp_path / "etl.ipynb"))
    line[line.index(HOST)] = INTERRUPTED_HOST
    seen = behave(line, env=bare_environment(GATE=str(gate)), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("", 130)
    assert "KeyboardInterrupt" in seen.stderr
    assert "memprobe" not in seen.stderr
    recording = read(path)
    assert [marker.error for marker in recording.markers if marker.phase == "end"] == [
        "KeyboardInterrupt"
    ]
    assert (recording.end.reason, recording.end.status) == ("exit", 130)
    assert not Path(f"/proc/{recording.header.pid}").exists()


def test_kernel_that_dies_gives_its_status(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", "kept = list(range(10))", "import os\nos._exit(7)", "kept")
    seen, recording = run(tmp_path, "-q")
    assert (seen.stdout, seen.status) == ("", 7)
    assert "the kernel died (status 7)" in seen.stderr
    assert recording.end.reason == "kernel-died"
    assert recording.header.pid > 0


def test_a_forked_child_that_outlives_its_kernel_is_no_new_kernel(tmp_path: Path) -> None:
    """It has the kernel's command line, as a copy that takes a snapshot has."""
    stay = tmp_path / "stay"
    stay.touch()
    child = (
        "import os, signal, time\n"
        "if not os.fork():\n"
        "    try:\n"
        "        signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "        for fd in (1, 2): os.dup2(os.open(os.devnull, os.O_RDWR), fd)\n"
        f"        while os.path.exists({str(stay)!r}): time.sleep(0.05)\n"
        "    finally:\n"
        "        os._exit(0)\n"
        "os._exit(7)"
    )
    notebook(tmp_path / "etl.ipynb", "1", child)
    try:
        seen, recording = run(tmp_path, "-q")
    finally:
        stay.unlink()
    assert seen.status == 7
    assert recording.end.reason == "kernel-died"


def test_what_c_code_prints_comes_once(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", "import os\nfor fd in (1, 2): os.write(fd, b'from C\\n')")
    line = memprobe_run(tmp_path / "nb.memprobe", str(tmp_path / "etl.ipynb"), options=("-q",))
    # In a test of pytest ipykernel does not listen to what C code writes.
    seen = behave(line, env=bare_environment(PYTEST_CURRENT_TEST=None), cwd=tmp_path)
    assert (seen.stdout, seen.stderr, seen.status) == ("from C\n", "from C\n", 0)


def test_what_a_kernel_says_that_cannot_start_is_shown(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", "1")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ipykernel_launcher.py").write_text("raise ImportError('no zmq for this Python')")
    line = memprobe_run(tmp_path / "nb.memprobe", str(tmp_path / "etl.ipynb"), options=("-q",))
    env = bare_environment(PYTEST_CURRENT_TEST=None, PYTHONPATH=str(broken))
    seen = behave(line, env=env, cwd=tmp_path)
    assert seen.status == 2
    assert "no zmq for this Python" in seen.stderr
    assert "error: cannot run" in seen.stderr


def test_a_databricks_source_notebook_is_run_as_one(tmp_path: Path) -> None:
    commands = (
        "# MAGIC %md\n# MAGIC # Title",
        "dbutils.widgets.text('n', '3')\nkept = [bytearray(1000) for _ in range(20_000)]",
        "# MAGIC %scala\n# MAGIC println(1)",
        "# MAGIC %sh\n# MAGIC echo from the shell",
        "print(dbutils.widgets.get('n'), len(kept))",
    )
    text = "\n\n# COMMAND ----------\n\n".join(commands)
    (tmp_path / "etl.py").write_text(f"# Databricks notebook source\n{text}\n")
    path = tmp_path / "etl.memprobe"
    seen = behave(memprobe_run(path, "etl.py"), env=bare_environment(), cwd=tmp_path)
    assert seen.status == 0, seen.stderr
    assert "3 20000\n" in seen.stdout
    assert "memprobe: not run: %scala, command 3: it is Scala\n" in seen.stderr
    recording = read(path)
    assert recording.header.context == "notebook"
    assert [one.cell for one in recording.markers if one.phase == "end"] == [1, 2, 3]
    assert "kept" in {holder.expr for holder in recording.snapshots[-1].holders}
