"""MP104: an exception's frames keep their locals alive."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered, path_of, subject_of
from memprobe.analysis.evidence import CALLBACK, NAMESPACE, TRACEBACK, Evidence
from memprobe.analysis.liveness import CellRun
from memprobe.analysis.retention import Bundle
from memprobe.detectors.letting_go import assignments, deletions
from memprobe.detectors.letting_go_callbacks import undo
from memprobe.findings import Finding, Status
from memprobe.recording.schema import Holder

_ATTRIBUTE = ".__traceback__"
_RAISED_FOR = (".obj", ".object")  # of AttributeError and UnicodeError: what was worked on


class TracebackRetained:
    """An exception's frames keep their locals alive

    ## What it means
    An exception refers to its traceback, the traceback to every frame it passed through, and each
    frame to all of its local variables. As long as somebody keeps the exception, the locals of
    the functions that failed stay in memory, although no name of yours reaches them.

    ## Why it matters
    A notebook keeps the last exception in five places (`sys.last_value`, `sys.last_exc`,
    `sys.last_traceback`, `get_ipython().InteractiveTB.tb`, the last execution result), so a
    failed cell's intermediate frames outlive it until the next failure. A list of caught
    exceptions does the same in a script, for every one of them, and so does a log handler that
    keeps the records of `log.exception`.

    ## Example
    ```python
    def load(path):
        raw = pd.read_csv(path)      # 2 GiB
        return raw.astype(SCHEMA)    # raises: `raw` stays

    errors = []
    try:
        load(path)
    except ValueError as error:
        errors.append(error)         # keeps `raw` as well
    ```

    ## Use instead
    ```python
    errors.append(f"{type(error).__name__}: {error}")   # the text, not the frames
    ```
    After a failed cell, let go of what the interpreter remembers:
    ```python
    import sys
    sys.last_value = sys.last_traceback = sys.last_exc = None
    get_ipython().InteractiveTB.tb = None
    ```

    ## When it does not fire
    The locals are smaller than `min-bytes`, or a name that is in use reaches them as well. Right
    after the failed cell, while you may still want `%debug`, it is only advice. A script that
    ends with an uncaught exception gives everything back by ending.
    """

    code = "MP104"
    name = "traceback-retained"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that a traceback keeps."""
        for bundle in evidence.reclaimable:
            if _by_traceback(bundle):
                yield self._finding(evidence, bundle, "leaking")
        known = {holder.id for bundle in evidence.reclaimable for holder in bundle.holders}
        for bundle in evidence.perhaps:
            if _by_traceback(bundle) and known.isdisjoint(h.id for h in bundle.holders):
                yield self._finding(evidence, bundle, "advice")

    def _finding(self, evidence: Evidence, bundle: Bundle, status: Status) -> Finding:
        first = _first(bundle)
        made = evidence.created(first)
        subject = subject_of(bundle, first)
        where = _where(bundle, first)
        return finding(
            evidence, bundle, code=self.code, name=self.name, status=status, first=first,
            title=f"a traceback keeps {where}",
            why=f"{_since(bundle, first, made)}: {_how(bundle)} {where} ({subject.type})",
            fix=_fix(bundle),
        )  # fmt: skip


def _since(bundle: Bundle, first: Holder, made: CellRun | None) -> str:
    """Say which cell failed, or kept an exception; of what holds exceptions, that it does."""
    if first.root == NAMESPACE and not _is_exception(bundle):
        return f"`{first.expr}` keeps an exception"
    if made is None:
        return "an exception was kept"
    return f"cell {made.cell} {'failed' if made.error else 'kept an exception'}"


def _is_exception(bundle: Bundle) -> bool:
    """Whether what is held is the exception itself, and not something that has it."""
    return bool(bundle.largest.path) and bundle.largest.path[0].edge == _ATTRIBUTE


def _by_traceback(bundle: Bundle) -> bool:
    return TRACEBACK in bundle.roots() or TRACEBACK in bundle.largest.via


def _first(bundle: Bundle) -> Holder:
    """Tell it from a stored exception's name, else from the interpreter's last exception."""
    inside = [h for h in ordered(bundle.holders) if h.id in bundle.largest.holders]
    by_rank = sorted(inside, key=lambda holder: (holder.root == TRACEBACK, holder.id))
    values = [holder for holder in by_rank if holder.expr == "sys.last_value"]
    return by_rank[0] if by_rank[0].root != TRACEBACK or not values else values[0]


def _how(bundle: Bundle) -> str:
    if _complains(bundle):
        return "the exception keeps what it complains of in its attribute"
    return "the exception keeps its frames, and they keep"


def _complains(bundle: Bundle) -> bool:
    """Whether the way to the data leads through no frame, but through the exception's subject."""
    through = any(step.edge in _RAISED_FOR for step in bundle.largest.path)
    return through and "frame" not in bundle.largest.via


def _where(bundle: Bundle, first: Holder) -> str:
    steps = path_of(bundle, first)
    if _complains(bundle):
        return f"`{next(s.edge for s in bundle.largest.path if s.edge in _RAISED_FOR)}`"
    local = steps[-1].edge.lstrip(".")
    return f"the local `{local}`" if local.isidentifier() else "the locals of its frames"


def _fix(bundle: Bundle) -> str:
    names = [h.expr for h in bundle.holders if h.root not in (TRACEBACK,)]
    lines = []
    if names:
        stored = ", ".join(f"`{name}`" for name in names)
        lines.append(f"keep the text of the exception, not the exception, in {stored}")
        lines += deletions([h for h in bundle.holders if h.root == NAMESPACE])
        if _is_exception(bundle):
            lines += [f"{name}{_ATTRIBUTE} = None  # keeps the exception, drops its frames"
                      for name in names]  # fmt: skip
    lines += assignments([h for h in bundle.holders if h.root == TRACEBACK])
    lines += [undo(h, bundle) for h in bundle.holders if h.root == CALLBACK]
    return "\n".join(lines)
