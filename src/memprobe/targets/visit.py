"""Asking a kernel which notebook it runs: a small request that brings no probe and leaves nothing.

Three modules of the probe travel with it, under a package name of their own: a probe that is in the
kernel, of whatever version, is not touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets.kernel import answer_of
from memprobe.targets.payload import PACKAGE as PROBES

PACKAGE = "memprobe_visit"
MODULES = ("frames", "traces", "whereabouts")  # each needs only what stands before it

# The name of the variable is what the request is known by, to itself: see `traces`.
_OPENER = """
import json, sys, types
parts = json.loads(_memprobe_entry)
name, last = parts["package"], parts["modules"][-1]
package = sys.modules[name] = types.ModuleType(name)
package.__path__ = []
try:
    for one in parts["modules"]:
        module = types.ModuleType(name + "." + one)
        module.__package__ = name
        sys.modules[module.__name__] = module
        setattr(package, one, module)
        exec(compile(parts["texts"][one], "<" + name + "/" + one + ".py>", "exec"), module.__dict__)
    sys.modules[name + "." + last].look(parts["expires"])
except BaseException as error:
    for one in [one for one in list(sys.modules) if one.split(".")[0] == name]:
        del sys.modules[one]
    import linecache
    linecache.cache.pop(sys._getframe(1).f_code.co_filename, None)  # the request's own text
    failed = sys.modules[name + "." + last] = types.ModuleType(name + "." + last)
    answer = json.dumps({"ok": False, "error": type(error).__name__ + ": " + str(error)})
    failed.settle = lambda: (sys.modules.pop(failed.__name__), answer)[1]
"""

_ANSWER = f"__import__('sys').modules['{PACKAGE}.{MODULES[-1]}'].settle()"


def visit(ask: Callable[[str, dict[str, Any]], dict[str, Any]], expires: float) -> dict[str, Any]:
    """Return ``{pid, notebook, busy, probe}`` of the kernel that ``ask`` asks.

    ``ask`` sends a request on its control channel and returns the content of the reply.
    ``notebook``: the path in the workspace, empty where nobody knows. ``expires``: in unix seconds
    of the kernel's clock. Raises TargetError.
    """
    info = ask("kernel_info_request", {})
    if info.get("implementation") != "ipython":
        raise TargetError("it is no IPython kernel")
    content = {
        "code": _source(expires), "silent": True, "store_history": False,
        "user_expressions": {"memprobe": _ANSWER}, "allow_stdin": True, "stop_on_error": False,
    }  # fmt: skip
    answer = answer_of(ask("execute_request", content))
    ask("kernel_info_request", {})  # the kernel remembers the last request: let that be a small one
    return answer


def _source(expires: float) -> str:
    folder = resources.files(PROBES)
    texts = {name: folder.joinpath(f"{name}.py").read_text("utf-8") for name in MODULES}
    parts = {"package": PACKAGE, "modules": MODULES, "texts": texts, "expires": expires}
    scope = f"{{'_memprobe_entry': {json.dumps(parts)!r}}}"
    return f"__import__('builtins').exec({_OPENER!r}, {scope})"
