"""Waiting for a kernel's first answer, as long as its process lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.1  # seconds between two tries


def wait_until_ready(client: Any, is_alive: Callable[[], bool], timeout: float) -> None:
    """Wait at most ``timeout`` seconds until the kernel of a blocking ``client`` answers.

    Raises RuntimeError where it does not, or has died. A client that did not start its kernel
    takes one for dead whose heart does not beat within a second: on a busy machine any.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            client.wait_for_ready(timeout=max(PAUSE, deadline - time.monotonic()))
            return
        except RuntimeError:
            if not is_alive() or time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE)
