"""For how long nobody has asked anything of a context, and whether it is at rest meanwhile."""

from __future__ import annotations

from memprobe.analysis.evidence import Evidence
from memprobe.recording.schema import Snapshot

AT_REST = 0.05  # of one core, used by the process beside the probe while it was watched
SHORTEST_WATCH = 1.0  # seconds of watching from which that can be told


def idle_seconds(evidence: Evidence) -> float | None:
    """Return how long a notebook was idle at the last snapshot; None: it was not, or unknown."""
    last = evidence.snapshot
    if last is None or not evidence.is_notebook or last.busy or last.idle is None:
        return None
    if _streams(evidence) or not _at_rest(evidence, last):
        return None
    return last.idle


def _streams(evidence: Evidence) -> bool:
    readings = evidence.recording.spark
    return bool(readings) and any(stream.active for stream in readings[-1].streams or ())


def _at_rest(evidence: Evidence, last: Snapshot) -> bool:
    """Whether the process has computed next to nothing between its snapshots.

    Where only one moment was seen, what it did before cannot be told: it is taken at its word.
    """
    seen = [one for one in evidence.recording.snapshots if one.cpu is not None]
    first = seen[0] if seen else last
    seconds = (last.t - first.t) / 1e9
    if seconds < SHORTEST_WATCH or last.cpu is None or first.cpu is None:
        return True
    return (last.cpu - first.cpu) <= AT_REST * seconds
