"""``memprobe contrast``: real kernels and processes, from the command line to the verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import HOST, bare_environment, behave
from test_run_notebook import notebook

from memprobe.recording.reader import read

pytest.importorskip("ipykernel")

LEAKY = (
    "import os\ntry:\n    rows\nexcept NameError:\n    rows = []",
    "big = bytearray(30_000_000)\nbig",
    "big = None\nrows.append(bytearray(20_000_000))\nprint(len(rows))",
    "def load():\n    raw = bytearray(40_000_000)\n    raise ValueError('seen')\nload()",
    "print('end', len(rows) > 0)",
)
CLEAN = (
    "rows = [bytearray(15_000_000)]",
    "total = sum(map(len, rows))\ntotal",
    "print(total, len(rows))",
)


def contrast(
    tmp_path: Path, *arguments: str, **variables: str | None
) -> tuple[int, dict[str, Any], str]:
    """Run ``memprobe contrast … --output-format json``; return status, report and stderr."""
    seen = behave(
        line("--output-format", "json", *arguments), env=environment(tmp_path), cwd=tmp_path
    )
    return seen.status, json.loads(seen.stdout) if seen.stdout else {}, seen.stderr


def line(*arguments: str) -> list[str]:
    return [sys.executable, "-c", HOST, "contrast", *arguments]


def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    home = {"IPYTHONDIR": str(tmp_path / "ipython"), "TMPDIR": str(tmp_path / "tmp")}
    return bare_environment(XDG_RUNTIME_DIR=None, **home)


def left_in(tmp_path: Path) -> list[str]:
    """Return what is in the temporary folder beside the base of the session folders."""
    names = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "tmp").rglob("*")]
    return [name for name in names if name != f"tmp/memprobe-{os.getuid()}"]


def codes(findings: list[dict[str, Any]]) -> set[str]:
    return {code for one in findings for code in (one["code"], *one["also"])}


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("leaky")
    notebook(folder / "etl.ipynb", *LEAKY, tags={3: ["raises-exception"]})
    status, report, stderr = contrast(folder, "etl.ipynb", "--keep", "kept")
    assert stderr == ""
    return folder, status, report


def test_what_a_leaky_notebook_keeps_is_named_with_bytes_and_cells(
    leaky: tuple[Path, int, dict[str, Any]],
) -> None:
    _, status, report = leaky
    assert status == 1
    verdict = report["contrast"]["verdict"]
    assert verdict["kind"] == "notebook-keeps"
    assert {2, 4} <= set(verdict["cells"])
    assert {"MP104", "MP201", "MP601"} <= codes(report["findings"])
    assert 50e6 < verdict["per_round"] < 51e6  # the output of each round, and the list
    by_name = {row["name"]: row for row in report["contrast"]["holders"]}
    assert by_name["Out[2]"]["script"] is None
    assert by_name["rows"]["script"]["until"] == "process exit"
    assert report["contrast"]["script"]["findings"] == []


def test_steps_rounds_and_totals_are_measured_in_both(
    leaky: tuple[Path, int, dict[str, Any]],
) -> None:
    _, _, report = leaky
    told = report["contrast"]
    assert [row["name"] for row in told["steps"]] == [f"cell {number}" for number in range(1, 6)]
    for row in told["steps"]:
        for name in ("wall", "cpu", "peak", "live", "rss"):
            assert row[name]["first"] is not None, (row["name"], name)
            assert row[name]["script"]["runs"] == 3
    second = told["steps"][1]["live"]
    assert second["first"] == pytest.approx(30e6, rel=0.01)
    assert second["judgement"] == "no difference"
    assert told["steps"][2]["live"]["difference"] == pytest.approx(30e6, rel=0.01)
    assert len(told["rounds"]) == 4
    assert all(row["growth"] == pytest.approx(50e6, rel=0.02) for row in told["rounds"][1:])
    assert 0 < told["totals"]["start-up"]["script"]["high"] < told["totals"]["start-up"]["first"]
    assert told["totals"]["held"]["script"]["high"] == 0


def test_the_derived_script_prints_what_the_notebook_prints(
    leaky: tuple[Path, int, dict[str, Any]],
) -> None:
    folder, _, _ = leaky
    done = subprocess.run(
        [sys.executable, "etl.py"], cwd=folder / "kept", capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0
    assert done.stdout == "1\nend True\n"
    assert "ValueError: seen" in done.stderr


def test_kept_recordings_give_the_same_answer_again(
    leaky: tuple[Path, int, dict[str, Any]],
) -> None:
    folder, _, report = leaky
    names = [f"kept/etl-script-{number}.memprobe" for number in (1, 2, 3)]
    status, again, _ = contrast(folder, "kept/etl-notebook.memprobe", *names)
    assert status == 1
    assert again["contrast"]["verdict"] == report["contrast"]["verdict"]
    assert again["contrast"]["steps"] == report["contrast"]["steps"]


def test_nothing_stays_behind(leaky: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, _ = leaky
    assert left_in(folder) == []
    assert not psutil.pid_exists(read(folder / "kept" / "etl-notebook.memprobe").header.pid)


def test_a_clean_notebook_comes_out_clean(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", *CLEAN)
    status, report, _ = contrast(tmp_path, "etl.ipynb")
    assert (status, report["findings"]) == (0, [])
    assert report["contrast"]["verdict"]["kind"] == "clean"
    assert report["contrast"]["totals"]["growth"]["judgement"] == "no difference"
    assert report["contrast"]["totals"]["live"]["judgement"] == "no difference"
    assert report["contrast"]["growth"] == []


def test_a_leaking_script_of_ones_own_is_named(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", *CLEAN)
    (tmp_path / "own.py").write_text(
        "rows = [bytearray(15_000_000)]\n"
        "failures = []\n"
        "def load():\n    raw = bytearray(30_000_000)\n    raise ValueError\n"
        "try:\n    load()\nexcept ValueError as error:\n    failures.append(error)\n"
        "total = sum(map(len, rows))\n"
        "print(total, len(rows))\n"
    )
    status, report, _ = contrast(tmp_path, "etl.ipynb", "own.py", "--rounds", "1")
    told = report["contrast"]
    assert status == 1
    assert report["findings"] == []
    assert codes(told["script"]["findings"]) >= {"MP104"}
    assert told["verdict"]["script_leaks"]
    assert "own.py itself keeps" in told["verdict"]["text"]
    assert [row["line"] for row in told["steps"]] == [1, 10, None]
    assert told["steps"][0]["wall"]["judgement"] == "not compared"  # one run has no range
    assert "which cell own.py does in line 2, 3, 6" in [
        row["what"] for row in report["not_measured"]
    ]


def test_work_that_fails_alike_is_contrasted_as_far_as_it_came(tmp_path: Path) -> None:
    notebook(tmp_path / "etl.ipynb", "rows = bytearray(15_000_000)", "1/0", "print(rows)")
    status, report, _ = contrast(tmp_path, "etl.ipynb", "--rounds", "1")
    assert status in (0, 1)
    assert "Both stopped at cell 2: ZeroDivisionError." in report["contrast"]["verdict"]["text"]
    assert [row["error"] for row in report["contrast"]["steps"]] == [None, "ZeroDivisionError"]


@pytest.mark.parametrize(
    ("cells", "script", "told"),
    [
        (("x = 1",), "x = 1\nprint(y)\n", "NameError: name 'y' is not defined"),
        (("x = 1", "1/0"), "x = 1\n", "cell 2 failed and own.py did not: ZeroDivisionError"),
        (("x = 1", "1/0"), "x = 1\nprint(y)\n", "and cell 2 with ZeroDivisionError"),
    ],
    ids=["script", "notebook", "both, not alike"],
)
def test_where_only_one_side_fails_nothing_is_contrasted(
    tmp_path: Path, cells: tuple[str, ...], script: str, told: str
) -> None:
    notebook(tmp_path / "etl.ipynb", *cells)
    (tmp_path / "own.py").write_text(script)
    status, report, stderr = contrast(tmp_path, "etl.ipynb", "own.py", "--rounds", "1")
    assert (status, report) == (2, {})
    assert told in stderr
    assert stderr.startswith("error: cannot contrast etl.ipynb")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (("missing.ipynb",), "no such file"),
        (("broken.ipynb",), "it is no notebook"),
        (("own.py",), "is no notebook"),
        (("empty.ipynb",), "no code cell"),
        (("empty.ipynb", "own.py", "more"), "too many targets"),
        (("missing.memprobe", "other.memprobe"), "cannot read missing.memprobe"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_contrasted_is_one_clear_error(
    tmp_path: Path, targets: tuple[str, ...], told: str
) -> None:
    notebook(tmp_path / "empty.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "own.py").write_text("")
    status, _, stderr = contrast(tmp_path, *targets)
    assert status == 2
    assert stderr.startswith("error: ")
    assert told in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("where", ["notebook", "script"])
def test_ctrl_c_ends_kernel_and_script_and_keeps_whole_rounds(tmp_path: Path, where: str) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    wait = (
        "import os, sys, time\n"
        f"if ('ipykernel' in sys.modules) == {where == 'notebook'}:\n"
        f"    with open({str(told)!r}, 'w') as file:\n"
        "        file.write(str(os.getpid()))\n"
        "    time.sleep(600)"
    )
    notebook(tmp_path / "etl.ipynb", "x = 1", wait)
    with subprocess.Popen(
        line("etl.ipynb", "--rounds", "1"), cwd=tmp_path, env=environment(tmp_path),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            pid = int(told.read_text())  # waits until the cell writes
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=180)
        finally:
            process.kill()
    assert (process.returncode, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    assert not psutil.pid_exists(pid)
    assert left_in(tmp_path) == []
    kept = tmp_path / "etl-notebook.memprobe"
    assert kept.exists() == (where == "script")  # then both rounds of the notebook were run
    if kept.exists():
        assert "interrupted at script: process 1 of 1; 2 rounds of the notebook are kept" in stderr
        assert len([one for one in read(kept).markers if one.name == "round 2"]) == 2


def test_ctrl_c_between_processes_reports_what_was_measured(tmp_path: Path) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    wait = (
        "import os, sys, time\n"
        "if 'ipykernel' not in sys.modules:\n"
        "    if os.path.exists('first'):\n"
        f"        open({str(told)!r}, 'w').close()\n"
        "        time.sleep(600)\n"
        "    open('first', 'w').close()"
    )
    notebook(tmp_path / "etl.ipynb", "x = 1", wait)
    with subprocess.Popen(
        line("etl.ipynb", "--rounds", "2", "--output-format", "json"), cwd=tmp_path,
        env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            told.read_text()  # waits until the second process is there
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=180)
        finally:
            process.kill()
    assert process.returncode == 0, stderr
    assert "interrupted at script: process 2 of 2" in stderr
    report = json.loads(stdout)
    assert report["contrast"]["script"]["processes"] == 1
    missing = {"what": "1 process of the script", "why": "interrupted at script: process 2 of 2"}
    assert missing in report["not_measured"]
    assert left_in(tmp_path) == []
