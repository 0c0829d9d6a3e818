"""How a recorded run ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Outcome:
    """The target's status, and where its recording is."""

    status: int  # 128+n for signal n
    path: Path
    trouble: str | None = None  # why the target ran without a probe
    incomplete: str | None = None  # why the recording is not whole
