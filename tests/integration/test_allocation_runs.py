"""``run --memray`` and ``run --tracemalloc``: real programs, and where their memory came from."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from running import PROGRAMS, Behaviour, bare_environment, behave, memprobe_run

from memprobe.analysis import build
from memprobe.config import Config
from memprobe.findings import Report
from memprobe.recording.reader import Recording, read
from memprobe.recording.schema import Group, Place, Site, Snapshot
from memprobe.targets import allocation_reading
from memprobe.targets.allocation_log import AllocationLog

pytest.importorskip("memray")
PROGRAM = PROGRAMS / "allocates_and_keeps.py"
OUTPUT = '{"arrays": 6, "rows": 100000}\n'
ARRAYS = 6 * 8_000_000


def line_of(mark: str) -> int:
    lines = PROGRAM.read_text().splitlines()
    return next(at for at, text in enumerate(lines, 1) if text.endswith(f"# {mark}"))


def run(
    tmp_path: Path, *options: str, program: tuple[str, ...] = ()
) -> tuple[Behaviour, Recording]:
    path = tmp_path / "kept.memprobe"
    line = memprobe_run(path, *(program or (str(PROGRAM),)), options=options)
    return behave(line, env=bare_environment(), cwd=tmp_path), read(path)


def report_of(recording: Recording) -> Report:
    return build.report(recording, Config())


def kept_arrays(report: Report) -> Any:
    return next(one for one in report.findings if one.holders[0].expr.endswith("KEPT"))


def all_sites(recording: Recording) -> list[Site]:
    log = recording.allocations
    assert log is not None
    return [*log.held, *log.mapped, *(site for row in log.groups for site in row.sites)]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Behaviour, Recording]:
    folder = tmp_path_factory.mktemp("logged")
    seen, recording = run(folder, "--memray")
    return folder, seen, recording


def test_the_program_runs_as_ever(logged: tuple[Path, Behaviour, Recording]) -> None:
    _, seen, recording = logged
    assert (seen.stdout, seen.status) == (OUTPUT, 0)
    assert [event.event for event in recording.events] == []


def test_a_finding_says_where_its_bytes_were_allocated(
    logged: tuple[Path, Behaviour, Recording],
) -> None:
    report = report_of(logged[2])
    finding = kept_arrays(report)
    site = finding.allocated[0]
    assert (site.file, site.line, site.function) == (PROGRAM.name, line_of("arrays"), "load")
    assert site.within == "numpy ones"
    assert site.certain
    assert site.bytes == pytest.approx(ARRAYS, rel=0.001)
    assert finding.created.source == "allocation"
    assert (finding.created.file, finding.created.line) == (PROGRAM.name, line_of("arrays"))
    assert (
        f"allocated at  {PROGRAM.name}:{line_of('arrays')} load, in numpy ones" in logged[1].stderr
    )


def test_what_was_not_freed_is_told_by_line_whatever_holds_it(
    logged: tuple[Path, Behaviour, Recording],
) -> None:
    held = report_of(logged[2]).allocations
    assert held is not None
    rows = {site.line: site.bytes for site in held.sites if site.file == PROGRAM.name}
    assert rows[line_of("arrays")] == pytest.approx(ARRAYS, rel=0.01)
    holder = next(one for one in report_of(logged[2]).holders if one.exprs == ["rows"])
    # Of the pages that its objects take, in a thread of its own; and not what the child had.
    assert rows[line_of("rows")] == pytest.approx(holder.exclusive_bytes, rel=0.25)
    assert held.bytes >= ARRAYS + holder.exclusive_bytes
    assert "Where what was not freed was allocated" in logged[1].stderr


def test_small_objects_are_only_probably_from_where_their_pages_were_taken(
    logged: tuple[Path, Behaviour, Recording],
) -> None:
    recording = logged[2]
    snapshot, log = recording.snapshots[-1], recording.allocations
    assert log is not None
    rows = next(one.id for one in snapshot.holders if one.expr == "rows")
    at = next(at for at, group in enumerate(snapshot.groups) if group.holders == [rows])
    site = next(one for one in log.groups if one.group == at).sites[0]
    assert (site.file, site.line, site.certain) == (PROGRAM.name, line_of("rows"), False)


def test_the_log_lies_beside_the_recording_for_its_owner_only(
    logged: tuple[Path, Behaviour, Recording],
) -> None:
    folder, seen, recording = logged
    log = folder / "kept.memray.bin"
    assert sorted(one.name for one in folder.iterdir()) == ["kept.memprobe", "kept.memray.bin"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert recording.allocations is not None
    assert recording.allocations.file_bytes == log.stat().st_size > 0
    assert "memray slowed each allocation and wrote" in seen.stderr


def test_no_text_of_the_users_is_recorded(logged: tuple[Path, Behaviour, Recording]) -> None:
    text = (logged[0] / "kept.memprobe").read_text()
    assert '"allocations"' in text
    assert "s3cret" not in text
    assert "np.ones" not in text
    assert {Path(site.file).name for site in all_sites(logged[2])} == {
        site.file for site in all_sites(logged[2])
    }


def test_the_log_is_memrays_own(logged: tuple[Path, Behaviour, Recording]) -> None:
    import memray

    with memray.FileReader(logged[0] / "kept.memray.bin") as reader:
        assert reader.metadata.total_allocations > 100
        assert logged[2].header.pid == reader.metadata.pid


def test_a_log_is_not_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "kept.memray.bin").write_bytes(b"mine")
    line = memprobe_run(tmp_path / "kept.memprobe", str(PROGRAM), options=("--memray",))
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("", 2)
    assert "the file exists and is not empty" in seen.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["kept.memray.bin"]
    assert (tmp_path / "kept.memray.bin").read_bytes() == b"mine"


def test_a_program_that_was_killed_still_says_where_its_memory_came_from(tmp_path: Path) -> None:
    seen, recording = run(tmp_path, "--memray", program=(str(PROGRAM), "killed"))
    assert seen.status == 137
    held = report_of(recording).allocations
    assert held is not None
    assert (held.sites[0].line, held.sites[0].file) == (line_of("arrays"), PROGRAM.name)
    assert recording.end is not None
    assert recording.end.signal == 9


LOGS = """
import sys, memray
with memray.Tracker(sys.argv[1], follow_fork=False):
    kept = bytes(3_000_000)  # line 4
print(id(kept))
"""


@pytest.mark.parametrize(("reason", "certain"), [("exit", True), ("threshold", False)])
def test_only_a_snapshot_after_the_log_knows_for_certain_what_lies_at_an_address(
    tmp_path: Path, reason: str, certain: bool
) -> None:
    program = tmp_path / "logs.py"
    program.write_text(LOGS)
    log = AllocationLog(tmp_path / "log.bin", native=False)
    line = [sys.executable, str(program), str(log.path)]
    address = int(behave(line, env=bare_environment(), cwd=tmp_path).stdout)
    place = Place(address=address, bytes=3_000_033, stands_for=3_000_033)
    log.see(Snapshot(t=1, reason=reason, groups=[Group(holders=[0], bytes=1, places=[place])]))
    site = log.read().groups[0].sites[0]
    assert (site.line, site.bytes, site.certain) == (4, 3_000_033, certain)


def test_a_reader_that_crashes_takes_nothing_else_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.bin"
    path.write_bytes(b"memray\0")
    log = AllocationLog(path, native=False)
    assert "does not look like a binary generated by memray" in str(log.read().failed)
    crash = "import os, signal; print('bad record', file=sys.stderr); os.abort()"
    monkeypatch.setattr(allocation_reading, "START", f"import sys; {crash}")
    record = log.read()
    assert record.failed == "memray's reader ended by SIGABRT: bad record"
    assert record.file_bytes == 7


OWN_LOG = """
import sys, memray, memprobe_probes.bootstrap as bootstrap
kept = [[str(one) for one in range(200_000)]]
with memray.Tracker(sys.argv[1], follow_fork=False):
    for number in range(100):
        kept.append(bytearray(200_000))  # line 6
        bootstrap.active().snapshot("request")
for record in memray.FileReader(sys.argv[1]).get_allocation_records():
    if record.allocator == memray.AllocatorType.MMAP and record.size > 1 << 20:
        print("mapped", record.size)
"""


def test_copies_of_the_process_write_nothing_into_a_log_of_its_own(tmp_path: Path) -> None:
    """A copy's calls of mmap and prctl would pass through memray's hooks into the same file."""
    program = tmp_path / "looks.py"
    program.write_text(OWN_LOG)
    log = tmp_path / "own.bin"
    seen, recording = run(tmp_path, "-q", program=(str(program), str(log)))
    assert seen.status == 0, seen.stderr
    assert seen.stdout == ""
    asked = [one for one in recording.snapshots if one.reason == "request"]
    assert (len(asked), {one.engine for one in asked}) == (100, {"native"})


def test_native_functions_are_named_if_asked_for(tmp_path: Path) -> None:
    _, recording = run(tmp_path, "--memray-native", "-q")
    native = kept_arrays(report_of(recording)).allocated[0].native
    assert any("Array" in name for name in native)
    assert not any(name.startswith("_PyEval") for name in native)


def test_a_python_without_memray_is_refused_before_anything_runs(tmp_path: Path) -> None:
    python = tmp_path / "python3.99"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    ran = tmp_path / "ran"
    program = tmp_path / "leaves.py"
    program.write_text(f"open({str(ran)!r}, 'w')")
    line = memprobe_run(tmp_path / "x.memprobe", str(python), str(program), options=("--memray",))
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("", 2)
    assert "cannot import memray" in seen.stderr
    assert "pip install memray" in seen.stderr
    assert not ran.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["leaves.py", "python3.99"]


def test_where_memray_cannot_be_asked_for_beforehand_the_report_says_it_was_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "memray.py").write_text("raise ImportError('broken here')")
    shell = tmp_path / "etl.sh"
    shell.write_text(
        f"#!/bin/sh\nPYTHONPATH=$PYTHONPATH:{tmp_path} exec {sys.executable} -c 'print(1)'\n"
    )
    shell.chmod(0o755)
    line = memprobe_run(tmp_path / "x.memprobe", str(shell), options=("--memray",))
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert (seen.stdout, seen.status) == ("1\n", 0)
    assert "where memory was allocated  ImportError: broken here" in seen.stderr
    assert not (tmp_path / "x.memray.bin").exists()


def test_both_at_once_are_refused(tmp_path: Path) -> None:
    line = memprobe_run(
        tmp_path / "x.memprobe", str(PROGRAM), options=("--memray", "--tracemalloc", "5")
    )
    seen = behave(line, env=bare_environment(), cwd=tmp_path)
    assert seen.status == 2
    assert "exclude each other" in seen.stderr
    assert list(tmp_path.iterdir()) == []


def test_tracemalloc_tells_the_same_line(tmp_path: Path) -> None:
    seen, recording = run(tmp_path, "--tracemalloc", "5")
    assert (seen.stdout, seen.status) == (OUTPUT, 0)
    site = kept_arrays(report_of(recording)).allocated[0]
    assert (site.file, site.line, site.certain) == (PROGRAM.name, line_of("arrays"), True)
    assert site.bytes == pytest.approx(ARRAYS, rel=0.01)
    assert "tracemalloc (5 frames) slowed each allocation" in seen.stderr
    text = (tmp_path / "kept.memprobe").read_text()
    assert "s3cret" not in text


TRACES = """
import atexit, tracemalloc
tracemalloc.start(3)
KEPT = {}
def keep(number):
    KEPT[number] = bytearray(6_000_000)
for number in range(6):
    keep(number)
print(tracemalloc.is_tracing(), tracemalloc.get_traceback_limit())
"""


@pytest.mark.parametrize("options", [(), ("--tracemalloc", "9")])
def test_tracing_that_the_program_started_is_read_and_left_alone(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    program = tmp_path / "traces.py"
    program.write_text(TRACES)
    seen, recording = run(tmp_path, *options, program=(str(program),))
    # A second start changes nothing in Python: with ours the limit is 9.
    assert seen.stdout == ("True 9\n" if options else "True 3\n")
    assert recording.snapshots[-1].traced == (9 if options else 3)
    assert kept_arrays(report_of(recording)).allocated[0].line == 6


def test_without_the_options_nothing_is_traced(tmp_path: Path) -> None:
    program = tmp_path / "modules.py"
    program.write_text(
        "import sys\nprint('memray' in sys.modules, '_tracemalloc' in sys.modules)\n"
    )
    seen, recording = run(tmp_path, "-q", program=(str(program),))
    assert seen.stdout == "False False\n"
    assert recording.snapshots[-1].traced is None
    assert recording.allocations is None


CELLS = [
    "import numpy as np\ndef load(count):\n    return np.ones(count)",
    "big = load(3_000_000)",
    "rows = []\nfor number in range(80_000):\n    rows.append({'number': number})",
    "shown = np.zeros(4_000_000) + 1\nshown",
    *["1 + 1"] * 6,
]


def notebook(path: Path) -> Path:
    cells = [
        {"cell_type": "code", "id": f"c{at}", "metadata": {}, "execution_count": None,
         "outputs": [], "source": source}
        for at, source in enumerate(CELLS)
    ]  # fmt: skip
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def places_in_cells(report: Report) -> dict[str, tuple[int | None, int, bool]]:
    return {
        finding.holders[0].expr: (one.cell, one.line, one.certain)
        for finding in report.findings
        for one in finding.allocated[:1]
    }


def run_until_logged(tmp_path: Path, program: str) -> tuple[Behaviour, Recording]:
    """Run under --memray; again where memray cannot read what it has written itself.

    With several threads at work that happens now and then; the run has to be whole all the same.
    """
    for _ in range(4):
        for left in tmp_path.glob("kept.*"):
            left.unlink()
        seen, recording = run(tmp_path, "--memray", program=(program,))
        assert seen.status == 0
        log = recording.allocations
        assert log is not None
        if log.failed is None:
            return seen, recording
        print(f"memray's log cannot be read: {log.failed}")
        assert "where memory was allocated" in seen.stderr
    raise AssertionError(f"no log could be read: {log.failed}")


def test_a_notebooks_findings_say_in_which_cell_and_line(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    path = notebook(tmp_path / "etl.ipynb")
    seen, recording = run_until_logged(tmp_path, str(path))
    places = places_in_cells(report_of(recording))
    assert places["big"] == (1, 3, True)
    assert places["shown"] == (4, 1, True)
    assert places["rows"] == (3, 3, False)
    assert "allocated at  cell 1:3 load, in numpy ones (22.9 MiB)" in seen.stderr
    assert "allocated at  probably cell 3:3" in seen.stderr
    assert stat.S_IMODE((tmp_path / "kept.memray.bin").stat().st_mode) == 0o600


def test_tracemalloc_in_a_notebook_tells_the_cell(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    path = notebook(tmp_path / "etl.ipynb")
    seen, recording = run(tmp_path, "--tracemalloc", "5", program=(str(path),))
    assert seen.status == 0
    places = places_in_cells(report_of(recording))
    assert places["big"] == (1, 3, True)
    assert places["rows"][:2] == (3, 3)
