"""A program behaves under ``memprobe run`` exactly as without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from running import PROGRAMS, both, was_probed, without_addresses

LINES = "one\ntwo\nthree\n"
OWN_SITE = str(PROGRAMS / "own_site")

CASES = {
    "identity": (["identity.py", "a", "--b=c", "-o", ""], {}),
    "identity, own PYTHONPATH": (["identity.py"], {"PYTHONPATH": "/nowhere:/else"}),
    "identity, empty entries": (["identity.py"], {"PYTHONPATH": ":/nowhere:"}),
    "identity, empty PYTHONPATH": (["identity.py"], {"PYTHONPATH": ""}),
    "identity, safe path": (["identity.py"], {"PYTHONSAFEPATH": "1"}),
    "identity of a module": (["-m", "identity", "-m", "--help"], {}),
    "package": (["-m", "package_main", "-q", "--output-format", "json"], {}),
    "folder": (["package_main"], {}),
    "missing module": (["-m", "no_such_module"], {}),
    "collector": (["collector.py"], {}),
    "exit order": (["exit_order.py"], {}),
    "processes": (["processes.py"], {"PYTHONPATH": "/nowhere"}),
    "exec": (["executes.py", "again"], {}),
    # An interval this short makes the probe work at nearly every collection.
    "threads": (["threads.py"], {"options": ("--interval", "0.001")}),
    # A warning of its own says how many hundredths of a second it took, which differ.
    "debugpy": (
        ["-m", "debugpy", "--listen", "127.0.0.1:0", "debugged.py"],
        {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    ),
    "debugger": (["-m", "pdb", "debugged.py"], {"stdin": "b 5\nc\np value\nw\nc\nq\n"}),
    "stdin": (["stdin_lines.py"], {"stdin": LINES}),
    "shadowed library": (["shadow/shadowing.py"], {}),
    "own sitecustomize": (["identity.py"], {"PYTHONPATH": OWN_SITE}),
    "broken sitecustomize": (["stdin_lines.py"], {"PYTHONPATH": OWN_SITE, "BREAK": "1"}),
}
WAYS = [
    "status", "text", "none", "tuple", "large", "at-once", "exception", "in-thread", "at-exit",
    "unwritable", "interrupt", "SIGINT", "SIGTERM", "SIGKILL", "SIGHUP", "SIGSEGV", "handled",
    "abort",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_program_cannot_tell(case: str, tmp_path: Path) -> None:
    target, settings = CASES[case]
    alone, recorded, recording = both(tmp_path, *target, **settings)
    assert without_addresses(recorded) == without_addresses(alone)
    assert was_probed(recording)
    assert recording.end is not None


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_end_is_the_same(way: str, tmp_path: Path) -> None:
    alone, recorded, recording = both(tmp_path, "leave.py", way)
    assert without_addresses(recorded) == without_addresses(alone)
    assert was_probed(recording)
    assert recording.end is not None
    if alone.status > 128:
        assert (recording.end.reason, recording.end.signal) == ("signal", alone.status - 128)
    else:
        assert (recording.end.reason, recording.end.status) == ("exit", alone.status)


def test_signals_raised_while_collecting_are_never_lost(tmp_path: Path) -> None:
    alone, recorded, recording = both(
        tmp_path, "interrupted.py", "1000", options=("--interval", "0.002")
    )
    assert alone.stdout == "seen 1000 of 1000\n"
    assert recorded == alone
    assert was_probed(recording)


def test_python_below_a_shell(tmp_path: Path) -> None:
    alone, recorded, recording = both(
        tmp_path,
        str(PROGRAMS / "python_in_shell.sh"),
        "x",
        python="/bin/sh",
        stdin=LINES,
        PYTHON=sys.executable,
    )
    assert recorded == alone
    assert alone.status == 6
    assert was_probed(recording)
