"""The IPython shell of this process."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def running_shell() -> Any:
    """Return this process's IPython shell, or None; never creates one."""
    interactive = sys.modules.get("IPython.core.interactiveshell")
    shell_class = getattr(interactive, "InteractiveShell", None)
    if shell_class is None or not shell_class.initialized():
        return None
    return shell_class.instance()
