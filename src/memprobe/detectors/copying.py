"""What to type so that a view becomes a copy of its own: by type, as it was executed."""

from __future__ import annotations

from collections.abc import Iterable

from memprobe.analysis.evidence import NAMESPACE
from memprobe.analysis.retention import Bundle
from memprobe.recording.schema import Holder

_EACH = {
    "list": "{name} = [{copy} for one in {name}]",
    "tuple": "{name} = tuple({copy} for one in {name})",
    "dict": "{name} = {{key: {copy} for key, one in {name}.items()}}",
}


def copies(holders: Iterable[Holder], bundle: Bundle) -> list[str]:
    """Return a line per holder that replaces its views by copies."""
    return [_line(holder, bundle) for holder in holders]


def _line(holder: Holder, bundle: Bundle) -> str:
    name = holder.expr
    if holder.type in _EACH:
        kind = _inside(holder, bundle)
        copy = copied("one", kind, strings=_in_arrow(holder, bundle)) if kind else None
        if copy is not None and holder.root in (NAMESPACE, "module"):
            return _EACH[holder.type].format(name=name, copy=copy)
    copy = copied(name, holder.type, strings=_in_arrow(holder, bundle))
    if copy is None:
        return f"keep copies in `{name}` and not views: `.copy()` what is put into it"
    return f"{name} = {copy}"


def copied(name: str, kind: str, *, strings: bool = False) -> str | None:
    """Return an expression for a copy of ``name``, or None for a type that is not known.

    ``copy()`` of a frame copies no Arrow data and shares it again (pandas 2 and 3): ``strings``
    says that there is some. An Arrow slice copies by ``take`` only, not by ``combine_chunks``.
    """
    package, _, cls = kind.partition(".")
    if package == "pandas" and strings:
        return f"{name}.astype(object).astype({name}.{'dtypes' if cls == 'DataFrame' else 'dtype'})"
    if package in ("pandas", "numpy", "scipy"):
        return f"{name}.copy()"
    if package == "pyarrow":
        return f"{name}.take(list(range(len({name}))))"
    if package == "torch":
        return f"{name}.clone()"
    return f"memoryview(bytes({name}))" if kind == "memoryview" else None


def _inside(holder: Holder, bundle: Bundle) -> str | None:
    """Return the type of the views in a container: the first known one on the way to the data."""
    for group in bundle.groups:
        if holder.id in group.holders:
            for step in group.path:
                if copied("one", step.type) is not None:
                    return step.type
    return None


def _in_arrow(holder: Holder, bundle: Bundle) -> bool:
    """Whether some of what a frame pins is Arrow data, as the strings of pandas 3 are."""
    dtypes = any(_is_arrow(dtype) for dtype in holder.dtypes)
    steps = (step for group in bundle.groups for step in group.path)
    return dtypes or any(step.type.startswith("pyarrow.") for step in steps)


def _is_arrow(dtype: str) -> bool:
    return dtype in ("str", "string") or "pyarrow" in dtype
