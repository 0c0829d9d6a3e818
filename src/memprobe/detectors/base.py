"""What a rule is: a code, a name, a docstring that is its ``explain`` page, and ``detect``.

The docstring's first line is the title; the sections "What it means", "Why it matters",
"Example", "Use instead" and "When it does not fire" follow as Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from memprobe.analysis.evidence import Evidence
from memprobe.findings import Finding


class Detector(Protocol):
    """One rule. ``detect`` is pure: evidence in, findings out."""

    code: str
    name: str

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield the findings this rule has evidence for."""
        ...
