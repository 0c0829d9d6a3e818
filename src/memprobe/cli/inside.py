"""``--inside EXPR``: which holders to look into, for the verbs that take snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from memprobe.errors import UsageError

MOST = 4  # in one snapshot


def inside_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--inside``, which may be given several times."""
    return click.option(
        "--inside",
        multiple=True,
        metavar="EXPR",
        help="Also look into the object of a name or output: what in it keeps how much?",
    )(command)


def exprs(inside: tuple[str, ...], page: str) -> tuple[str, ...]:
    """Return what was asked for, each once; raises UsageError for more than ``MOST``.

    ``page``: the page of docs that says more.
    """
    asked = tuple(dict.fromkeys(filter(None, map(str.strip, inside))))
    if len(asked) > MOST:
        raise UsageError(
            f"--inside looks into {MOST} holders at most, and these are {len(asked)}",
            remedy="look into the others in another snapshot",
            docs=page,
        )
    return asked
