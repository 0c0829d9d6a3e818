"""The probe as one line of Python that a kernel can run without having memprobe installed."""

from __future__ import annotations

import base64
import functools
import json
import lzma
import zlib
from importlib import resources
from typing import Any

PACKAGE = "memprobe_probes"
CELL_WIDTH = 4000  # signs in a line of a cell: editors cannot cope with one long line

# Runs inside the target. A package that is there already is used when it is the same version
# (its probe can be joined); otherwise modules are made from the texts, in no file and on no path.
LOADING = """
def _memprobe_load(texts, version, codes=()):
    import importlib, importlib.abc, importlib.util, marshal, sys
    package = sys.modules.get("memprobe_probes")
    if getattr(package, "VERSION", None) != version:
        class Texts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path=None, target=None):
                if name in texts:
                    return importlib.util.spec_from_loader(
                        name, self, origin="<" + name.replace(".", "/") + ">",
                        is_package=name == "memprobe_probes")
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                name = module.__name__
                exec(marshal.loads(codes[name]) if name in codes else
                     compile(texts[name], "<" + name.replace(".", "/") + ".py>", "exec"),
                     module.__dict__)
        finder = Texts()
        sys.meta_path.insert(0, finder)
        try:
            for name in list(sys.modules):  # in one step: the program's threads import
                if name.split(".")[0] == "memprobe_probes":
                    del sys.modules[name]
            for name in texts:
                importlib.import_module(name)
            sys.modules["memprobe_probes"]._memprobe_injected = True
        except BaseException:
            for name in texts:
                sys.modules.pop(name, None)
            raise
        finally:
            sys.meta_path.remove(finder)
"""

_LOADER = f"{LOADING}_memprobe_load(TEXTS, VERSION)\n"

# What `compiled.beside` has put into the private session folder, if that is the user's alone.
_WITH_CODES = f"""{LOADING}
def _memprobe_codes(folder):
    import importlib.util, marshal, os
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened, content = [], b""
    try:
        opened.append(os.open(folder, flags | os.O_DIRECTORY))
        opened.append(os.open("codes", flags, dir_fd=opened[0]))
        for one in opened:
            status = os.fstat(one)
            if status.st_uid != os.geteuid() or status.st_mode & 0o77:
                return ()
        while part := os.read(opened[1], 1 << 22):
            content += part
        parts = marshal.loads(content)
        return parts["codes"] if parts["magic"] == importlib.util.MAGIC_NUMBER else ()
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return ()
    finally:
        for one in opened:
            os.close(one)
_memprobe_load(TEXTS, VERSION, _memprobe_codes(CONFIG["folder"]) if "folder" in CONFIG else ())
"""

_ENTER = """
from memprobe_probes import entry
entry.enter(CONFIG, EXPIRES)
"""

_OPENER = """
import base64, json, zlib
parts = json.loads(zlib.decompress(base64.b64decode(_memprobe_entry)))
scope = {"__name__": "_memprobe_entry", "TEXTS": parts["texts"], **json.loads(NAMES)}
try:
    exec(compile(parts["loader"], "<memprobe>", "exec"), scope)
except BaseException as error:
    # Raised further, it would replace the user's own sys.last_value and last traceback.
    import sys, types
    answer = {"ok": False, "error": type(error).__name__ + ": " + str(error)}
    if "_memprobe_entry" in sys.modules:  # it has entered: its own settle cleans up
        sys.modules["_memprobe_entry"].answer = answer
    else:
        def settle():
            del sys.modules["memprobe_probes.entry"]
            return json.dumps(answer)
        import linecache
        request = sys._getframe(1).f_code.co_filename
        linecache.cache.pop(request, None)
        failed = sys.modules["memprobe_probes.entry"] = types.ModuleType("memprobe_probes.entry")
        failed.settle = settle
"""

# A lambda has a namespace of its own; a name that a cell binds would stay in the notebook.
_CELL = '''# memprobe @VERSION@: records what keeps memory alive here, and says how to end that.
(lambda text: [
    (scope := {"__name__": "_memprobe_cell"}),
    (parts := __import__("json").loads(__import__("lzma").decompress(
        __import__("base64").b64decode(text)))),
    scope.update(TEXTS=parts["texts"], VERSION=parts["version"]),
    exec(parts["loader"], scope),
    print(__import__("memprobe_probes.pasted").pasted.begin(parts["config"])),
] and None)("""
@PACKED@
""")
'''

# What the kernel evaluates after the request, and whose value comes back in the reply.
ANSWER = "__import__('sys').modules['memprobe_probes.entry'].settle()"


def request_source(config: dict[str, Any], expires: float) -> str:
    """Return the one expression to execute in the kernel; it binds no name there.

    ``expires`` in unix seconds: past it the request does nothing.
    """
    from memprobe_probes import VERSION

    blob = base64.b64encode(_packed()).decode()
    names = json.dumps({"VERSION": VERSION, "CONFIG": config, "EXPIRES": expires})
    scope = f"{{'_memprobe_entry': {blob!r}, 'NAMES': {names!r}}}"
    return f"__import__('builtins').exec({_OPENER!r}, {scope})"


def cell(config: dict[str, Any]) -> str:
    """Return a cell to paste into a notebook that we cannot enter; it binds no name there."""
    from memprobe_probes import VERSION

    parts = {"loader": _LOADER, "texts": texts(), "config": config, "version": VERSION}
    packed = base64.b64encode(lzma.compress(json.dumps(parts).encode(), preset=9)).decode()
    lines = "\n".join(packed[at : at + CELL_WIDTH] for at in range(0, len(packed), CELL_WIDTH))
    return _CELL.replace("@VERSION@", VERSION).replace("@PACKED@", lines)


@functools.lru_cache(maxsize=1)
def _packed() -> bytes:
    parts = {"loader": _WITH_CODES + _ENTER, "texts": texts()}
    return zlib.compress(json.dumps(parts).encode(), 9)


def texts() -> dict[str, str]:
    """Return module name → source of the whole probe package, the package itself first."""
    found = {}
    for item in sorted(resources.files(PACKAGE).iterdir(), key=lambda one: one.name):
        if item.name.endswith(".py"):
            stem = item.name[:-3]
            name = PACKAGE if stem == "__init__" else f"{PACKAGE}.{stem}"
            found[name] = item.read_text(encoding="utf-8")
    return found
