"""Run one notebook in both ways: in rounds in one kernel, and as fresh processes of a script."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.errors import MemprobeError, TargetError
from memprobe.recording.naming import free, part_of_name
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.alignment import align
from memprobe.targets.command import Command, check_readable
from memprobe.targets.derived_script import Script, cells_of, derive
from memprobe.targets.notebook_run import notebook_cells
from memprobe.targets.outliving import left_by, segments
from memprobe.targets.rounds import Failure, RoundsRun
from memprobe.targets.script import LAUNCH, ScriptRun

DOCS = "verbs/contrast.md"
INTERRUPTED = 128 + signal.SIGINT
LAST_LINES = 6  # of a failed script's stderr, shown with the error
UNHURRIED = {"max_pause": 60.0, "peak_reset": True}  # nobody waits between two steps
WARM_UP = 1  # rounds before those that growth is read from

Told = Callable[[str], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after something was measured: at least one round of the notebook to its end."""

    def __init__(self, runs: Runs, at: str) -> None:
        super().__init__(at)
        self.runs = runs
        self.at = at  # what was running


@dataclass
class Runs:
    """What was run: the recordings, and what a reader has to know beside them."""

    notebook: Path
    scripts: list[Path] = field(default_factory=list)
    script: Path = field(default_factory=Path)
    derived: bool = True
    notes: list[tuple[str, str]] = field(default_factory=list)  # (what, why)
    failure: Failure | None = None  # the cell that failed, in both contexts
    left: list[str] = field(default_factory=list)  # what outlives the script's processes
    shown: list[list[str]] = field(default_factory=list)  # per round, a digest of each cell's
    completed: int = 0  # rounds of the notebook that were run to their end


def run(
    notebook: Path, script: Path | None, rounds: int, folder: Path, options: dict[str, Any],
    told: Told = lambda text: None,
) -> Runs:  # fmt: skip
    """Run ``notebook`` ``rounds`` + 1 times in one kernel and the script ``rounds`` times.

    The recordings, and a derived script, are written into ``folder``. Raises TargetError for what
    cannot be run, and where only one of the two contexts fails; KeyboardInterrupt after
    everything was taken down: Interrupted where what was measured until then is of use.
    """
    check_readable(str(notebook))
    cells, left_out = notebook_cells(notebook)
    if not cells:
        raise _refused(notebook, "it has no code cell with anything in it", "name another one")
    plan, path = script_of(notebook, script, cells, folder)
    runs = Runs(Path(), script=path, derived=script is None, notes=[*left_out, *plan.notes])
    at = [""]

    def tell(text: str) -> None:
        at[0] = text
        told(text)

    try:
        _run_rounds(runs, notebook, rounds, folder, options, tell)
        for number in range(1, rounds + 1):
            tell(f"script: process {number} of {rounds}")
            _run_script(runs, notebook, plan, number, folder, options)
    except KeyboardInterrupt:
        if runs.completed:
            raise Interrupted(runs, at[0]) from None
        raise
    return runs


def script_of(
    notebook: Path, script: Path | None, cells: list[Any], folder: Path
) -> tuple[Script, Path]:
    """Return the script in steps and its file, derived where none is given. Raises TargetError."""
    if script is None:
        plan = derive(cells, notebook)
        own = "" if notebook.suffix == ".ipynb" else "-script"  # two of one name confuse
        path = free(folder / f"{part_of_name(notebook.name)}{own}.py")
        path.write_text(plan.source, encoding="utf-8")
        return plan, path
    check_readable(str(script))
    content = script.read_bytes()
    try:
        ast.parse(content)
    except (SyntaxError, ValueError) as error:
        why = f"it does not parse: {error}"
        return Script("", notes=[(f"the steps of {script.name}", why)]), script
    return align(content, cells_of(cells, notebook), script.name), script


def _run_rounds(
    runs: Runs, notebook: Path, rounds: int, folder: Path, options: dict[str, Any], told: Told
) -> None:
    total = rounds + WARM_UP

    def tell(number: int, cell: int) -> None:
        told(f"notebook: round {number} of {total}, cell {cell} of {running.count}")

    writer = _writer(folder, f"{part_of_name(notebook.name)}-notebook")
    running = RoundsRun(notebook, writer, total, options, tell)
    try:
        outcome = running.run()
    except MemprobeError:
        writer.discard()
        raise
    runs.notebook, runs.completed = outcome.path, running.completed
    if outcome.status == INTERRUPTED:
        raise KeyboardInterrupt
    if outcome.status > 128:
        cause = f"signal {outcome.status - 128} ended the run"
        raise _refused(notebook, cause, "run it again")
    runs.notebook, runs.failure, runs.shown = outcome.path, running.failure, running.shown


def _run_script(
    runs: Runs, notebook: Path, plan: Script, number: int, folder: Path, options: dict[str, Any]
) -> None:
    path = runs.script.absolute()
    writer = _writer(folder, f"{part_of_name(path.name)}-script-{number}")
    config = {
        **options,
        "max_pause": 60.0,
        "peak_reset": True,
        "steps": _steps(plan, runs, notebook),
    }
    before = segments()
    with tempfile.TemporaryFile() as errors:
        streams = {
            "cwd": notebook.absolute().parent,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": errors,
        }
        try:
            outcome = ScriptRun(_command(path, plan), writer, config, streams).run()
        except MemprobeError:
            writer.discard()
            raise
        if outcome.status == INTERRUPTED:
            outcome.path.unlink(missing_ok=True)  # a process that was cut off is no run
            raise KeyboardInterrupt
        _compare_failures(runs, notebook, outcome.status, errors)
    if outcome.trouble:
        runs.notes.append((f"the inside of {path.name}", outcome.trouble))
    runs.scripts.append(outcome.path)
    runs.left = left_by(outcome.path, before, runs.left if number > 1 else None)


def _command(path: Path, plan: Script) -> Command:
    """Return the command that runs the script; in steps where it has any."""
    launcher = [str(LAUNCH / "in_steps.py")] if plan.starts else []
    return Command((sys.executable, *launcher, str(path)), path.name, 0, direct=True)


def _steps(plan: Script, runs: Runs, notebook: Path) -> dict[str, Any] | None:
    if not plan.starts:
        return None
    # A derived script finds the modules beside the notebook, as its cells do.
    beside = str(notebook.absolute().parent) if runs.derived else None
    return {"folder": beside, "starts": [start.plain() for start in plan.starts]}


def _compare_failures(runs: Runs, notebook: Path, status: int, errors: Any) -> None:
    """Go on where both contexts fail, or neither; otherwise they did not do the same work."""
    if bool(status) == (runs.failure is not None) and _alike(runs, errors):
        return
    if runs.failure is not None and not status:
        cell = f"cell {runs.failure.cell}"
        round_ = f" in round {runs.failure.round}" if runs.failure.round > 1 else ""
        raise _refused(
            notebook,
            f"{cell} failed{round_} and {runs.script.name} did not: {runs.failure.error}",
            f"mend {cell}; if it is meant to fail, tag it raises-exception",
        )
    remedy = "mend it, or give a script of your own: memprobe contrast NOTEBOOK SCRIPT"
    if runs.derived:
        remedy = "give a script of your own: memprobe contrast NOTEBOOK SCRIPT"
    theirs = f"the script ended with status {status}: {_last_lines(errors)}"
    if runs.failure is not None:
        theirs += f"\n         and cell {runs.failure.cell} with {runs.failure.error}"
    raise TargetError(
        f"cannot contrast {notebook} with {runs.script.name}",
        cause=theirs,
        remedy=remedy,
        docs=DOCS,
    )


def _alike(runs: Runs, errors: Any) -> bool:
    """Whether the script ended with the exception that the cell ended with, if it failed."""
    if runs.failure is None:
        return True
    kind = runs.failure.error.partition(":")[0].rpartition(".")[2]
    last = _last_lines(errors).splitlines()[-1].strip()
    return last.partition(":")[0].rpartition(".")[2] == kind


def _last_lines(errors: Any) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 4000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return "\n         ".join(lines[-LAST_LINES:]) or "it wrote nothing to stderr"


def _writer(folder: Path, name: str) -> RecordingWriter:
    return RecordingWriter.create(free(folder / f"{name}.memprobe"))


def _refused(notebook: Path, cause: str, remedy: str) -> TargetError:
    return TargetError(f"cannot contrast {notebook}", cause=cause, remedy=remedy, docs=DOCS)
