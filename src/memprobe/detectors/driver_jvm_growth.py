"""MP406: the driver's JVM keeps more after every round of the same work."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.driver_heap import levels, per_round
from memprobe.analysis.evidence import Evidence
from memprobe.analysis.spark_findings import DRIVER
from memprobe.analysis.spark_rounds import Span, grew, rounds, value_behind
from memprobe.findings import (
    Finding,
    Growth,
    HeldObject,
    Holding,
    PathStep,
    Reclaim,
    Status,
    fingerprint,
)
from memprobe.recording.schema import JvmLevel, Spark
from memprobe.reporters.amounts import counted, size

LEAST_STEP = 1 << 20  # bytes: below it collections and compiled code speak
LEAST_KEPT = 10  # references per round that stand beside a growing heap
LEAST_REFERENCES = 1000  # per round; a cell's own frames are some dozens
EXPR = "spark.sparkContext._jvm"


class DriverJvmGrowth:
    """The driver's JVM keeps more after every round of the same work

    ## What it means
    Each of several equal runs of one cell (`growth-rounds`), or each equal part of a script in
    which jobs ran, left more in the JVM's heap than the one before, as read after collections:
    what the collector could not free. Or the number of objects that the JVM keeps for Python
    (py4j references) rose by a thousand and more each time. Where the heap grows and these
    references do not, it is advice: a heap is also fuller while garbage waits in it that no
    collection has come to yet.

    ## Why it matters
    The driver's JVM has a heap of its own, 1 GB where nothing was set, and when it is full the
    application dies with all of its caches. Python shows nothing of it: a `DataFrame` in a list
    is a few hundred bytes here and a whole plan over there.

    ## Example
    ```python
    history.append(spark.range(1000).withColumn("x", rand()))   # a plan per run
    buffers.append(sc._gateway.new_array(sc._jvm.double, 1_000_000))   # 8 MB per run
    ```

    ## Use instead
    Keep results instead of frames, and let go of what refers into the JVM:
    ```python
    history.clear()
    ```
    Long plans are cut with `df.checkpoint()`; a long history of queries is kept shorter with
    `spark.sql.ui.retainedExecutions`.

    ## When it does not fire
    One round, the first included, added nothing; the rounds add less and less, as caches do that
    fill up; no collection ran in a round, or only where it began, so that nobody knows what was
    garbage (what a round added is told by how much of its work the last one had seen); a cell in
    between changed what the rounds read; or all rounds behind the first together added less than
    `min-bytes`.
    """

    code = "MP406"
    name = "driver-jvm-growth"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield at most one finding about the heap, or else about references."""
        for spans in rounds(evidence):
            found = self._heap(evidence, spans) or self._references(evidence, spans)
            if found is not None:
                yield found
                return

    def _heap(self, evidence: Evidence, spans: list[Span]) -> Finding | None:
        known = levels(evidence.recording, spans)
        steps = grew(per_round(known), LEAST_STEP)
        if len(steps) < evidence.config.growth_rounds:
            return None
        heaps = [level.heap for level in known[-len(steps) - 1 :]]
        total = heaps[-1] - heaps[0]
        if heaps[-1] - heaps[1] < evidence.config.min_bytes:
            return None
        reclaim = Reclaim(bytes=total, low=0, high=total, where="driver-jvm", basis="estimate")
        why = (
            f"{_words(spans)}: the heap after collections went from {size(heaps[0])} to "
            f"{size(heaps[-1])}, more each time"
        )
        counts = _growing(evidence, spans, LEAST_KEPT)
        kept = bool(counts)
        if kept:
            why += f", and the objects it keeps for Python from {counts[0]:,} to {counts[-1]:,}"
        step = sum(steps) // len(steps)
        return self._finding(evidence, spans, reclaim, step, why, "suspect" if kept else "advice")

    def _references(self, evidence: Evidence, spans: list[Span]) -> Finding | None:
        known = _growing(evidence, spans, LEAST_REFERENCES)
        if not known:
            return None
        steps = grew(known, LEAST_REFERENCES)
        reclaim = Reclaim(bytes=0, low=0, high=0, where="driver-jvm", basis="estimate")
        why = (
            f"{_words(spans)}: the JVM keeps {known[-1]:,} objects for Python, "
            f"{sum(steps) // len(steps):,} more after each round"
        )
        return self._finding(evidence, spans, reclaim, 0, why, "suspect")

    def _finding(
        self, evidence: Evidence, spans: list[Span], reclaim: Reclaim, step: int, why: str,
        status: Status,
    ) -> Finding:  # fmt: skip
        path = [PathStep(type="heap" if reclaim.bytes else "py4j references", edge=EXPR)]
        growth = Growth(bytes_per_round=step, rounds=len(spans)) if step else None
        return Finding(
            code=self.code, name=self.name, status=status,
            title="every round of the same work leaves more in the driver's JVM",
            context=evidence.recording.header.context,
            object=HeldObject(type="driver JVM"), holders=[Holding(root=DRIVER, expr=EXPR)],
            exclusive_bytes=reclaim.bytes, shared_bytes=0, reclaim=reclaim, growth=growth,
            path=path, why=why, fix=_fix(evidence),
            fingerprint=fingerprint(self.code, DRIVER, path[0].type, path, spans[-1].hash),
        )  # fmt: skip


def _growing(evidence: Evidence, spans: list[Span], least: int) -> list[int]:
    """Return the references before the first round and after each where they grow, else nothing.

    As this process counts them, else as the JVM does, which hears of some that are gone only later.
    """
    recording = evidence.recording
    readings: list[Spark | JvmLevel] = [*recording.spark, *recording.jvm_levels]
    by_python = [(one.t, one.python_objects) for one in readings]
    by_jvm = [(one.t, one.jvm_objects) for one in readings]
    for told in (by_python, by_jvm):
        series = sorted((t, count) for t, count in told if count is not None)
        values = [value_behind(series, span) for span in [_before(spans[0]), *spans]]
        known = [one for one in values if one is not None]
        if len(grew(known, least)) >= evidence.config.growth_rounds:
            return known
    return []


def _before(first: Span) -> Span:
    return Span(0, first.begin - 1)


def _words(spans: list[Span]) -> str:
    cells = [str(span.cell) for span in spans if span.cell is not None]
    if not cells:
        return f"{counted(len(spans), 'equal part')} of the run"
    return f"cells {', '.join(cells[:-1])} and {cells[-1]} ran the same source"


def _fix(evidence: Evidence) -> str:
    pid = next((one.pid for one in reversed(evidence.recording.jvm) if one.pid is not None), None)
    look = f"jcmd {pid} GC.class_histogram | head -20" if pid is not None else ""
    advice = "let go of the frames and JVM objects that each round keeps, such as those in a list"
    return "\n".join(filter(None, [advice, look]))
