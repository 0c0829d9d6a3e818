"""The contrast on a cluster: a notebook in a context that stays there, its script as jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memprobe.databricks.compute import Compute, Place, compute_for
from memprobe.databricks.context_run import ContextRun
from memprobe.databricks.job_run import JobRun, Work
from memprobe.databricks.run_end import Ending
from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError
from memprobe.recording.naming import free, part_of_name
from memprobe.recording.writer import RecordingWriter
from memprobe.targets import contrast_run, walker_file
from memprobe.targets.contrast_run import WARM_UP, Runs
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.notebook_run import notebook_cells

DOCS = "databricks.md"
METHOD = "databricks-job"
CLOCKS = "durations are those of the driver and of the workspace's server, not of this machine"

Told = Callable[[str], None]


class ClusterContrast:
    """One contrast. ``options``: interval and cap; ``every``: seconds between two copies."""

    def __init__(
        self, workspace: Workspace, place: Place, folder: Path, options: dict[str, Any],
        every: float, volume: str, told: Told,
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._compute: Compute = compute_for(workspace, place)
        self._folder = folder
        self._options = options
        self._every = every
        self._volume = volume
        self._told = told

    def run(self, notebook: Path, script: Path | None, rounds: int, interrupts: Interrupts) -> Runs:
        """Run both and return their recordings. Raises TargetError, KeyboardInterrupt."""
        cells, left_out = notebook_cells(notebook)
        if not cells:
            raise _refused(notebook, "it has no code cell with anything in it")
        plan, path = contrast_run.script_of(notebook, script, cells, self._folder)
        notes = [*left_out, *plan.notes, ("times of this machine", CLOCKS)]
        runs = Runs(Path(), script=path, derived=script is None, notes=notes)
        self._run_notebook(runs, notebook, cells, rounds + WARM_UP, interrupts)
        for number in range(1, rounds + 1):
            interrupts.check()
            self._run_script(runs, notebook, plan, number, rounds, interrupts)
        return runs

    def _run_notebook(
        self, runs: Runs, notebook: Path, cells: list[Any], total: int, interrupts: Interrupts
    ) -> None:
        def told(number: int, cell: int) -> None:
            self._told(f"notebook: round {number} of {total}, cell {cell} of {len(cells)}")

        writer = self._writer(f"{part_of_name(notebook.name)}-notebook")
        config = {
            "probe": self._probe("notebook", notebook.name), "every": self._every,
            "walker": walker_file.carried(),
        }  # fmt: skip
        running = ContextRun(
            self._workspace, self._compute.task["existing_cluster_id"], cells, total, writer,
            config, self._volume, told,
        )  # fmt: skip
        with _closed(writer):
            running.run(interrupts)
        if writer.written == 0:
            raise _refused(notebook, "nothing of its recording has arrived")
        runs.notebook, runs.completed = writer.path, running.completed
        runs.failure = running.failure

    def _run_script(
        self, runs: Runs, notebook: Path, plan: Any, number: int, total: int,
        interrupts: Interrupts,
    ) -> None:  # fmt: skip
        writer = self._writer(f"{part_of_name(runs.script.name)}-script-{number}")
        probe = self._probe("script", runs.script.name)
        steps = {"starts": [start.plain() for start in plan.starts]} if plan.starts else None
        work = Work(runs.script, (), probe, False, self._every, steps)

        def progress(text: str) -> None:
            self._told(f"script: {number} of {total}, {text}" if text else "")

        running = JobRun(
            self._workspace, self._compute, work, writer, volume=self._volume,
            say=lambda text: None, progress=progress,
        )  # fmt: skip
        with _closed(writer):
            ending = running.run(interrupts)
        if ending.result == "CANCELED":
            raise KeyboardInterrupt
        self._compare(runs, notebook, ending)
        runs.scripts.append(writer.path)
        if ending.trouble:
            runs.notes.append((f"the inside of {runs.script.name}", ending.trouble))
        if number == 1 and ending.setup is not None and ending.setup >= 1:
            note = f"{ending.setup:.0f} s before the first run, which no duration here includes"
            runs.notes.append(("the start of the compute for a job", note))

    def _compare(self, runs: Runs, notebook: Path, ending: Ending) -> None:
        """Go on where both fail, or neither; otherwise they did not do the same work."""
        if bool(ending.status) == (runs.failure is not None):
            return
        if runs.failure is not None:
            cell = f"cell {runs.failure.cell}"
            why = f"{cell} failed and {runs.script.name} did not: {runs.failure.error}"
            raise _refused(notebook, why)
        why = f"{runs.script.name} ended with status {ending.status}"
        raise _refused(notebook, f"{why}: {ending.error}" if ending.error else why)

    def _probe(self, context: str, program: str) -> dict[str, Any]:
        return {
            **self._options, "context": context, "method": METHOD, "program": program, "argc": 0,
            "max_pause": 60.0, "peak_reset": True, "cpu_share": 0.01,
            "databricks": self._compute.facts,
        }  # fmt: skip

    def _writer(self, name: str) -> RecordingWriter:
        return RecordingWriter.create(free(self._folder / f"{name}.memprobe"))


@contextlib.contextmanager
def _closed(writer: RecordingWriter) -> Any:
    """Close the recording at the end; one that holds nothing goes."""
    try:
        yield
    except BaseException:
        writer.discard()
        raise
    written = writer.written
    writer.close()
    writer.written = written


def _refused(notebook: Path, cause: str) -> TargetError:
    return TargetError(
        f"cannot contrast {notebook} on Databricks",
        cause=cause,
        remedy="mend it, or give a script of your own: memprobe contrast --on … NOTEBOOK SCRIPT",
        docs=DOCS,
    )
