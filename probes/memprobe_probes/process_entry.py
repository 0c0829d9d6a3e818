"""Entering a plain Python process: called on a thread of our own that ends with this."""

from __future__ import annotations

import time

from . import bootstrap, plain_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(config: dict[str, Any], expires: float) -> str:
    """Start or join the probe; return the answer to whoever asked, one line of JSON.

    ``expires`` (unix seconds): a request that waited longer does nothing: who sent it is gone.
    """
    answer: dict[str, Any] = {"ok": False, "error": "expired"}
    try:
        if time.time() < expires:
            answer = bootstrap.start(config)
    except Exception as error:
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    if bootstrap.active() is None:
        bootstrap.leave_nothing()
    return plain_json.dumps({"id": "entered", **answer})
