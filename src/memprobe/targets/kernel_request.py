"""A request to a kernel: one expression that does one thing there and leaves no trace.

Modules of the probe travel in it, under a package name of their own: a probe that is in the kernel,
of whatever version, is not touched. IPython looks at each sign of a request several times, so it is
packed.
"""

from __future__ import annotations

import base64
import json
import zlib
from importlib import resources
from typing import Any

from memprobe.targets.payload import PACKAGE as PROBES

PACKAGE = "memprobe_visit"
MODULES = ("frames", "traces", "shells", "visiting")  # each needs only what stands before it

# The name of the variable is what the request is known by, to itself: see `traces`.
_OPENER = """
import base64, json, sys, types, zlib
parts = json.loads(zlib.decompress(base64.b64decode(_memprobe_entry)))
name = parts["package"]
package = sys.modules[name] = types.ModuleType(name)
package.__path__ = []
try:
    for one, text in parts["texts"].items():
        module = types.ModuleType(name + "." + one)
        module.__package__ = name
        sys.modules[module.__name__] = module
        setattr(package, one, module)
        exec(compile(text, "<" + name + "/" + one + ".py>", "exec"), module.__dict__)
    module.begin(**parts["arguments"])
except BaseException as error:
    # Raised further, it would replace the user's own sys.last_value and last traceback.
    for one in [one for one in list(sys.modules) if one.split(".")[0] == name]:
        del sys.modules[one]
    import linecache
    linecache.cache.pop(sys._getframe(1).f_code.co_filename, None)  # the request's own text
    failed = sys.modules[name + ".visiting"] = types.ModuleType(name + ".visiting")
    answer = json.dumps({"ok": False, "error": type(error).__name__ + ": " + str(error)})
    failed.settle = lambda: (sys.modules.pop(failed.__name__), answer)[1]
"""

# What the kernel evaluates after the request, and whose value comes back in the reply.
ANSWER = f"__import__('sys').modules['{PACKAGE}.visiting'].settle()"


def content(module: str, **arguments: Any) -> dict[str, Any]:
    """Return an ``execute_request`` that calls the probe module's ``begin(**arguments)``.

    It binds no name in the notebook, is in no history, and its reply has what ``begin`` found.
    """
    return {
        "code": source(module, **arguments),
        "silent": True,
        "store_history": False,
        "user_expressions": {"memprobe": ANSWER},
        "allow_stdin": True,
        "stop_on_error": False,
    }


def source(module: str, **arguments: Any) -> str:
    """Return the one expression that such a request executes."""
    folder = resources.files(PROBES)
    names = (*MODULES, module)
    texts = {name: folder.joinpath(f"{name}.py").read_text("utf-8") for name in names}
    parts = {"package": PACKAGE, "texts": texts, "arguments": arguments}
    packed = base64.b64encode(zlib.compress(json.dumps(parts).encode(), 9)).decode()
    return f"__import__('builtins').exec({_OPENER!r}, {{'_memprobe_entry': {packed!r}}})"
