"""The rules in their order, and how their findings become one list.

One object has one primary finding: that of the first rule that fires on one of its holders. What
later rules say of the same holders becomes a code in ``also``.
"""

from __future__ import annotations

from memprobe.analysis.evidence import Evidence
from memprobe.detectors.allocator_retained import AllocatorRetained
from memprobe.detectors.arrow_pool_retained import ArrowPoolRetained
from memprobe.detectors.base import Detector
from memprobe.detectors.broadcast_retained import BroadcastRetained
from memprobe.detectors.callback_retained import CallbackRetained
from memprobe.detectors.checkpoint_pinned import CheckpointPinned
from memprobe.detectors.child_processes import ChildProcesses
from memprobe.detectors.collected_frame import CollectedFrame
from memprobe.detectors.driver_jvm_growth import DriverJvmGrowth
from memprobe.detectors.duplicate_cache import DuplicateCache
from memprobe.detectors.executor_pressure import ExecutorPressure
from memprobe.detectors.growing_container import GrowingContainer
from memprobe.detectors.idle_context import IdleContext
from memprobe.detectors.lifetime_tax import LifetimeTax
from memprobe.detectors.native_growth import NativeGrowth
from memprobe.detectors.notebook_tax import NotebookTax
from memprobe.detectors.object_dtype_bloat import ObjectDtypeBloat
from memprobe.detectors.open_figures import OpenFigures
from memprobe.detectors.orphan_cache import OrphanCache
from memprobe.detectors.output_history import OutputHistory
from memprobe.detectors.python_worker_growth import PythonWorkerGrowth
from memprobe.detectors.reference_cycle import ReferenceCycle
from memprobe.detectors.rerun_growth import RerunGrowth
from memprobe.detectors.selection import chosen
from memprobe.detectors.shadow_copies import ShadowCopies
from memprobe.detectors.shared_memory_left import SharedMemoryLeft
from memprobe.detectors.stale_variable import StaleVariable
from memprobe.detectors.suspended_frame import SuspendedFrame
from memprobe.detectors.traceback_retained import TracebackRetained
from memprobe.detectors.unbounded_cache import UnboundedCache
from memprobe.detectors.unread_cache import UnreadCache
from memprobe.detectors.view_pins_base import ViewPinsBase
from memprobe.findings import Finding, number_duplicates

DETECTORS: tuple[Detector, ...] = (
    GrowingContainer(),
    UnboundedCache(),
    ReferenceCycle(),
    TracebackRetained(),
    CallbackRetained(),
    SuspendedFrame(),
    OutputHistory(),
    StaleVariable(),
    ShadowCopies(),
    RerunGrowth(),
    OpenFigures(),
    IdleContext(),
    ViewPinsBase(),
    CollectedFrame(),
    ObjectDtypeBloat(),
    ArrowPoolRetained(),
    DuplicateCache(),
    OrphanCache(),
    UnreadCache(),
    BroadcastRetained(),
    CheckpointPinned(),
    ExecutorPressure(),
    DriverJvmGrowth(),
    PythonWorkerGrowth(),
    AllocatorRetained(),
    NativeGrowth(),
    ChildProcesses(),
    SharedMemoryLeft(),
    NotebookTax(),
    LifetimeTax(),
)

_SEVERITY = {"leaking": 0, "suspect": 1, "advice": 2}


def run(evidence: Evidence) -> list[Finding]:
    """Return the primary findings, the gravest and largest first.

    Raises UsageError where the configuration names a rule that does not exist.
    """
    primary: list[Finding] = []
    for detector in chosen(DETECTORS, evidence.config.select, evidence.config.ignore):
        for finding in detector.detect(evidence):
            earlier = [one for one in primary if _same_holder(one, finding)]
            if finding.fails and earlier and not any(one.fails for one in earlier):
                # Advice never hides what fails a gate.
                finding.also += [one.code for one in earlier if one.code not in finding.also]
                primary = [one for one in primary if one not in earlier]
                earlier = []
            for one in earlier:
                if finding.code != one.code and finding.code not in one.also:
                    one.also.append(finding.code)
            if not earlier:
                primary.append(finding)
    found = sorted(primary, key=lambda f: (_SEVERITY[f.status], -f.exclusive_bytes))
    number_duplicates(found)
    return found


def _same_holder(one: Finding, other: Finding) -> bool:
    """Whether both speak of the same bytes: those of a broadcast in Python are not its blocks."""
    return one.reclaim.where == other.reclaim.where and any(
        _lies_in(mine.expr, theirs.expr) or _lies_in(theirs.expr, mine.expr)
        for mine in one.holders
        for theirs in other.holders
    )


def _lies_in(inner: str, outer: str) -> bool:
    """Whether ``inner`` is ``outer`` or an attribute of it: ``store.frames`` lies in ``store``."""
    return inner == outer or inner.startswith(f"{outer}.")
