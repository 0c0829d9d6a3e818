"""The probe's sources, as something that has no memprobe installed can run them."""

from __future__ import annotations

import base64
import json
import lzma
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
                if name in self.texts:
                    return importlib.util.spec_from_loader(
                        name, self, origin="<" + name.replace(".", "/") + ">",
                        is_package=name == "memprobe_probes")
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                name = module.__name__
                exec(marshal.loads(self.codes[name]) if name in self.codes else
                     compile(self.texts[name], "<" + name.replace(".", "/") + ".py>", "exec"),
                     module.__dict__)
        finder = Texts()
        finder.texts, finder.codes = texts, codes
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
            finder.texts = finder.codes = ()  # the modules keep the finder
"""

_LOADER = f"{LOADING}_memprobe_load(TEXTS, VERSION)\n"

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


def cell(config: dict[str, Any]) -> str:
    """Return a cell to paste into a notebook that we cannot enter; it binds no name there."""
    from memprobe_probes import VERSION

    parts = {"loader": _LOADER, "texts": texts(), "config": config, "version": VERSION}
    text = base64.b64encode(lzma.compress(json.dumps(parts).encode(), preset=9)).decode()
    lines = "\n".join(text[at : at + CELL_WIDTH] for at in range(0, len(text), CELL_WIDTH))
    return _CELL.replace("@VERSION@", VERSION).replace("@PACKED@", lines)


def parts() -> dict[str, Any]:
    """Return what a kernel needs to make the modules: ``loader`` and ``texts``."""
    return {"loader": LOADING, "texts": texts()}


def texts() -> dict[str, str]:
    """Return module name → source of the whole probe package, the package itself first."""
    found = {}
    for item in sorted(resources.files(PACKAGE).iterdir(), key=lambda one: one.name):
        if item.name.endswith(".py"):
            stem = item.name[:-3]
            name = PACKAGE if stem == "__init__" else f"{PACKAGE}.{stem}"
            found[name] = item.read_text(encoding="utf-8")
    return found
