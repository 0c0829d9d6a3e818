"""Classes that a later version of themselves has replaced, and that something still refers to.

A class is reached by its name, and its attributes are roots of their own: the walk stops at it.
A class that was defined again, in a cell or by ``importlib.reload``, has lost its name: it lives
for its instances, subclasses or whoever registered it, and what it holds is kept by those.
"""

from __future__ import annotations

import sys
import types

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_qualname = type.__dict__["__qualname__"].__get__


def outlived(cls: Any) -> bool:
    """Whether ``cls`` is the user's, was defined at a module's top level, and is not there now."""
    from .roots import is_user_file  # which reads what this module is asked about

    name = _qualname(cls)
    module = sys.modules.get(sizes.module_of(cls))
    if "." in name or type(module) is not types.ModuleType:
        return False
    names = vars(module)
    if module is not sys.modules.get("__main__"):
        file = names.get("__file__")
        if type(file) is not str or not is_user_file(file):
            return False
    return names.get(name) is not cls
