"""What to type so that holders let go: the fixes that the rules print."""

from __future__ import annotations

from collections.abc import Iterable

from memprobe.analysis.evidence import NAMESPACE, OUTPUT
from memprobe.recording.schema import Holder


def deletions(holders: Iterable[Holder]) -> list[str]:
    """Return the ``del`` of the names among ``holders``, in one line."""
    names = [holder.expr for holder in holders if holder.root == NAMESPACE]
    return [f"del {', '.join(names)}"] if names else []


def display_deletions(holders: Iterable[Holder]) -> list[str]:
    """Return one ``%xdel`` per displayed object: it knows every place IPython hides one.

    Only a name that IPython bound can be given to it; an output that has lost its name is
    cleared together with all others.
    """
    by_object: dict[int, list[str]] = {}
    for holder in holders:
        if holder.root == OUTPUT:
            by_object.setdefault(holder.object, []).append(holder.expr)
    lines = []
    for exprs in by_object.values():
        bound = [expr for expr in exprs if expr.isidentifier()]
        numbered = [expr for expr in bound if expr[1:].isdigit()]
        chosen = numbered or bound
        lines.append(f"%xdel {chosen[0]}" if chosen else "%reset -f out")
    return list(dict.fromkeys(lines))


def assignments(holders: Iterable[Holder]) -> list[str]:
    """Return the assignments that clear the interpreter's memory of an exception."""
    exprs = [holder.expr for holder in holders]
    lasting = [expr for expr in exprs if "last_execution_result" not in expr]
    in_sys = [expr for expr in lasting if expr.startswith("sys.")]
    others = [expr for expr in lasting if not expr.startswith("sys.")]
    lines = [f"import sys; {' = '.join(in_sys)} = None"] if in_sys else []
    return lines + [f"{expr} = None" for expr in others]
