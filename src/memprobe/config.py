"""Thresholds and defaults: ``[tool.memprobe]``, then ``MEMPROBE_*``, then flags; the last wins.

    load(**flags) -> Config

Keys are written ``min-bytes`` or ``min_bytes``. Sizes may be ``10_000_000`` or ``"10 MB"``,
durations ``600`` (seconds) or ``"10 min"``. A wrong value is a UsageError that names key and place.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from memprobe.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT_PREFIX = "MEMPROBE_"
DOCS_PAGE = "configuration.md"

SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
TIME_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Config:
    """Everything a user may set, with its default. Sizes are bytes, durations seconds."""

    min_bytes: int = 10_000_000  # a holder matters from this many exclusive bytes
    stale_cells: int = 5  # stale: unused for this many executed cells …
    stale_seconds: float = 600.0  # … or for this long
    idle_seconds: float = 1800.0  # a notebook is idle from so long without a request on …
    idle_bytes: int = 100_000_000  # … and matters from this many bytes that would come back
    growth_rounds: int = 3  # growth: every one of at least so many equal rounds
    interval: float = 1.0  # between two samples
    max_pause: float = 0.25  # longest pause a snapshot may cost the target
    cap: int = 64 * 2**20  # largest recording
    cpu_share: float = 0.01  # of one core, for the probe
    lease: float = 60.0  # a client that is silent for this long is gone
    databricks_copy: float = 15.0  # between two copies of a job's recording to the workspace
    select: tuple[str, ...] = ()  # rules to report; none named: all
    ignore: tuple[str, ...] = ()  # rules to leave out
    pytest_retained: int = 10_000_000  # what a test with a bare memprobe marker may leave behind
    pytest_growth: int | None = None  # … and add in each repeated round; None: not repeated
    pytest_rounds: int = 3  # rounds behind growth, after one that warms up
    # What a Jupyter Server is asked with where neither its address nor JUPYTER_TOKEN says.
    jupyter_token: str = field(default="", repr=False)
    pytest_unmeasured: str = "fail"  # a marked test that cannot be measured: fail or pass


def load(
    start: Path | None = None, environment: Mapping[str, str] | None = None, **flags: Any
) -> Config:
    """Return the configuration that holds in directory ``start`` (default: the working one).

    A flag that is None was not given. Raises UsageError.
    """
    config = Config()
    path = _pyproject(Path(os.path.abspath(start)) if start else _working_directory())
    if path is not None:
        config = _with(config, _table(path) or {}, f"in {path}")
    variables = _variables(os.environ if environment is None else environment)
    config = _with(config, variables, "in the environment", shown=_variable)
    given = {name: value for name, value in flags.items() if value is not None}
    return _with(config, given, "on the command line", shown=_flag)


def size(value: Any) -> int:
    """Return ``10_000_000``, ``"10 MB"`` or ``"64MiB"`` as bytes; ValueError for anything else."""
    number = _quantity(value, SIZE_UNITS, "a size above zero, like 10000000 or '10 MB'")
    return int(number)


def size_or_zero(value: Any) -> int:
    """Return a size as ``size`` does; ``0`` and ``"0 MB"`` are sizes too."""
    expected = "a size, like 0, 10000000 or '10 MB'"
    return int(_quantity(value, SIZE_UNITS, expected, zero=True))


def seconds(value: Any) -> float:
    """Return ``600``, ``"10 min"`` or ``"250ms"`` as seconds; ValueError for anything else."""
    return _quantity(value, TIME_UNITS, "a duration above zero, like 600 or '10 min'")


def count(value: Any) -> int:
    """Return a whole number from 1 on; ValueError for anything else."""
    number = _quantity(value, {"": 1}, "a whole number above zero")
    if number != int(number):
        raise ValueError("a whole number above zero")
    return int(number)


def share(value: Any) -> float:
    """Return a share between 0 and 1 (``0.01`` or ``"1%"``); ValueError for anything else."""
    number = _quantity(value, {"": 1.0, "%": 0.01}, "a share above 0 and up to 1, like 0.01")
    if number > 1:
        raise ValueError("a share above 0 and up to 1, like 0.01")
    return number


def names(value: Any) -> tuple[str, ...]:
    """Return ``"MP101,MP2"`` or a list of such names as a tuple; ValueError for anything else."""
    rows = value.split(",") if isinstance(value, str) else value
    if not isinstance(rows, list | tuple) or not all(isinstance(row, str) for row in rows):
        raise ValueError("a list of rules, like ['MP201', 'MP2']")
    return tuple(row.strip() for row in rows if row.strip())


def fail_or_pass(value: Any) -> str:
    """Return ``"fail"`` or ``"pass"``; ValueError for anything else."""
    if value not in ("fail", "pass"):
        raise ValueError("'fail' or 'pass'")
    return str(value)


def secret(value: Any) -> str:
    """Return a text as it is; ValueError for anything else. It is never shown."""
    if not isinstance(value, str):
        raise ValueError("a text in quotes")
    return value


SECRETS = ("jupyter_token",)
PARSERS: dict[str, Callable[[Any], Any]] = {
    "min_bytes": size,
    "stale_cells": count,
    "stale_seconds": seconds,
    "idle_seconds": seconds,
    "idle_bytes": size,
    "growth_rounds": count,
    "interval": seconds,
    "max_pause": seconds,
    "cap": size,
    "cpu_share": share,
    "lease": seconds,
    "databricks_copy": seconds,
    "select": names,
    "ignore": names,
    "jupyter_token": secret,
    "pytest_retained": size_or_zero,
    "pytest_growth": size_or_zero,
    "pytest_rounds": count,
    "pytest_unmeasured": fail_or_pass,
}


def _quantity(
    value: Any, units: Mapping[str, float], expected: str, *, zero: bool = False
) -> float:
    """Return ``value`` in the base unit; ValueError(``expected``) where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(expected)
    match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-z%]*)\s*", str(value).lower())
    if match is None or match[2] not in units:
        raise ValueError(expected)
    number = float(match[1].replace("_", "")) * units[match[2]]
    if number < 0 or (number == 0 and not zero):
        raise ValueError(expected)
    return number


def _with(
    config: Config,
    values: Mapping[str, Any],
    place: str,
    shown: Callable[[str], str] = lambda name: name.replace("_", "-"),
) -> Config:
    """Return ``config`` with ``values`` over it; a wrong one is named as ``place`` writes it."""
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in PARSERS:
            raise _unknown_key(key, place)
        try:
            changes[name] = PARSERS[name](value)
        except ValueError as expected:
            raise UsageError(
                f"{shown(name)} has a wrong value" + ("" if name in SECRETS else f": {value!r}"),
                cause=f"set {place}",
                remedy=f"give {expected}",
                docs=DOCS_PAGE,
            ) from None
    return replace(config, **changes)


def _unknown_key(key: str, place: str) -> UsageError:
    known = [field.name.replace("_", "-") for field in fields(Config)]
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    remedy = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
    return UsageError(
        f"unknown key in [tool.memprobe]: {key}",
        cause=f"set {place}",
        remedy=remedy,
        docs=DOCS_PAGE,
    )


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings among the variables; others with our prefix are not ours to judge."""
    found = {name: environment.get(_variable(name), "") for name in PARSERS}
    return {name: value for name, value in found.items() if value.strip()}


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted under us
        return None


def _pyproject(start: Path | None) -> Path | None:
    """Return the nearest pyproject.toml upward that has a ``[tool.memprobe]`` table."""
    for folder in (start, *start.parents) if start else ():
        path = folder / "pyproject.toml"
        if os.path.isfile(path) and _table(path) is not None:
            return path
    return None


def _table(path: Path) -> dict[str, Any] | None:
    """Return the ``[tool.memprobe]`` table of ``path``, or None where it has none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None  # another user's folder above ours
    except ValueError as error:
        raise UsageError(
            f"{path} is no TOML file",
            cause=str(error),
            remedy="correct it: memprobe reads its [tool.memprobe] table",
            docs=DOCS_PAGE,
        ) from None
    tools = document.get("tool")
    table = tools.get("memprobe") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(
            f"{path}: tool.memprobe is not a table",
            remedy="write [tool.memprobe] and the keys below it",
            docs=DOCS_PAGE,
        )
    return table
