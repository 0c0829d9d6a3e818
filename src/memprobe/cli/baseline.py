"""A baseline: a JSON report whose findings are known and shall not fail a gate again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from memprobe.errors import UsageError
from memprobe.findings import Report

DOCS_PAGE = "verbs/report.md"


def known_fingerprints(path: str) -> frozenset[str]:
    """Return the fingerprints in the JSON report at ``path``; raises UsageError.

    What that report itself had left out as known stays known, so a baseline can be renewed with
    itself in use.
    """
    try:
        document = msgspec.json.decode(Path(path).read_bytes())
        return frozenset(_fingerprints(document))
    except OSError as error:
        cause = error.strerror or str(error)
    except (
        msgspec.MsgspecError,  # no ValueError before 0.19
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        cause = "it is no JSON report of memprobe"
    raise UsageError(
        f"cannot use {path} as a baseline",
        cause=cause,
        remedy="write one: memprobe report RECORDING --output-format json -o FILE --exit-zero",
        docs=DOCS_PAGE,
    )


def leave_out(report: Report, known: frozenset[str]) -> None:
    """Move the findings of ``report`` that are in ``known`` from its findings to its ``known``."""
    if known:
        report.known = [f.fingerprint for f in report.findings if f.fingerprint in known]
        report.findings = [f for f in report.findings if f.fingerprint not in known]


def _fingerprints(document: Any) -> Iterator[str]:
    for report in document.get("reports", [document]):
        for finding in report["findings"]:
            yield str(finding["fingerprint"])
        for fingerprint in report.get("known", []):
            yield str(fingerprint)
