"""Entering a Jupyter kernel through its control channel, and leaving no trace of having entered.

What the request disturbs in the kernel, and how that is put back, is in ``traces``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types

from . import bootstrap, notebook
from .traces import IDENTITY, Traces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(config: dict[str, Any], expires: float) -> None:
    """Start or join the probe; ``settle`` must follow, as the request's user expression.

    ``expires`` (unix seconds): a request that waited longer, because C code held the GIL, does
    nothing: whoever sent it has given up.
    """
    visit: Any = types.ModuleType(IDENTITY)
    sys.modules[IDENTITY] = visit
    visit.answer = {"ok": False, "error": "expired"}
    shell = notebook.running_shell()
    if shell is None:
        visit.answer = {"ok": False, "error": "no IPython shell"}
        return
    visit.traces = Traces(shell)
    if time.time() < expires:
        try:
            visit.answer = _begun(config, shell)
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            visit.answer = answer
    # Last, so that a cell that ends meanwhile has the shortest time to be overlooked.
    visit.traces.remember_result()


def _begun(config: dict[str, Any], shell: Any) -> dict[str, Any]:
    """Start or join the probe; or do the one thing that was asked, to whatever probe is there."""
    if "only" in config:
        bootstrap.outlive_departure()
        told = bootstrap.command(config["only"])
        return {"ok": True, "told": told, "pid": os.getpid()}
    if config.get("courier"):
        from . import courier

        return courier.enter(config, shell.kernel)
    return bootstrap.start(config)


def settle() -> str:
    """Put back what the request disturbed and return the answer as JSON."""
    visit: Any = sys.modules.pop(IDENTITY)
    traces = getattr(visit, "traces", None)
    if traces is not None:
        traces.remove()
    if bootstrap.active() is None and not bootstrap.leaving():
        bootstrap.leave_nothing()
    return json.dumps(visit.answer)
