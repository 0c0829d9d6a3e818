"""``memprobe report`` on recordings with findings: exit codes, selection, baseline, formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from recording_lines import header, line, ramp, write
from test_cli import memprobe

MIB = 1 << 20


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that displayed a frame in cell 2 and has not used ``raw`` since cell 1."""
    cells = [line("marker", 2 * cell, cell=cell, seconds=1.0) for cell in range(3, 12)]
    holder = {"type": "pandas.DataFrame", "shape": [1000, 10]}
    holders = [
        {"id": 1, "root": "ipython-output", "expr": "Out[2]", "object": 1, "cell": 2, **holder},
        {"id": 2, "root": "ipython-output", "expr": "_2", "object": 1, "cell": 2, **holder},
        {"id": 3, "root": "notebook-namespace", "expr": "raw", "object": 2, **holder},
    ]
    groups = [{"holders": [1, 2], "bytes": 80 * MIB}, {"holders": [3], "bytes": 40 * MIB}]
    return write(
        tmp_path_factory.mktemp("leaky") / "leaky.memprobe",
        header(program="etl.ipynb"),
        *ramp(30, 300 * MIB, 0),
        line("marker", 1, cell=1, bound={"raw": 3}),
        line("marker", 3, cell=2, shows=True, used=["df"]),
        *cells,
        line("snapshot", 29, holders=holders, groups=groups, pause_ns=10**6),
        line("end", 30, reason="detach"),
    )


def test_findings_exit_with_one_and_exit_zero_forgives(leaky: Path) -> None:
    assert memprobe("report", leaky).returncode == 1
    assert memprobe("report", leaky, "--exit-zero").returncode == 0


def test_the_headline_adds_up_what_can_be_had_back(leaky: Path) -> None:
    first = memprobe("report", leaky).stdout.splitlines()[0]
    assert first == "120.0 MiB of 300.0 MiB can come back: 2 findings"


def test_concise_points_to_the_cell_that_made_it(leaky: Path) -> None:
    done = memprobe("report", leaky, "--output-format", "concise")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("etl.ipynb:cell 2: MP201 output-history 80.0 MiB")
    assert lines[1].startswith("etl.ipynb:cell 1:3: MP202 stale-variable 40.0 MiB")
    assert len(lines) == 2


def found(leaky: Path, *arguments: object, **changes: str) -> tuple[int, list[str]]:
    done = memprobe("report", leaky, "--output-format", "json", *arguments, **changes)
    return done.returncode, [one["code"] for one in json.loads(done.stdout)["findings"]]


def test_rules_can_be_selected_and_ignored(leaky: Path) -> None:
    assert found(leaky) == (1, ["MP201", "MP202"])
    assert found(leaky, "--select", "MP202") == (1, ["MP202"])
    assert found(leaky, "--ignore", "output-history,MP202") == (0, [])
    assert found(leaky, MEMPROBE_IGNORE="MP201") == (1, ["MP202"])


def test_the_thresholds_of_the_configuration_hold(leaky: Path, tmp_path: Path) -> None:
    assert found(leaky, MEMPROBE_MIN_BYTES="50 MiB") == (1, ["MP201"])
    (tmp_path / "pyproject.toml").write_text("[tool.memprobe]\nmin-bytes = '1 GB'\n")
    done = memprobe("report", leaky, "--output-format", "concise", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_misspelt_rule_or_setting_is_an_error_not_an_open_gate(leaky: Path) -> None:
    for done in (
        memprobe("report", leaky, "--ignore", "MP999"),
        memprobe("report", leaky, MEMPROBE_MIN_BYTES="lots"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error:")


def test_what_the_baseline_knows_does_not_fail_again(leaky: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    written = ("--output-format", "json", "-o", baseline, "--exit-zero")
    assert memprobe("report", leaky, "--select", "MP201", *written).returncode == 0
    assert found(leaky, "--baseline", baseline) == (1, ["MP202"])
    # Renewed while in use, it keeps what it knew.
    assert memprobe("report", leaky, "--baseline", baseline, *written).returncode == 0
    assert found(leaky, "--baseline", baseline) == (0, [])
    assert "2 known" in memprobe("report", leaky, "--baseline", baseline).stdout


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"findings":[{}]}', '{"reports":3}', "\0"])
def test_a_file_that_is_no_report_is_no_baseline(leaky: Path, tmp_path: Path, content: str) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(content)
    done = memprobe("report", leaky, "--baseline", baseline)
    assert (done.returncode, done.stdout) == (2, "")
    assert "as a baseline" in done.stderr
    assert "Traceback" not in done.stderr


def test_junit_counts_what_fails_the_gate(leaky: Path) -> None:
    done = memprobe("report", leaky, "--output-format", "junit")
    suite = ElementTree.fromstring(done.stdout).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "2"
    passed = [case.get("classname") for case in suite.iter("testcase") if not len(case)]
    assert {"MP101", "MP104"} <= set(passed)
    assert not {"MP201", "MP202"} & set(passed)


def test_several_recordings_are_judged_together(leaky: Path) -> None:
    done = memprobe("report", leaky, leaky, "--output-format", "json")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["reports"]) == 2


def test_nothing_measured_beside_a_good_recording_is_not_green(leaky: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.memprobe", header(), line("end", 1))
    assert memprobe("report", leaky, empty).returncode == 1
    assert memprobe("report", leaky, empty, "--exit-zero").returncode == 5


def test_a_recording_cut_off_after_its_snapshot_still_names_what_was_there(
    leaky: Path, tmp_path: Path
) -> None:
    lines = leaky.read_bytes().splitlines(keepends=True)
    cut = write(tmp_path / "cut.memprobe", *lines[:-1], lines[-1][:9])
    done = memprobe("report", cut)
    assert done.returncode == 1
    assert "MP201" in done.stdout
    assert re.search(r"Not measured\n +the end of the run", done.stdout)
