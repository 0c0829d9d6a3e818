"""What a Databricks task runs: the user's script or notebook with the probe around it, in one file.

Nothing has to be installed there: the probe is in the text, as for a kernel. Where it cannot be
loaded, the user's code runs without it.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from memprobe.targets.databricks_source import HEAD
from memprobe.targets.payload import LOADING, texts

SEPARATOR = "\n\n# COMMAND ----------\n\n"

# What both kinds of task begin with.
_LOADING = f"""{LOADING}
def _memprobe_job(packed, version):
    import base64, importlib, json, zlib
    _memprobe_load(json.loads(zlib.decompress(base64.b64decode(packed))), version)
    return importlib.import_module("memprobe_probes.job")
"""

_SCRIPT = """
import json as _memprobe_json, sys as _memprobe_sys
_memprobe_config = _memprobe_json.loads(_memprobe_parts[2])
_memprobe_config["argv"] = _memprobe_sys.argv[1:]
try:
    _memprobe_run = _memprobe_job(*_memprobe_parts[:2]).run
except BaseException as error:
    print("memprobe: it ran without the probe:", type(error).__name__, error,
          file=_memprobe_sys.stderr)
    import runpy as _memprobe_runpy
    _memprobe_sys.argv[0] = _memprobe_config["script"]
    _memprobe_runpy.run_path(_memprobe_config["script"], run_name="__main__")
else:
    _memprobe_run(_memprobe_config, globals())
"""

_FIRST_CELL = """
import json as _memprobe_json
try:
    _memprobe_job(*_memprobe_parts[:2]).begin(_memprobe_json.loads(_memprobe_parts[2]))
except BaseException as error:
    print("memprobe: it runs without the probe:", type(error).__name__, error)
del _memprobe_load, _memprobe_job, _memprobe_json, _memprobe_parts
"""

LAST_CELL = """
try:
    __import__("sys").modules["memprobe_probes.job"].end()
except BaseException as error:
    print("memprobe: the recording may have no end:", type(error).__name__, error)
"""


def first_cell(config: dict[str, Any]) -> bytes:
    """Return the Python that a context runs first, to be recorded from then on."""
    return (_LOADING + _filled(_FIRST_CELL, config)).encode()


def script_task(config: dict[str, Any]) -> bytes:
    """Return the Python file that runs ``config["script"]`` (its path on the driver) recorded."""
    return (_LOADING + _filled(_SCRIPT, config)).encode()


def notebook_task(path: Path, config: dict[str, Any]) -> bytes:
    """Return a notebook with a cell of ours before and after those of ``path``.

    Raises OSError, and ValueError for what is no notebook.
    """
    first = _LOADING + _filled(_FIRST_CELL, config)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return _jupyter(json.loads(text), first).encode()
    body = text.lstrip("\ufeff").partition("\n")[2]
    cells = SEPARATOR.join([first.strip(), body.strip(), LAST_CELL.strip()])
    return f"{HEAD}\n{cells}\n".encode()


def _jupyter(notebook: dict[str, Any], first: str) -> str:
    cells = [_cell(first, "memprobe-first"), *notebook["cells"], _cell(LAST_CELL, "memprobe-last")]
    return json.dumps({**notebook, "cells": cells})


def _cell(source: str, identity: str) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": identity, "metadata": {}, "source": source.strip(),
        "outputs": [], "execution_count": None,
    }  # fmt: skip


def _filled(template: str, config: dict[str, Any]) -> str:
    from memprobe_probes import VERSION

    packed = base64.b64encode(zlib.compress(json.dumps(texts()).encode(), 9)).decode()
    return f"_memprobe_parts = {(packed, VERSION, json.dumps(config))!r}\n{template.lstrip()}"
