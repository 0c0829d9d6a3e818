"""The errors a user may see.

MemprobeError            exit 2, printed as error / cause / help, never as a traceback
├── UsageError           what was asked for cannot be done as asked
├── TargetError          the context cannot be found, entered or left
├── RecordingError       a file is no recording, cannot be read or cannot be written
└── NothingMeasured      exit 5: the recording holds nothing to judge
"""

from __future__ import annotations

EXPLAIN = "memprobe explain"


class MemprobeError(Exception):
    """One failure as a user reads it.

    ``summary`` says what failed, ``cause`` why, ``remedy`` what to type or change,
    ``docs`` which page below ``docs/`` says more. ``exit_code`` is the process's status.
    """

    exit_code = 2

    def __init__(self, summary: str, *, cause: str = "", remedy: str = "", docs: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.cause = cause
        self.remedy = remedy
        self.docs = docs

    def lines(self) -> list[str]:
        """Return the message as the lines printed to stderr, without colour."""
        labelled = [
            ("error:", self.summary),
            ("  cause:", self.cause),
            ("  help: ", self.remedy),
            ("  docs: ", _asked(self.docs) if self.docs else ""),
        ]
        return [f"{label} {text}" for label, text in labelled if text]


def _asked(page: str) -> str:
    """Return what to type to read ``page``: it is installed with us, wherever that is."""
    from memprobe.manual import page_name

    return f"{EXPLAIN} {page_name(page)}".rstrip()


class UsageError(MemprobeError):
    """What was asked for cannot be done as asked."""


class TargetError(MemprobeError):
    """The target context cannot be found, entered or left."""


class RecordingError(MemprobeError):
    """A recording cannot be read or written."""


class NothingMeasured(MemprobeError):
    """Nothing was measured, so there is nothing to judge (an empty gate is not green)."""

    exit_code = 5
