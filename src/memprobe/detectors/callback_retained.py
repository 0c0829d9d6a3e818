"""MP105: a registered callback keeps data that nothing else names."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered
from memprobe.analysis.evidence import (
    CALLBACK,
    THREAD,
    Evidence,
    State,
)
from memprobe.analysis.registries import signal_of
from memprobe.analysis.retention import Bundle, bundles
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.detectors.letting_go_callbacks import undo
from memprobe.findings import Finding
from memprobe.recording.schema import Group, Holder

_REGISTERED = (CALLBACK, THREAD)
_GONE = (State.STALE, State.LEFT)


class CallbackRetained:
    """A registered callback keeps data that nothing else names

    ## What it means
    Somebody will call a function of yours later: at exit, on a signal, when a timer is due, after
    each cell, when an object goes, at each log message. Until then the registry keeps the
    function, and the function keeps its closure, its default and bound arguments, or, as a
    method, its whole object.

    ## Why it matters
    You have deleted every name of the data, and it stays: for as long as the process where the
    handler waits for the exit. No variable of yours shows it. A cell that registers and is run
    again registers once more.

    ## Example
    ```python
    def watch(orders):
        def compare(result):                       # keeps `orders`: 3 GiB
            print(len(orders))
        get_ipython().events.register("post_run_cell", compare)

    watch(spark.table("orders").toPandas())
    ```

    ## Use instead
    ```python
    def watch(orders):
        rows = len(orders)                         # what the callback needs, and no more
        ...
        return compare                             # so that it can be unregistered

    atexit.register(Session.close, weakref.proxy(session))    # does not keep the session
    ```
    To let go of what is there: `atexit.unregister(f)`, `timer.cancel()`, `finalizer.detach()`,
    `signal.signal(signal.SIGUSR1, signal.SIG_DFL)`,
    `get_ipython().events.unregister("post_run_cell", f)`.

    ## When it does not fire
    The callback keeps less than `min-bytes` alone; a name leads to the same data; the last cell
    registered it; a timer or a planned call is due within `stale-seconds`; a thread is at work, or
    waits for its next job; somebody unknown holds the data as well; the callback is a library's.
    What is given to `atexit.register` beside the function cannot be read.
    """

    code = "MP105"
    name = "callback-retained"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that callbacks keep."""
        for bundle in _bundles(evidence):
            first = _first(bundle)
            if first is not None:
                yield self._finding(evidence, bundle, first)

    def _finding(self, evidence: Evidence, bundle: Bundle, first: Holder) -> Finding:
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=first,
            title=f"{_what(first)} keeps data that nothing else names",
            why=_why(evidence, first), fix=_fix(bundle),
        )  # fmt: skip


def _bundles(evidence: Evidence) -> list[Bundle]:
    """Return what comes back; in a script the names of callbacks themselves may go too."""
    if evidence.is_notebook or evidence.snapshot is None:
        return evidence.reclaimable

    def cuttable(holder: Holder, group: Group) -> bool:
        if holder.root == "module":  # where it is a name of data, the callback stays
            return any(evidence.holders[one].root == CALLBACK for one in group.holders)
        return evidence.state(holder, group) in _GONE

    return bundles(evidence.snapshot, cuttable, evidence.config.min_bytes)


def _first(bundle: Bundle) -> Holder | None:
    inside = [h for h in ordered(bundle.holders) if h.id in bundle.largest.holders]
    return next((holder for holder in inside if holder.root in _REGISTERED), None)


def _what(first: Holder) -> str:
    """Say in words what is registered where."""
    expr, function = first.expr, f"`{first.function}`"
    if first.root == THREAD:
        return f"the {expr}, which waits,"
    if expr.startswith("atexit"):
        return f"the exit handler {function}"
    if expr.startswith("signal."):
        return f"the handler of {signal_of(expr)}"
    if expr.startswith("timer "):
        return f"the {expr}"
    if expr.startswith("weakref."):
        return f"the finalizer {function}"
    if expr.startswith("loop."):
        return f"the planned call of {function}"
    if expr.startswith("logging."):
        return f"the log handler {function}"
    return f"the callback {function}"


def _why(evidence: Evidence, first: Holder) -> str:
    made = evidence.liveness.run_of(first.since if first.cell is None else first.cell)
    when = f" since cell {made.cell}" if made is not None else ""
    if first.root == THREAD:
        since = evidence.liveness.runs_after(first.since)
        return f"it was given the data and has waited for {since} cells without being woken"
    if first.due is not None:
        return f"it is called in {_time(first.due)}, and keeps until then what it was given{when}"
    return f"it has been registered{when}, and keeps its closure, arguments or object until called"


def _time(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:.0f} h"


def _fix(bundle: Bundle) -> str:
    lines = [undo(holder, bundle) for holder in bundle.holders if holder.root in _REGISTERED]
    names = [holder for holder in bundle.holders if holder.root not in _REGISTERED]
    lines += [*display_deletions(names), *deletions(names)]
    return "\n".join(dict.fromkeys(line for line in lines if line))
