"""MP103: bytes wait in reference cycles, and no collection is due."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import Evidence
from memprobe.analysis.retention import Bundle, bundle_around
from memprobe.findings import Finding, HeldObject, Holding, PathStep, Reclaim, fingerprint
from memprobe.recording.schema import Cycles, Holder, Snapshot

INTERPRETER = "interpreter"
SAVED = "gc.garbage"
_DEFAULT = "gc.set_threshold(700, 10, 10)"
# Types that say nothing of where a cycle comes from.
_ORDINARY = frozenset({
    "dict", "list", "tuple", "set", "frozenset", "str", "bytes", "bytearray", "int", "float",
    "cell", "function", "method", "type", "buffer", "native buffer", "weakref.ReferenceType",
    "builtin_function_or_method", "getset_descriptor", "numpy.ndarray",
})  # fmt: skip


class ReferenceCycle:
    """Bytes wait in reference cycles, and no collection is due

    ## What it means
    Objects that refer to each other in a ring are not freed when the last name goes: only the
    garbage collector finds them. Here it does not come: `gc.disable()` switched it off, its
    thresholds are out of reach, `gc.freeze()` moved the objects out of its sight, or a debug flag
    makes it put all that it finds into `gc.garbage`, where it stays.

    ## Why it matters
    No name, output or traceback leads to these bytes. Everything that you could delete is
    deleted, and the process grows by every tree, every parser result, every exception that refers
    to itself, with the arrays and texts they hold.

    ## Example
    ```python
    gc.disable()                       # faster start, a tip from somewhere

    class Node:
        def __init__(self, parent):
            self.parent = parent       # and the parent has it among its children

    for path in paths:
        tree = parse(path)             # every tree before the last stays for ever
    ```

    ## Use instead
    ```python
    gc.disable()
    try:
        start()                        # for a moment only
    finally:
        gc.enable()

    self.parent = weakref.ref(parent)  # or no ring at all
    ```
    Who runs without the collector collects by hand, where a pause does no harm: `gc.collect()`.
    To let go of what is there: `gc.enable(); gc.collect()`, `gc.unfreeze(); gc.collect()`,
    `gc.garbage.clear()`.

    ## When it does not fire
    The collector is on and its thresholds are usual: what waits between two collections is on its
    way. It is off, and less than `min-bytes` waits. While a cell or a script is running, the
    snapshot before must have found it too: libraries switch the collector off for a moment.
    Objects that `gc.freeze()` moved out of sight are seen by the native walker only.
    """

    code = "MP103"
    name = "reference-cycle"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding for the cycles that wait, and one for what ``gc.garbage`` saves."""
        waiting = _waiting(evidence)
        if waiting is not None:
            yield self._of_cycles(evidence, waiting)
        saved = _saved(evidence)
        if saved is not None:
            yield self._of_list(evidence, *saved)

    def _of_cycles(self, evidence: Evidence, cycles: Cycles) -> Finding:
        nbytes = _kept(cycles)
        why = _reason(cycles)
        types = _types(cycles)
        subject = types[0] if types else "object"
        path = [PathStep(type=subject, edge="unreachable cycles", cut=True)]
        return Finding(
            code=self.code, name=self.name, status="leaking",
            title=f"reference cycles{_of(types)} wait for a collector that does not come",
            context=evidence.recording.header.context, object=HeldObject(type=subject),
            holders=[Holding(root=INTERPRETER, expr=f"unreachable cycles ({why})")],
            exclusive_bytes=nbytes, shared_bytes=0,
            reclaim=Reclaim(bytes=nbytes, low=nbytes, high=nbytes),
            path=path, fix=_fix(cycles),
            why=f"{why}: {cycles.objects:,} objects that nothing reaches stay where they are",
            fingerprint=fingerprint(self.code, INTERPRETER, subject, path, ""),
        )  # fmt: skip

    def _of_list(self, evidence: Evidence, bundle: Bundle, first: Holder) -> Finding:
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="leaking", first=first,
            title="`gc.garbage` keeps what the collector has found",
            why="the debug flag `gc.DEBUG_SAVEALL` makes the collector keep all that it finds",
            fix="import gc; gc.set_debug(0); gc.garbage.clear(); gc.collect()",
        )  # fmt: skip


def _waiting(evidence: Evidence) -> Cycles | None:
    """Return the cycles of the last snapshot where they are large and nobody will collect them."""
    measured = [one for one in evidence.recording.snapshots if one.skipped is None]
    if not measured or not _is_large(evidence, measured[-1]):
        return None
    passing = measured[-1].busy or (not evidence.is_notebook and measured[-1].reason != "exit")
    if passing and not (len(measured) > 1 and _is_large(evidence, measured[-2])):
        return None
    return measured[-1].cycles


def _is_large(evidence: Evidence, snapshot: Snapshot) -> bool:
    cycles = snapshot.cycles
    return cycles is not None and _kept(cycles) >= evidence.config.min_bytes


def _kept(cycles: Cycles) -> int:
    """Return the bytes of garbage that no collection will free as things stand."""
    return cycles.bytes if cycles.idle else cycles.frozen_bytes or 0


def _saved(evidence: Evidence) -> tuple[Bundle, Holder] | None:
    """Return what only ``gc.garbage`` keeps, where it is large."""
    lists = [one for one in evidence.holders.values() if one.expr == SAVED]
    if evidence.snapshot is None or not lists:
        return None
    wanted = {one.id for one in lists}
    bundle = bundle_around(evidence.snapshot, wanted, lambda holder, group: False)
    if bundle is None or bundle.exclusive < evidence.config.min_bytes:
        return None
    return bundle, lists[0]


def _reason(cycles: Cycles) -> str:
    if not cycles.enabled:
        return "the collector is off"
    if cycles.thresholds[:1] == [0]:
        return "its threshold 0 keeps the collector off"
    if cycles.idle:
        return "the collector's thresholds are out of reach"
    return "gc.freeze() took them out of the collector's sight"


def _fix(cycles: Cycles) -> str:
    steps = ["gc.enable()"] if not cycles.enabled else [_DEFAULT] if cycles.idle else []
    steps += ["gc.unfreeze()"] if cycles.frozen_bytes else []
    return "; ".join(["import gc", *steps, "gc.collect()"])


def _types(cycles: Cycles) -> list[str]:
    """Return the types that tell where the cycles come from, largest first."""
    names = [one.type for one in cycles.types]
    telling = [name for name in names if name not in _ORDINARY]
    return telling or [name for name in names if "buffer" not in name]


def _of(types: list[str]) -> str:
    return f" of {' and '.join(types[:3])}" if types else ""
