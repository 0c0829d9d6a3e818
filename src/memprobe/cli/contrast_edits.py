"""``--suggest`` and ``--verify`` of ``memprobe contrast``: edits of the cells, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprobe.errors import UsageError
from memprobe.recording.naming import free, part_of_name

if TYPE_CHECKING:
    from memprobe.analysis.contrast import Circumstances
    from memprobe.config import Config
    from memprobe.contrasts import ContrastReport, Verified
    from memprobe.recording.reader import Recording
    from memprobe.targets.contrast_run import Runs

DOCS = "verbs/contrast.md"
TOLD_AS = ("text", "json")


@dataclass(frozen=True)
class Asked:
    """What of the edits was asked for; ``keep``: the edited copy is written beside recordings."""

    suggest: bool = False
    verify: bool = False
    keep: bool = False


def check(asked: Asked, output_format: str, targets: tuple[str, ...]) -> None:
    """Refuse what cannot be suggested from, or shown. Raises UsageError."""
    if not asked.suggest:
        return
    if targets[0].endswith(".memprobe"):
        raise UsageError(
            "recordings cannot be edited",
            cause="a recording holds no cell's source",
            remedy="give the notebook: memprobe contrast NOTEBOOK --suggest",
            docs=DOCS,
        )
    if output_format not in TOLD_AS:
        raise UsageError(
            f"edits are not told as {output_format}",
            cause="a diff needs room",
            remedy="leave --output-format out, or say --output-format json",
            docs=DOCS,
        )


def add_suggestions(
    report: ContrastReport, notebook: Path, recording: Recording, runs: Runs, asked: Asked,
    verify: Callable[[Mapping[int, str]], Verified],
) -> None:  # fmt: skip
    """Put the edits into the report; with ``--verify`` run them."""
    from memprobe.edits.suggest import suggest

    found = suggest(report.findings, _notebook(notebook, recording))
    report.contrast.suggestions = found
    sources = {edit.cell: edit.after for edit in found.edits}
    if not sources:
        return
    if asked.keep:
        from memprobe.targets.edited_run import write_edited

        folder = runs.notebook.parent
        write_edited(
            notebook, sources, free(folder / f"{part_of_name(notebook.name)}-edited.ipynb")
        )
    if asked.verify:
        found.verified = verify(sources)


def _notebook(notebook: Path, recording: Recording) -> Any:
    from memprobe.analysis.contrast_side import side
    from memprobe.edits.suggest import Notebook
    from memprobe.targets.notebook_run import code_cells

    cells = code_cells(notebook)
    steps = side(recording).first.steps
    awaited = {name for one in recording.snapshots for name in one.awaited}
    return Notebook(
        sources=[cell["source"] for cell in cells],
        seen=[step.used | set(step.bound) for step in steps],
        awaited=frozenset(awaited),
        ids=[cell.get("id") for cell in cells],
        shows=[step.shows for step in steps],
    )


def run_and_compare(
    report: ContrastReport, notebook: Path, sources: Mapping[int, str], runs: Runs,
    scripts: list[Recording], settings: Config, known: Circumstances,
    told: Callable[[str], None],
) -> Verified:  # fmt: skip
    """Run the edited copy in as many rounds, and compare. Raises TargetError."""
    from memprobe.analysis.contrast import contrast
    from memprobe.edits.verified import verified
    from memprobe.recording.reader import read
    from memprobe.targets.edited_run import run_edited

    rounds = len(report.contrast.rounds)
    options = {"interval": settings.interval, "cap": settings.cap}

    def tell(number: int, cell: int) -> None:
        told(f"edited copy: round {number} of {rounds}, cell {cell}")

    try:
        edited = run_edited(notebook, sources, rounds, runs.notebook.parent, options, tell)
    except KeyboardInterrupt:  # the contrast itself was measured: it is still told
        return verified(report, None, runs.shown, [], "interrupted")
    expected = runs.failure is not None and edited.failure is not None
    after = None
    if edited.failure is None or expected:
        after = contrast(read(edited.recording), scripts, settings, known)
    failure = None if expected else edited.failure
    return verified(report, after, runs.shown, edited.shown, failure)
