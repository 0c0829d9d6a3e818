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

from .traces import IDENTITY, Traces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def begin(
    act: Callable[[Any], dict[str, Any]], expires: float, *, at_last: Callable[[], object] = dict
) -> None:
    """Call ``act`` with the shell; ``settle`` must follow, as the request's user expression.

    ``expires`` (unix seconds): a request that waited longer, because C code held the GIL, does
    nothing: whoever sent it has given up. ``at_last`` is called when everything is put back.
    """
    visit: Any = types.ModuleType(IDENTITY)
    sys.modules[IDENTITY] = visit
    visit.answer, visit.at_last = {"ok": False, "error": "expired"}, at_last
    shell = _shell()
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
    try:
        visit.at_last()
    except Exception:
        pass  # the answer is wanted all the same
    answer, package = json.dumps(visit.answer), __name__.split(".")[0]
    ours = [name for name in list(sys.modules) if name.split(".")[0] == package]
    for names in [sys.modules.pop(name).__dict__ for name in ours]:
        names.clear()  # functions and their module keep each other; nothing global is there now
    return answer


def _shell() -> Any:
    """Return the IPython shell of this process, or None."""
    interactive = sys.modules.get("IPython.core.interactiveshell")
    shell_class = getattr(interactive, "InteractiveShell", None)
    if shell_class is None or not shell_class.initialized():
        return None
    return shell_class.instance()
