"""Both contexts of a contrast over time, with what begins alike laid side by side."""

from __future__ import annotations

from collections.abc import Sequence

from memprobe.analysis.evidence import gather
from memprobe.analysis.history import history
from memprobe.config import Config
from memprobe.histories import ContrastHistory, History
from memprobe.recording.reader import Recording


def contrast_history(
    notebook: Recording, scripts: Sequence[Recording], config: Config
) -> ContrastHistory:
    """Return the notebook's history and its script's, each process beside the same round."""
    ours = history(gather(notebook, config))
    theirs = [history(gather(one, config)) for one in scripts]
    begins = [one.start for one in ours.rounds] or [_first_step(ours)]
    return ContrastHistory(
        notebook=ours,
        scripts=theirs,
        shifts=[
            begins[min(at, len(begins) - 1)] - _first_step(one) for at, one in enumerate(theirs)
        ],
    )


def _first_step(one: History) -> float:
    return one.steps[0].start if one.steps else 0.0
