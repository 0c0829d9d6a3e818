"""The options of every verb that judges: which rules, and which findings are known already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from memprobe.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])


def rule_options(command: Command) -> Command:
    """Give a verb ``--select``, ``--ignore`` and ``--baseline``."""
    options = (
        click.option("--select", metavar="RULES", help="Only these rules: codes, prefixes, names."),
        click.option("--ignore", metavar="RULES", help="Leave these rules out."),
        click.option("--baseline", metavar="FILE", help="A JSON report with known findings."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def known_before(settings: Config, baseline: str | None) -> frozenset[str]:
    """Return the fingerprints of ``baseline``, once its rules are known to exist.

    Asked before anything is measured: a typing error must not come to light after hours.
    Raises UsageError.
    """
    from memprobe.cli.baseline import known_fingerprints

    if settings.select or settings.ignore:
        from memprobe.detectors import DETECTORS
        from memprobe.detectors.selection import chosen

        chosen(DETECTORS, settings.select, settings.ignore)
    return known_fingerprints(baseline) if baseline else frozenset()
