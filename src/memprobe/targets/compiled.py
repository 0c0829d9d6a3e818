"""The probe's modules as this Python compiles them, for a target that has the same bytecode.

To read them takes much less of the target's time than to compile them all. Whoever has another
Python compiles the texts.
"""

from __future__ import annotations

import functools
import importlib.util
import marshal
import os
from importlib.machinery import PathFinder
from types import CodeType
from typing import Any

from memprobe.targets.payload import PACKAGE, texts

FORMAT = 2  # of marshal: every Python reads it; the codes themselves are bytes in it


@functools.lru_cache(maxsize=1)
def parts() -> dict[str, Any]:
    """Return ``magic``, the number of this Python's bytecode, and ``codes``: name → marshalled."""
    found = {}
    for name in texts():
        code = _code(name)
        if code is not None:
            found[name] = marshal.dumps(_placed(code, f"<{name.replace('.', '/')}.py>"))
    return {"magic": importlib.util.MAGIC_NUMBER, "codes": found}


def _code(name: str) -> CodeType | None:
    """Return a module's code as Python's own cache has it; where it has none it is compiled.

    None where the package lies in something that keeps no code.
    """
    import memprobe_probes

    places = list(memprobe_probes.__path__)
    if name == PACKAGE:
        places = [os.path.dirname(place) for place in places]
    spec = PathFinder.find_spec(name, places)
    get_code = getattr(spec and spec.loader, "get_code", None)
    code = get_code(name) if get_code is not None else None
    return code if isinstance(code, CodeType) else None


def _placed(code: CodeType, file: str) -> CodeType:
    """Return the code with the name of its file as the target knows it: no path of ours."""
    inner = tuple(
        _placed(one, file) if isinstance(one, CodeType) else one for one in code.co_consts
    )
    return code.replace(co_filename=file, co_consts=inner)
