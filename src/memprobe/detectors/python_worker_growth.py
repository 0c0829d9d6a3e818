"""MP407: reused Python workers that grow with every round of the same work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memprobe.analysis.evidence import Evidence
from memprobe.analysis.spark_findings import EXECUTOR
from memprobe.analysis.spark_rounds import Series, Span, grew, rounds, value_behind, value_in
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
from memprobe.recording.schema import Sample, Spark
from memprobe.reporters.amounts import size

WORKER = "python-worker"
FALLS = 0.05  # of what it had: a worker that gives so much back does not only grow
LEAST_STEP = 1 << 20  # bytes: below it an allocator speaks
PARTS = 4  # each round adds at least this part of ``min-bytes``
REUSE = '.config("spark.python.worker.reuse", "false")'


class PythonWorkerGrowth:
    """A function leaks in Spark's reused Python workers

    ## What it means
    Spark runs Python functions in worker processes and uses them again for the next job. The
    same worker processes grew in each of several equal rounds behind the first, and never gave
    any of it back: a function adds to a global, to a cache, or to an object of a module, and what
    it added stays for the life of the process.

    ## Why it matters
    A worker's memory lies outside of the JVM's heap and outside of Spark's accounts. It grows
    until the container is killed, and the executor is lost with all of its blocks.

    ## Example
    ```python
    seen = {}

    @pandas_udf("double")
    def score(values: pd.Series) -> pd.Series:
        seen[uuid4()] = values                 # kept by the worker, for good
        return model(values)
    ```

    ## Use instead
    Keep the function free of state that grows; bound a cache that it needs:
    ```python
    @lru_cache(maxsize=1000)
    def lookup(key): ...
    ```
    Until then workers can be ended after each task, which costs their start-up: set
    `spark.python.worker.reuse` to `false` where the session is built.

    ## When it does not fire
    The first round made them grow, as imports and models that are loaded once do; the rounds add
    less and less; other processes did the work each time; a worker shrank in between; or all
    rounds behind the first together added less than `min-bytes`. Workers on other hosts are known
    by Spark's own peaks only: then it is advice.
    """

    code = "MP407"
    name = "python-worker-growth"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield at most one finding about the workers on this host, or else about executors."""
        for spans in rounds(evidence):
            found = self._on_this_host(evidence, spans) or self._elsewhere(evidence, spans)
            if found is not None:
                yield found
                return

    def _on_this_host(self, evidence: Evidence, spans: list[Span]) -> Finding | None:
        pids = _lasting(evidence.recording.samples, spans)
        # What the last round added shows in the reading behind it: no sample comes so soon.
        series = sorted(
            _together(evidence.recording.samples, pids)
            + _read_together(evidence.recording.spark, len(pids))
        )
        steps = _steady(evidence, series, spans)
        if not steps:
            return None
        grown = _grown(evidence.recording.samples, pids, spans) or pids  # not the one that forks
        held = [Holding(root=EXECUTOR, expr=f"process {pid}") for pid in sorted(grown)]
        return self._finding(evidence, spans, steps, held, "suspect", series[-1][1])

    def _elsewhere(self, evidence: Evidence, spans: list[Span]) -> Finding | None:
        told: dict[str, list[tuple[int, int]]] = {}
        numbers: dict[str, set[int | None]] = {}
        peaks = False
        for reading in evidence.recording.spark:
            for one in reading.executors or ():
                if one.active and one.python_rss is not None and reading.t >= spans[0].begin:
                    told.setdefault(one.id, []).append((reading.t, one.python_rss))
                    numbers.setdefault(one.id, set()).add(one.workers)
                    peaks = peaks or one.rss_by != "proc"
        # One worker more takes its memory along: that is no growth of those there were.
        told = {name: series for name, series in told.items() if len(numbers[name]) == 1}
        grown = {name: _steady(evidence, series, spans) for name, series in told.items()}
        names = [name for name, steps in grown.items() if steps]
        if not names:
            return None
        steps = [sum(values) for values in zip(*(grown[name] for name in names))]
        held = [Holding(root=EXECUTOR, expr=f"executor {name}") for name in names]
        last = sum(told[name][-1][1] for name in names)
        return self._finding(evidence, spans, steps, held, "advice" if peaks else "suspect", last)

    def _finding(
        self, evidence: Evidence, spans: list[Span], steps: list[int], held: list[Holding],
        status: Status, now: int,
    ) -> Finding:  # fmt: skip
        total = sum(steps)
        path = [PathStep(type="Python worker", edge=held[0].expr)]
        same = "the same Python workers" if len(held) > 1 else "the same Python worker"
        where = "equal parts of the run" if spans[0].cell is None else "runs of one cell"
        return Finding(
            code=self.code, name=self.name, status=status,
            title="Spark's Python workers grow with every round of the same work",
            context=evidence.recording.header.context,
            object=HeldObject(type="Python worker"), holders=held,
            exclusive_bytes=total, shared_bytes=0,
            reclaim=Reclaim(bytes=total, low=0, high=total, where="executors", basis="estimate"),
            growth=Growth(bytes_per_round=total // len(steps), rounds=len(steps)), path=path,
            why=f"{same} grew in each of {len(steps)} {where} behind the first, by {size(total)} "
            f"in all to {size(now)}, and gave nothing back",
            fix=f"keep no state in the function that grows; until then `{REUSE}` on the builder",
            fingerprint=fingerprint(self.code, EXECUTOR, WORKER, [], spans[-1].hash),
        )  # fmt: skip


def _steady(evidence: Evidence, series: Series, spans: list[Span]) -> list[int]:
    """Return what each round behind the first added, where all of them did and nothing fell."""
    values = [value_behind(series, span) for span in spans]
    known = [one for one in values if one is not None]
    if len(known) < len(values) or _fell(series, spans[0].begin):
        return []
    least = evidence.config.min_bytes
    steps = grew(known, max(LEAST_STEP, least // PARTS))
    whole = len(steps) == len(values) - 1 and sum(steps) >= least
    return steps if whole else []


def _fell(series: Series, since: int) -> bool:
    highest = 0
    for moment, value in series:
        if moment >= since:
            highest = max(highest, value)
            if value < highest * (1 - FALLS):
                return True
    return False


def _lasting(samples: Sequence[Sample], spans: list[Span]) -> set[int]:
    """Return the workers that were there in every round."""
    found: set[int] | None = None
    for span in spans:
        pids = {
            child.pid for sample in samples if span.begin <= sample.t <= span.end
            for child in sample.children or () if child.role == WORKER and child.rss is not None
        }  # fmt: skip
        found = pids if found is None else found & pids
    return found or set()


def _grown(samples: Sequence[Sample], pids: set[int], spans: list[Span]) -> set[int]:
    """Return those of ``pids`` that are larger than they were behind the first round."""
    series = {pid: _together(samples, {pid}) for pid in pids}
    first = {pid: value_in(one, spans[0]) for pid, one in series.items()}
    return {
        pid for pid, before in first.items()
        if before is not None and series[pid][-1][1] >= before + LEAST_STEP
    }  # fmt: skip


def _together(samples: Sequence[Sample], pids: set[int]) -> list[tuple[int, int]]:
    """Return the resident memory of all ``pids`` over time, where all of them were seen."""
    series = []
    for sample in samples:
        seen = {child.pid: child.rss for child in sample.children or () if child.rss is not None}
        if pids and pids <= seen.keys():
            series.append((sample.t, sum(seen[pid] for pid in pids)))
    return series


def _read_together(readings: Sequence[Spark], count: int) -> list[tuple[int, int]]:
    """Return the resident memory of all workers as Spark's readings have it, ``count`` of them."""
    series = []
    for reading in readings:
        known = [one for one in reading.executors or () if one.active and one.python_rss]
        whole = all(one.rss_by == "proc" and one.workers is not None for one in known)
        if count and whole and sum(one.workers or 0 for one in known) == count:
            series.append((reading.t, sum(one.python_rss or 0 for one in known)))
    return series
