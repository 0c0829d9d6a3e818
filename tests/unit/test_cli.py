"""The command line as processes: exit codes, streams, colour, width, and what help imports."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from recording_lines import header, line, ramp, write

ROOT = Path(__file__).parents[2]
VERBS = ("run", "attach", "detach", "ps", "report", "explain", "demo")

HEAVY = (
    "pandas numpy pyspark databricks textual memray duckdb jupyter_client nbformat nbclient IPython"
)


def environment(**changes: str) -> dict[str, str]:
    """Return a quiet environment: no colour wish, no width, our sources importable."""
    unwanted = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONIOENCODING")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith("MEMPROBE_")
    }
    sources = f"{ROOT / 'src'}{os.pathsep}{ROOT / 'probes'}"
    return {**kept, "PYTHONPATH": sources, "PYTHONUTF8": "1", **changes}


def memprobe(
    *arguments: object, cwd: Path | None = None, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run ``memprobe ARGUMENTS`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "memprobe", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(**changes),
        cwd=cwd,
        timeout=60,
        check=False,
    )


def python(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a fresh interpreter that can import memprobe."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(**changes),
        timeout=60,
        check=False,
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording with samples and a snapshot, in which nothing is wrong."""
    snapshot = line("snapshot", 5, rss=1 << 28, pause_ns=1000)
    return write(
        tmp_path / "quiet.memprobe",
        header(program="etl.ipynb"),
        *ramp(20, 1 << 28, 1 << 22),
        snapshot,
        line("end", 21, reason="exit", status=0),
    )


def test_help_and_version_go_to_stdout_with_zero() -> None:
    shown = memprobe("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(re.search(rf"^  {verb} ", shown.stdout, re.M) for verb in VERBS)
    version = memprobe("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("memprobe, version ")


def test_help_and_the_list_of_contexts_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from memprobe.cli import main\n"
        "assert main([{verb}]) == 0\n"
        f"heavy = [name for name in '{HEAVY}'.split() if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    for verb in ("'--help'", "'report', '--help'", "'explain', '--help'", "'ps', '--help'"):
        done = python(code.format(verb=verb))
        assert done.returncode == 0, done.stderr


def test_help_imports_no_verb_and_no_terminal_library() -> None:
    done = python(
        "import sys\n"
        "from memprobe.cli import main\n"
        "main(['--help'])\n"
        "unneeded = [n for n in sys.modules if n.startswith('memprobe.cli.')]\n"
        "unneeded += [n for n in ('rich', 'msgspec', 'psutil', 'asyncio') if n in sys.modules]\n"
        "assert set(unneeded) <= {'memprobe.cli.failure', 'memprobe.cli.output'}, unneeded\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["nonsense"],
        ["repotr"],
        ["report", "quiet.memprobe", "--exit-zer0"],
        ["report"],
        ["report", "--output-format", "pdf", "x"],
        ["report", "missing.memprobe"],
        ["report", "."],
        ["report", "quiet.memprobe", "--baseline", "missing.json"],
        ["report", "quiet.memprobe", "--baseline", "quiet.memprobe"],
        ["report", "quiet.memprobe", "--output", "missing/report.txt"],
        ["explain", "MP999"],
    ],
)
def test_what_cannot_be_done_is_told_on_stderr_with_two(
    arguments: list[str], recording: Path
) -> None:
    done = memprobe(*arguments, cwd=recording.parent)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_error_names_cause_help_and_page(tmp_path: Path) -> None:
    done = memprobe("report", tmp_path)
    labels = [text.split(":")[0].strip() for text in done.stderr.splitlines()]
    assert labels == ["error", "cause", "help", "docs"]


def test_the_page_an_error_names_exists(tmp_path: Path) -> None:
    page = re.search(r"docs: +memprobe (explain) (\S+)", memprobe("report", tmp_path).stderr)
    assert page is not None
    shown = memprobe(*page.groups())
    assert shown.returncode == 0
    assert page[2] in shown.stdout.splitlines()[0]


def test_a_quiet_recording_exits_with_zero_and_reports_on_stdout(recording: Path) -> None:
    done = memprobe("report", recording)
    assert (done.returncode, done.stderr) == (0, "")
    assert "etl.ipynb" in done.stdout
    assert "\x1b" not in done.stdout


def test_nothing_measured_exits_with_five(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.memprobe", header(), line("end", 1))
    done = memprobe("report", empty, "--exit-zero")
    assert (done.returncode, done.stdout) == (5, "")
    assert "nothing was measured" in done.stderr


def test_an_unreadable_recording_does_not_hide_the_others(recording: Path) -> None:
    done = memprobe("report", recording, recording.parent / "missing.memprobe")
    assert done.returncode == 2
    assert "etl.ipynb" in done.stdout
    assert "missing.memprobe" in done.stderr


def test_a_report_goes_to_a_file_when_asked(recording: Path) -> None:
    target = recording.parent / "report.json"
    done = memprobe("report", recording, "--output-format", "json", "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(target.read_text())["recording"]["program"] == "etl.ipynb"


def test_the_width_follows_columns(recording: Path) -> None:
    for columns in (60, 100):
        shown = memprobe("report", recording, COLUMNS=str(columns)).stdout
        assert columns - 5 <= max(map(len, shown.splitlines())) <= columns


def test_a_locale_without_block_characters_gets_plain_ones(recording: Path) -> None:
    done = memprobe("report", recording, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "\\u" not in done.stdout
    assert done.stdout.isascii()


def in_terminal(arguments: Sequence[object], **changes: str) -> str:
    """Return what ``memprobe ARGUMENTS`` writes to a terminal of its own."""
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "memprobe", *map(str, arguments)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment(TERM="xterm", COLUMNS="80", **changes),
        )
        os.close(follower)
        written = b""
        try:
            while piece := os.read(leader, 65536):
                written += piece
        except OSError:  # how Linux says that the other side has closed
            pass
        process.wait(60)
    finally:
        os.close(leader)
    return written.decode()


def test_a_terminal_gets_colour_unless_no_color_is_set(recording: Path) -> None:
    assert "\x1b[" in in_terminal(["report", recording])
    assert "\x1b[" not in in_terminal(["report", recording], NO_COLOR="1")


def test_a_hostile_file_name_does_not_reach_the_terminal(tmp_path: Path) -> None:
    done = memprobe("report", tmp_path / "\x1b[2J.memprobe")
    assert "\x1b" not in done.stderr
    assert "\\x1b[2J" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_error_and_two(recording: Path) -> None:
    for place in (["-o", "/dev/full"], []):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "memprobe", "report", str(recording), *place],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                timeout=60,
                check=False,
            )
        assert done.returncode == 2
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_a_reader_that_has_gone_is_no_error(recording: Path) -> None:
    for arguments in (["report", str(recording)], ["--help"], ["explain", "--help"]):
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run(
            [sys.executable, "-m", "memprobe", *arguments],
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
        os.close(write_end)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stdout_is_no_bug(recording: Path) -> None:
    command = f'"{sys.executable}" -m memprobe report "{recording}" >&-'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


BROKEN_VERB = """
import sys, types, click
module = types.ModuleType("memprobe.cli.demo")

@click.command()
def command():
    {body}

module.command = command
sys.modules["memprobe.cli.demo"] = module
from memprobe.cli import main
sys.exit(main(["demo"]))
"""


def test_a_misspelt_verb_or_option_is_answered_with_the_near_one() -> None:
    assert "report" in memprobe("repotr").stderr
    assert "--exit-zero" in memprobe("report", "x", "--exit-zer0").stderr


@pytest.mark.parametrize("arguments", [["\x1b[2J"], ["explain", "a", "\x1b[2J"], ["--\x1b[2J"]])
def test_a_hostile_argument_does_not_reach_the_terminal(arguments: list[str]) -> None:
    done = memprobe(*arguments)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_a_bug_is_one_line_and_a_private_log_with_the_traceback(tmp_path: Path) -> None:
    code = BROKEN_VERB.format(body="raise RuntimeError('secret \\x1b[2J')")
    done = python(code, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    (log,) = tmp_path.glob("memprobe-error-*.log")
    assert str(log) in done.stderr
    assert "report" in done.stderr
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_bug_without_room_for_a_log_still_shows_no_traceback() -> None:
    body = "import tempfile; tempfile.tempdir = '/nonexistent'; raise RecursionError"
    done = python(BROKEN_VERB.format(body=body))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "RecursionError" in done.stderr


def test_ctrl_c_exits_with_130_and_without_a_traceback() -> None:
    done = python(BROKEN_VERB.format(body="raise KeyboardInterrupt"))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return 137", 137),
        ("return None", 0),
        ("click.get_current_context().exit(3)", 3),
        ("raise click.UsageError('no')", 2),
        ("sys.exit(4)", 4),
        ("from memprobe.errors import NothingMeasured; raise NothingMeasured('n')", 5),
        ("from memprobe.errors import TargetError; raise TargetError('n')", 2),
    ],
)
def test_every_way_a_verb_can_end_has_its_exit_code(body: str, code: int) -> None:
    assert python(BROKEN_VERB.format(body=body)).returncode == code


def test_a_verb_that_is_not_there_does_not_break_the_others() -> None:
    done = python(
        "import sys\n"
        "sys.modules['memprobe.cli.demo'] = None\n"  # makes its import fail as not found
        "from memprobe.cli import main\n"
        "assert main(['--help']) == 0\n"
        "sys.exit(main(['demo']))\n"
    )
    assert done.returncode == 2
    assert "not part of this build" in done.stderr
