"""What a test's ``@pytest.mark.memprobe(…)`` asks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from memprobe import config

NAMES = ("retained", "growth", "rounds")


@dataclass(frozen=True)
class Limits:
    """Bytes that a test may leave behind, and add in each of ``rounds``; None: not judged."""

    retained: int | None
    growth: int | None
    rounds: int

    @property
    def runs(self) -> int:
        """How often the test runs: once, or once to warm up and then all rounds."""
        return 1 if self.growth is None else 1 + self.rounds


def read(item: pytest.Item, settings: config.Config) -> Limits:
    """Return the limits of a marked test; a marker closer to the test overrides the others'.

    Raises ``pytest.UsageError`` that names the test's place.
    """
    asked: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("memprobe"))):
        if mark.args:
            raise _wrong(item, "takes no positional arguments", "write retained='50MB'")
        asked.update(mark.kwargs)
    for name in asked.keys() - set(NAMES):
        near = difflib.get_close_matches(name, NAMES, n=1) or NAMES
        raise _wrong(item, f"has no argument {name!r}", f"did you mean {' or '.join(near)}?")
    if "rounds" in asked and asked.get("growth") is None:
        raise _wrong(item, "has rounds= without growth=", "only growth= repeats a test")
    return _limits(item, asked, settings)


def _limits(item: pytest.Item, asked: Mapping[str, Any], settings: config.Config) -> Limits:
    if asked.get("retained") is None and asked.get("growth") is None:
        if asked:
            raise _wrong(item, "judges nothing", "give retained= or growth= a size")
        return Limits(settings.pytest_retained, settings.pytest_growth, settings.pytest_rounds)
    return Limits(
        _parsed(item, asked, "retained", config.size_or_zero),
        _parsed(item, asked, "growth", config.size_or_zero),
        _parsed(item, asked, "rounds", config.count) or settings.pytest_rounds,
    )


def _parsed(item: pytest.Item, asked: Mapping[str, Any], name: str, parse: Any) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    try:
        return int(parse(value))
    except ValueError as expected:
        raise _wrong(item, f"has a wrong {name}: {value!r}", f"give {expected}") from None


def _wrong(item: pytest.Item, what: str, remedy: str) -> pytest.UsageError:
    file, line, _ = item.location
    place = f"{file}:{line + 1}" if line is not None else file
    return pytest.UsageError(
        f"{place}: @pytest.mark.memprobe of {item.name} {what}\n  help: {remedy}"
    )
