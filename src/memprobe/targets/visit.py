"""Asking a kernel which notebook it runs: a small request that brings no probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets import kernel_request
from memprobe.targets.kernel import answer_of


def visit(ask: Callable[[str, dict[str, Any]], dict[str, Any]], expires: float) -> dict[str, Any]:
    """Return ``{pid, notebook, busy, probe}`` of the kernel that ``ask`` asks.

    ``ask`` sends a request on its control channel and returns the content of the reply.
    ``notebook``: the path in the workspace, empty where nobody knows. ``expires``: in unix seconds
    of the kernel's clock. Raises TargetError.
    """
    info = ask("kernel_info_request", {})
    if info.get("implementation") != "ipython":
        raise TargetError("it is no IPython kernel")
    request = kernel_request.content("whereabouts", expires=expires)
    answer = answer_of(ask("execute_request", request))
    ask("kernel_info_request", {})  # the kernel remembers the last request: let that be a small one
    return answer
