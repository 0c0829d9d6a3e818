"""What starts a notebook's Python on the stand-in's driver: an ipykernel with a few names in it.

Named and called as on Databricks. ``dbruntime.databricks_repl_context.get_context()`` tells which
notebook it is, as MLflow and others read it there.
"""

from __future__ import annotations

import json
import os
import sys
import types

FACTS = json.loads(os.environ.pop("STANDIN_FACTS", "{}"))


def _install_context() -> None:
    package, module = types.ModuleType("dbruntime"), types.ModuleType("dbruntime.context")
    context = types.SimpleNamespace(**FACTS)
    module.get_context = lambda: context  # type: ignore[attr-defined]
    name = "dbruntime.databricks_repl_context"
    package.__path__ = []  # type: ignore[attr-defined]
    package.databricks_repl_context = module  # type: ignore[attr-defined]
    sys.modules["dbruntime"], sys.modules[name] = package, module


def main() -> None:
    _install_context()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance()


if __name__ == "__main__":
    # As everywhere in a notebook, "" is the folder where one works; not this launcher's.
    sys.path[0] = ""
    main()
