"""What ``memprobe release`` would do for a finding, reference by reference; or why it would not.

Pure: from a finding and the snapshot behind it. The probe does what stands here and nothing else,
and only where it still finds what the snapshot saw.
"""

from __future__ import annotations

from collections.abc import Iterable

from memprobe.analysis import release_callbacks
from memprobe.analysis.evidence import (
    CALLBACK,
    FIGURE,
    NAMESPACE,
    OUTPUT,
    THREAD,
    TRACEBACK,
    WAITING,
    Evidence,
)
from memprobe.findings import Cut, Finding
from memprobe.recording.schema import Holder

# Containers of Python's own: emptying one runs no code of the user's.
CONTAINERS = frozenset({
    "list", "dict", "set", "bytearray", "collections.deque", "collections.OrderedDict",
    "collections.defaultdict", "collections.Counter",
})  # fmt: skip
CAUGHT_IN = frozenset({"list", "tuple", "dict", "set", "collections.deque"})
TO_FRAMES = frozenset({".__traceback__", ".__cause__", ".__context__"})
RAISED_FOR = frozenset({".obj", ".object"})  # of AttributeError, UnicodeError: what was worked on
GENERATOR = "generator"
COROUTINES = frozenset({"coroutine", "async_generator"})  # Python warns, or their loop ends them
ARRAY = "numpy.ndarray"
EMPTIED = ("MP101", "MP102")
# Rules whose remedy is another program or another process, and not a reference.
NEVER = {
    "MP303": "nothing has to go: the column needs another type",
    "MP405": "it is about the executors' settings",
    "MP406": "what grows in the driver's JVM has no reference that could be cut",
    "MP407": "the function that grows has to be changed",
    "MP502": "no reference of Python's keeps it",
    "MP503": "memprobe ends no process",
    "MP504": "another process may use the segment",
}


class NotCut(Exception):
    """A finding cannot be released; the text says why."""


def add_cuts(findings: Iterable[Finding], evidence: Evidence) -> None:
    """Fill in ``release``, ``cuts`` and ``not_released`` of each finding.

    Findings about Spark bring their cuts along.
    """
    for finding in findings:
        try:
            finding.cuts = cuts_of(finding, evidence)
        except NotCut as reason:
            finding.cuts = []
            finding.not_released = str(reason)
        finding.release = bool(finding.cuts)


def cuts_of(finding: Finding, evidence: Evidence) -> list[Cut]:
    """Return what lets go of the bytes of a finding. Raises NotCut."""
    if not evidence.is_notebook or evidence.contrast is not None:
        raise NotCut("release works in a notebook that is running")
    if finding.cuts:
        return finding.cuts
    if finding.code in NEVER:
        raise NotCut(NEVER[finding.code])
    if finding.code.startswith("MP4") or finding.reclaim.where != "driver-python":
        raise NotCut("what of it Spark stores cannot be named exactly: type the lines of the fix")
    if finding.code == "MP103":
        return _collection(finding, evidence)
    if finding.code == "MP304":
        return [Cut(action="arrow", expr="pyarrow",
                    says="pyarrow.default_memory_pool().release_unused()")]  # fmt: skip
    if finding.code == "MP501":
        return [Cut(action="trim", expr="malloc", says="ctypes.CDLL(None).malloc_trim(0)")]
    holders = _holders(finding, evidence)
    if finding.code == "MP301":
        return _copied(holders)
    if finding.code in EMPTIED:
        return _emptied(finding, holders, evidence)
    if finding.code == "MP204" and "." in _told_from(finding):
        return [_attribute(finding), *_each(holders, finding, skip=_told_from(finding))]
    return _counted(_each(holders, finding), evidence)


def _counted(cuts: list[Cut], evidence: Evidence) -> list[Cut]:
    """Tell of callbacks how many have one name: a registration that is run again makes more."""
    seen = evidence.snapshot.holders if evidence.snapshot is not None else []
    for cut in cuts:
        if cut.action == "unregister":
            cut.number = sum((one.root, one.expr) == (cut.root, cut.expr) for one in seen) or 1
            cut.says += f"   ({cut.number} of them)" if cut.number > 1 else ""
    return cuts


def _holders(finding: Finding, evidence: Evidence) -> list[Holder]:
    """Return the snapshot's holders that a finding names, in the finding's order."""
    seen = evidence.snapshot.holders if evidence.snapshot is not None else []
    by_name = {(one.root, one.expr): one for one in reversed(seen)}
    named = [(one.root, one.expr) for one in finding.holders]
    return [
        by_name.get(key) or Holder(id=-1, root=key[0], expr=key[1], object=-1, type="")
        for key in named
    ]


def _told_from(finding: Finding) -> str:
    return finding.path[0].edge if finding.path else ""


def _each(holders: Iterable[Holder], finding: Finding, skip: str = "") -> list[Cut]:
    """Return the cuts of all holders; each of them must go for the bytes to come back."""
    found = [_of_holder(one, finding) for one in holders if one.expr != skip]
    # Outputs last: until then whatever fails leaves them to be asked for.
    return sorted(found, key=lambda cut: cut.action == "output")


def _of_holder(holder: Holder, finding: Finding) -> Cut:
    expr = holder.expr
    if holder.root == OUTPUT:
        return _cut("output", holder, _forgotten(expr))
    if holder.root == TRACEBACK:
        return _cut("traceback", holder, f"{expr} = None")
    if holder.root == FIGURE:
        return _cut("close-figure", holder, f"plt.close({expr[len('plt.figure(') : -1]})")
    if holder.root == CALLBACK:
        return release_callbacks.cut(holder)
    if holder.root in WAITING or holder.root == THREAD:
        raise NotCut(f"{expr} belongs to a function that has not ended: type the lines of the fix")
    if finding.code == "MP104":
        return _frames(holder, finding)
    if holder.type in COROUTINES:
        raise NotCut(f"to end the {holder.type} {expr} runs its own code: type `{expr}.close()`")
    if holder.root == NAMESPACE and expr.isidentifier() and holder.type == GENERATOR:
        return _cut("del-generator", holder, f"del {expr}   (its finally and with blocks run)")
    if holder.root == NAMESPACE and expr.isidentifier():
        return _cut("del", holder, f"del {expr}")
    raise NotCut(f"{expr} is not the notebook's own name: type the lines of the fix")


def _copied(holders: list[Holder]) -> list[Cut]:
    """Return the cuts that put a copy in the place of one view, under all of its names.

    Of one array only: two views of a buffer share what is written to either.
    """
    names = [one for one in holders if one.root != OUTPUT]
    plain = all(one.root == NAMESPACE and one.expr.isidentifier() for one in names)
    views = {one.object for one in holders}
    if not names or not plain or len(views) != 1 or any(one.type != ARRAY for one in holders):
        raise NotCut("copies of what the views show have to be made: type the lines of the fix")
    made = [_cut("copy-array", one, f"{one.expr} = {one.expr}.copy()") for one in names]
    shown = [one for one in holders if one.root == OUTPUT]
    return [*made, *(_cut("output", one, _forgotten(one.expr)) for one in shown)]


def _cut(action: str, holder: Holder, says: str) -> Cut:
    return Cut(
        action=action, expr=holder.expr, root=holder.root, type=holder.type, says=says,
        shape=holder.shape, length=holder.length,
    )  # fmt: skip


def _forgotten(expr: str) -> str:
    if expr.isidentifier() and not expr.strip("_"):
        return f"{expr} = ''"
    if "displayhook" in expr:
        return f"{expr} = ''"
    return f"{expr} = None" if "last_execution_result" in expr else f"del {expr}"


def _frames(holder: Holder, finding: Finding) -> Cut:
    """Return the cut that leaves a kept exception and takes its frames."""
    edges = [step.edge for step in finding.path]
    inner = edges[1:] if edges[:1] == [holder.expr] else []
    if holder.type in CAUGHT_IN and inner and inner[0].startswith("["):
        says = f"for error in {holder.expr}: error.__traceback__ = None"
        inner = inner[1:]
    else:
        says = f"{holder.expr}.__traceback__ = None"
    if not inner or inner[0] not in TO_FRAMES or RAISED_FOR.intersection(edges):
        raise NotCut(f"{holder.expr} keeps more than frames: type the lines of the fix")
    return _cut("frames", holder, says)


def _collection(finding: Finding, evidence: Evidence) -> list[Cut]:
    cycles = evidence.snapshot.cycles if evidence.snapshot is not None else None
    if any(one.expr == "gc.garbage" for one in finding.holders):
        raise NotCut("a debug flag that you set keeps it: type the lines of the fix")
    if cycles is not None and cycles.frozen_bytes:
        raise NotCut("`gc.freeze()` was asked to keep it: type the lines of the fix")
    return [Cut(action="collect", expr="gc", says="gc.collect()")]


def _emptied(finding: Finding, holders: list[Holder], evidence: Evidence) -> list[Cut]:
    """Return the cuts that empty a container, and let go of what else keeps its content."""
    expr = _told_from(finding)
    target = next((one for one in holders if one.expr == expr), None)
    kind = target.type if target is not None and target.type else _kind_inside(finding, expr)
    if target is not None and target.root == "lru-cache":
        emptied = _cut("cache-clear", target, f"{expr}.cache_clear()")
    elif kind in CONTAINERS:
        emptied = _clear(expr, target)
    else:
        raise NotCut(f"{expr} is no container of Python's own: type the lines of the fix")
    same = _aliases(target, evidence)
    emptied.also = [one for one in same if one != expr]
    return [emptied, *_each([one for one in holders if one.expr not in same], finding, skip=expr)]


def _clear(expr: str, target: Holder | None) -> Cut:
    if target is not None:
        return _cut("clear", target, f"{expr}.clear()")
    return Cut(action="clear", expr=expr, root=NAMESPACE, says=f"{expr}.clear()")


def _kind_inside(finding: Finding, expr: str) -> str:
    return finding.path[0].type if finding.path and finding.path[0].edge == expr else ""


def _aliases(target: Holder | None, evidence: Evidence) -> list[str]:
    """Return all names of the object that is emptied."""
    if target is None or evidence.snapshot is None or target.object < 0:
        return []
    return [one.expr for one in evidence.snapshot.holders if one.object == target.object]


def _attribute(finding: Finding) -> Cut:
    expr = _told_from(finding)
    return Cut(action="attribute", expr=expr, root=NAMESPACE, says=f"{expr} = None")
