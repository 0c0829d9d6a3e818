"""Run a notebook with edited cells, in as many rounds as the original: nothing is written to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.errors import MemprobeError
from memprobe.recording.naming import free, part_of_name
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.notebook_run import code_cells
from memprobe.targets.rounds import RoundsRun

INTERRUPTED = 130


@dataclass
class EditedRun:
    """What came of it: the recording, what each cell showed in each round, why it ended early."""

    recording: Path
    shown: list[list[str]] = field(default_factory=list)
    failure: str | None = None


def run_edited(
    notebook: Path, sources: Mapping[int, str], rounds: int, folder: Path,
    options: dict[str, Any], told: Callable[[int, int], None],
) -> EditedRun:  # fmt: skip
    """Run ``notebook`` with ``sources`` (position from 1 → text) for ``rounds`` rounds.

    Raises TargetError, and KeyboardInterrupt after everything was taken down.
    """
    writer = RecordingWriter.create(free(folder / f"{part_of_name(notebook.name)}-edited.memprobe"))
    running = RoundsRun(notebook, writer, rounds, options, told)
    running.replace_cells(edited_cells(code_cells(notebook), sources))
    try:
        outcome = running.run()
    except MemprobeError:
        writer.discard()
        raise
    if outcome.status == INTERRUPTED:
        raise KeyboardInterrupt
    failure = None
    if running.failure is not None:
        one = running.failure
        failure = f"cell {one.cell} failed in round {one.round}: {one.error}"
    elif outcome.status:
        failure = f"it ended with status {outcome.status}"
    return EditedRun(outcome.path, running.shown, failure)


def edited_cells(cells: list[Any], sources: Mapping[int, str]) -> list[Any]:
    """Return copies of the cells, with the sources at those positions."""
    found = []
    for position, cell in enumerate(cells, start=1):
        one = copy.deepcopy(cell)
        one["source"] = sources.get(position, one["source"])
        found.append(one)
    return found


def write_edited(notebook: Path, sources: Mapping[int, str], path: Path) -> None:
    """Write the edited copy to ``path``, never to ``notebook``."""
    import nbformat

    if notebook.suffix != ".ipynb":  # of a source notebook its cells, as they are run
        new: Any = nbformat.v4.new_notebook
        nbformat.write(new(cells=edited_cells(code_cells(notebook), sources)), path)  # type: ignore[no-untyped-call]
        return
    content: Any = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    position = 0
    for cell in content.cells:
        if cell.cell_type == "code" and cell.source.strip():
            position += 1
            cell["source"] = sources.get(position, cell["source"])
            cell["outputs"] = []
            cell["execution_count"] = None
    nbformat.write(content, path)  # type: ignore[no-untyped-call]
