"""MP106: a generator, coroutine, task or thread waits and keeps its locals."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered
from memprobe.analysis.evidence import NAMESPACE, WAITING, Evidence
from memprobe.analysis.retention import Bundle, bundles
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding
from memprobe.recording.schema import Holder

VIA = "suspended-frame"
_ENDS = {"generator": "{}.close()", "coroutine": "{}.close()",
         "async_generator": "await {}.aclose()"}  # fmt: skip


class SuspendedFrame:
    """A generator, coroutine, task or thread waits and keeps its locals

    ## What it means
    A function that is suspended keeps all of its local variables: a generator that was read half
    way, a coroutine that nobody awaits, an asyncio task or a thread that waits for something that
    does not come. No cell has gone on with it for long (`stale-cells`).

    ## Why it matters
    Locals are what one trusts to go away by themselves. Here they stay for as long as the
    generator, the event loop or the thread does, and no variable in your notebook shows them.

    ## Example
    ```python
    def in_batches(path):
        frame = pd.read_parquet(path)        # 3 GiB
        for start in range(0, len(frame), 1000):
            yield frame.iloc[start : start + 1000]

    batches = in_batches("orders.parquet")
    first = next(batches)                    # and never again: the frame stays
    ```

    ## Use instead
    ```python
    with contextlib.closing(in_batches("orders.parquet")) as batches:
        first = next(batches)                # closed here, whatever happens
    ```
    For what is there: `batches.close()`, `request.close()` of a coroutine, `task.cancel()`. A
    worker thread should let go of its last job (`del batch`) before it waits for the next one.

    ## When it does not fire
    The locals keep less than `min-bytes`; a recent cell used the name; the generator is exhausted
    or the task has ended: their frames are gone; a task or thread was woken since, if only to
    wait again; something that is in use refers to the same data.
    """

    code = "MP106"
    name = "suspended-frame"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per bundle that a suspended frame keeps."""
        for bundle in _bundles(evidence):
            first = _first(bundle)
            if first is not None:
                yield self._finding(evidence, bundle, first)

    def _finding(self, evidence: Evidence, bundle: Bundle, first: Holder) -> Finding:
        what = _what(first, bundle)
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="suspect", first=first,
            title=f"{what} waits, and keeps its local variables",
            why=f"{what} {_idle(evidence, first)}",
            fix=_fix(bundle, first),
        )  # fmt: skip


def _bundles(evidence: Evidence) -> list[Bundle]:
    """Return what unused names and waiting frames keep; in a script, what its end found waiting."""
    if evidence.is_notebook or evidence.snapshot is None:
        return evidence.reclaimable
    return bundles(
        evidence.snapshot,
        lambda holder, group: holder.root == "module" and holder.type in _ENDS,
        evidence.config.min_bytes,
    )


def _first(bundle: Bundle) -> Holder | None:
    """Return the holder to tell it from, or None where no suspended frame is behind it."""
    inside = [h for h in ordered(bundle.holders) if h.id in bundle.largest.holders]
    waiting = [holder for holder in inside if holder.root in WAITING]
    if waiting:
        names = [holder for holder in inside if holder.object == waiting[0].object]
        return names[0]
    if VIA not in bundle.largest.via:
        return None
    return next((h for h in inside if h.type in _ENDS), inside[0])


def _what(first: Holder, bundle: Bundle) -> str:
    if first.root == "frame":
        function, _, local = first.expr.partition(": ")
        return f"a thread in `{function}`, with `{local}` in hand,"
    if first.root == VIA:
        return first.expr[0].upper() + first.expr[1:]
    if first.type in _ENDS:
        return f"the {first.type.replace('_', ' ')} `{first.expr}`"
    tasks = [holder for holder in bundle.holders if holder.root == VIA]
    if tasks:
        return f"the task `{first.expr}`"
    return f"a suspended frame in `{first.expr}`"


def _idle(evidence: Evidence, first: Holder) -> str:
    if not evidence.is_notebook:
        return "was still suspended when the script ended"
    if first.root == NAMESPACE:
        since = evidence.liveness.life(first.expr).cells_since
        return f"was last used {since} cells ago and has not ended: its frame keeps every local"
    since = evidence.liveness.runs_after(first.since)
    where = f" in line {first.line}" if first.line is not None else ""
    return f"has waited{where} for {since} cells without being woken"


def _fix(bundle: Bundle, first: Holder) -> str:
    tasks = [holder for holder in bundle.holders if holder.root == VIA]
    if first.root == "frame":
        return f"let go of what it holds before it waits again: del {first.expr.split(': ')[1]}"
    lines = [f"{first.expr}.cancel()"] if tasks and first.root == NAMESPACE else []
    if tasks and not lines:
        lines = ["import asyncio", *dict.fromkeys(map(_cancel, tasks))]
    ended = [h for h in bundle.holders if h.type in _ENDS and h.root in (NAMESPACE, "module")]
    lines += [_ENDS[holder.type].format(holder.expr) for holder in ended]
    others = [holder for holder in bundle.holders if holder not in ended]
    return "\n".join([*lines, *display_deletions(others), *deletions(others)])


def _cancel(task: Holder) -> str:
    """Return the line that cancels every task of a function: names of tasks change with runs."""
    mine = f"task.get_coro().__name__ == {task.function!r}"
    return f"[task.cancel() for task in asyncio.all_tasks() if {mine}];"
