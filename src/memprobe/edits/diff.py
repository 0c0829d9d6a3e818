"""An edit as a unified diff of one cell."""

from __future__ import annotations

import difflib


def unified(before: str, after: str, cell: int) -> str:
    """Return the difference with two lines around it; empty where there is none."""
    name = f"cell {cell}"
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, f"{name}, edited", n=2, lineterm=""
    )
    return "\n".join(lines)
