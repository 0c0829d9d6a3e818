"""A request of ours while a kernel serves it: does one thing, and leaves no trace of having come.

What the request disturbs in the kernel, and how that is put back, is in ``traces``. This module
travels in the request, under another package's name: a probe that is in the kernel, of whatever
version, is not touched.
"""

from __future__ import annotations

import json
import sys
import time
import types

from .shells import running_shell
from .traces import IDENTITY, Traces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def begin(act: Callable[[Any], dict[str, Any]], expires: float) -> None:
    """Call ``act`` with the shell; ``settle`` must follow, as the request's user expression.

    ``expires`` (unix seconds): a request that waited longer, because C code held the GIL, does
    nothing: whoever sent it has given up.
    """
    visit: Any = types.ModuleType(IDENTITY)
    sys.modules[IDENTITY] = visit
    visit.answer = {"ok": False, "error": "expired"}
    shell = running_shell()
    if shell is None:
        visit.answer = {"ok": False, "error": "no IPython shell"}
        return
    visit.traces = Traces(shell)
    if time.time() < expires:
        try:
            visit.answer = act(shell)
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            visit.answer = answer
    # Last, so that a cell that ends meanwhile has the shortest time to be overlooked.
    visit.traces.remember_result()


def settle() -> str:
    """Put back what the request disturbed and return the answer as JSON."""
    visit: Any = sys.modules.pop(IDENTITY)
    traces = getattr(visit, "traces", None)
    if traces is not None:
        traces.remove()
    answer, package = json.dumps(visit.answer), __name__.split(".")[0]
    ours = [name for name in list(sys.modules) if name.split(".")[0] == package]
    for names in [sys.modules.pop(name).__dict__ for name in ours]:
        names.clear()  # functions and their module keep each other; nothing global is there now
    return answer
