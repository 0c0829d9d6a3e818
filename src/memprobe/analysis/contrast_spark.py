"""Spark in both contexts: CPU of its processes, executor use, and what is stored, step by step.

A quantity that was not read is None, with the reason: none is taken for zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from memprobe.analysis.contrast_side import Round, Side, Step
from memprobe.analysis.contrast_steps import ONE_ROUND, growth
from memprobe.analysis.noise import measure
from memprobe.contrasts import Measure, RoundRow, SparkRound, SparkStep, StepRow, Unit
from memprobe.recording.schema import Spark

NO_READING = "Spark was not read between this step and the next"
NO_SPARK = "no Spark application was met"
NO_CLOCK = "the JVM is not on this host, or the recording tells no CPU time of it"
CONNECT = "unavailable: Spark Connect"
# There Spark's own total is the age of the application (AppStatusListener, spark 3.5 and 4.x).
LOCAL = "local mode: tasks run in the driver's JVM, whose CPU time has them"
ELSEWHERE = "Python workers run below the executors: see the time of tasks"
NO_JVM = "the driver's JVM was not read"
NO_COLLECTION = "the JVM has not collected yet"
NO_STEPS = "notebook or script did not run in steps"
SHARED = "other programs use the same driver: what they had stored stays"

UNITS: dict[str, Unit] = {
    "jvm_cpu": "seconds", "workers_cpu": "seconds", "tasks": "seconds",
    "stored": "bytes", "jvm_rss": "bytes",
}  # fmt: skip


@dataclass
class Use:
    """What Spark did in a step or round. ``why``: quantity → why it is None."""

    values: dict[str, float | None] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: float | None, why: str | None) -> None:
        """Note a value, or why there is none."""
        self.values[name] = value
        if value is None and why:
            self.why[name] = why


def has_spark(side: Side) -> bool:
    """Whether a Spark application was met in this context."""
    return any(one.app or one.mode == "connect" for one in side.recording.spark)


def add_spark(
    rows: Sequence[StepRow], rounds: Sequence[RoundRow], totals: dict[str, Measure],
    ours: Side, theirs: Sequence[Side],
) -> None:  # fmt: skip
    """Fill in Spark's part of the tables; nothing where neither context met an application."""
    if not any(map(has_spark, [ours, *theirs])):
        return
    notebook = _uses(ours)
    scripts = [_uses(side) for side in theirs]
    alone = len(rows) - len(ours.first.steps)  # rows of the script's own steps come first
    for position, row in enumerate(rows):
        cells = [uses[position - alone] for uses in notebook if 0 <= position - alone < len(uses)]
        row.spark = _step(row, cells, _beside(row, theirs, scripts))
    for found, uses in zip(rounds, notebook):
        found.spark = _round(uses)
    totals.update((one.name, one) for one in _totals(ours, notebook, theirs, scripts))


def stored(reading: Spark | None) -> int | None:
    """Return the bytes of cached data on all executors; None where that was not read."""
    if reading is None or reading.caches is None:
        return None
    parts = [size for one in reading.caches for size in (one.memory, one.disk)]
    if any(one.cached and one.memory is None and one.disk is None for one in reading.caches):
        return None
    return sum(size for size in parts if size is not None)


def _uses(side: Side) -> list[list[Use]]:
    """Return what Spark did in each step of each round."""
    before: Spark | None = None
    found = []
    for one in side.rounds:
        uses = []
        for step in one.steps:
            uses.append(_use(step, before, side))
            before = step.spark or before
        found.append(uses)
    return found


def _use(step: Step, before: Spark | None, side: Side) -> Use:
    use = Use()
    last = step.spark
    local = last is None or (last.master or "local").startswith("local[")
    unread = _unread(side) or NO_READING
    clock = _unread(side) or NO_CLOCK
    if last is None and not _began(side, step):
        # What did not exist yet took nothing, and that is known.
        for name in UNITS:
            use.put(name, 0.0, None)
        return use
    use.put("jvm_cpu", step.jvm_cpu, clock)
    use.put("workers_cpu", step.workers_cpu if local else None, clock if local else ELSEWHERE)
    tasks = None if local else _tasks(last, before)
    use.put("tasks", tasks, _told(last, "executors") or (unread if last is None else LOCAL))
    use.put("stored", stored(last), _told(last, "cached data", "stored blocks") or unread)
    rss = step.jvm.rss if step.jvm is not None else None
    use.put("jvm_rss", rss, _told(last, "the driver's JVM") or (unread if last is None else NO_JVM))
    return use


def _unread(side: Side) -> str | None:
    """Return why nothing of Spark can be known in this context, if so."""
    if not has_spark(side):
        return NO_SPARK
    return CONNECT if all(one.mode == "connect" for one in side.recording.spark) else None


def _began(side: Side, step: Step) -> bool:
    """Whether there was an application by the end of a step, as far as the recording tells."""
    first = side.recording.spark[0].t if side.recording.spark else None
    return first is None or first <= step.ended or step.jvm_cpu is not None


def _told(last: Spark | None, *parts: str) -> str | None:
    """Return what the reading itself says of a part that is missing in it."""
    for one in last.unmeasured if last is not None else ():
        if one.what.startswith(parts):
            return one.why
    return None


def _tasks(last: Spark | None, before: Spark | None) -> float | None:
    now = _task_ms(last)
    if now is None or last is None:
        return None
    if before is None or before.app != last.app:
        return now / 1000
    then = _task_ms(before)
    return None if then is None else max(now - then, 0) / 1000


def _task_ms(reading: Spark | None) -> int | None:
    if reading is None or reading.executors is None:
        return None
    return sum(one.task_ms or 0 for one in reading.executors)


def _beside(row: StepRow, theirs: Sequence[Side], scripts: list[list[list[Use]]]) -> list[Use]:
    """Return what Spark did in the script's step of a row, in each process."""
    return [
        use
        for side, uses in zip(theirs, scripts)
        for step, use in zip(side.first.steps, uses[0])
        if row.beside is not None and step.name == row.beside
    ]


def _step(row: StepRow, cells: Sequence[Use], beside: Sequence[Use]) -> SparkStep:
    measures = {
        name: _compared(name, unit, cells, beside, row.wall.why) for name, unit in UNITS.items()
    }
    return SparkStep(**measures)


def _compared(
    name: str, unit: Unit, ours: Sequence[Use], beside: Sequence[Use], unpaired: str | None
) -> Measure:
    first = ours[0].values[name] if ours else None
    reasons = [one.why[name] for one in [*ours[:1], *beside] if name in one.why]
    return measure(
        name.replace("_", "-"), unit, first, [one.values[name] for one in ours[1:]],
        [one.values[name] for one in beside], reasons[0] if reasons else unpaired,
    )  # fmt: skip


def _round(uses: Sequence[Use]) -> SparkRound:
    row = SparkRound()
    for name in ("jvm_cpu", "workers_cpu", "tasks"):
        setattr(row, name, _sum(uses, name))
    for name in ("stored", "jvm_rss"):
        value = _last(uses, name)
        setattr(row, name, None if value is None else int(value))
    for use in uses:
        row.why.update((name, why) for name, why in use.why.items() if getattr(row, name) is None)
    return row


def add_heaps(rounds: Sequence[RoundRow], ours: Side) -> None:
    """Fill in the heap of the driver's JVM at the end of each round."""
    for row, one in zip(rounds, ours.rounds):
        if row.spark is None:
            continue
        jvm = one.steps[-1].jvm if one.steps else None
        row.spark.heap = jvm.heap_used if jvm is not None else None
        row.spark.heap_after_gc = jvm.heap_after_gc if jvm is not None else None
        if jvm is None:
            row.spark.why["heap"] = row.spark.why["heap_after_gc"] = NO_JVM
        elif row.spark.heap_after_gc is None:
            row.spark.why["heap_after_gc"] = NO_COLLECTION


def _sum(uses: Sequence[Use], name: str) -> float | None:
    known = [use.values[name] for use in uses]
    return None if not known or None in known else sum(one for one in known if one is not None)


def _last(uses: Sequence[Use], name: str) -> float | None:
    return uses[-1].values[name] if uses else None


def _totals(
    ours: Side, notebook: list[list[Use]], theirs: Sequence[Side], scripts: list[list[list[Use]]]
) -> Iterator[Measure]:
    for name in ("jvm_cpu", "workers_cpu", "tasks"):
        yield _total(name, ours, notebook, theirs, scripts)
    peaks = _jvm_peaks(ours)
    found = measure(
        "jvm-peak", "bytes", peaks[0], peaks[1:],
        [max(filter(None, _jvm_peaks(side)), default=None) for side in theirs],
        None if has_spark(ours) else NO_SPARK,
    )  # fmt: skip
    if (found.first is None or found.script is None) and found.why is None:
        found.why = NO_JVM
    yield found
    yield _ends("stored", "stored", notebook, theirs)
    yield _ends("jvm-rss", "jvm_rss", notebook, theirs)
    yield _after("stored-after", "stored", notebook, theirs)
    yield _after("jvm-after", "jvm_rss", notebook, theirs)
    yield _growth("stored-growth", "stored", notebook, theirs)
    yield _growth("jvm-growth", "jvm_rss", notebook, theirs)


def _total(
    name: str, ours: Side, notebook: list[list[Use]], theirs: Sequence[Side],
    scripts: list[list[list[Use]]],
) -> Measure:  # fmt: skip
    """Return the seconds of all steps of a round, and of each process."""
    reasons = [use.why[name] for uses in [notebook[0], *(one[0] for one in scripts)]
               for use in uses if name in use.why]  # fmt: skip
    if not all(side.first.steps for side in [ours, *theirs]):
        reasons.append(NO_STEPS)
    values = [_sum(uses, name) for uses in notebook]
    return measure(
        name.replace("_", "-"), "seconds", values[0], values[1:],
        [_sum(one[0], name) for one in scripts], reasons[0] if reasons else None,
    )  # fmt: skip


def _ends(name: str, of: str, notebook: list[list[Use]], theirs: Sequence[Side]) -> Measure:
    """Return what there was at the end of each round, and just before each process ended."""
    values = [_last(uses, of) for uses in notebook]
    beside = [_at_end(side, of) for side in theirs]
    reasons = [uses[-1].why[of] for uses in notebook if uses and of in uses[-1].why]
    if None in beside:
        reasons.append(NO_SPARK if not all(map(has_spark, theirs)) else NO_READING)
    return measure(name, "bytes", values[0], values[1:], beside, reasons[0] if reasons else None)


def _at_end(side: Side, of: str) -> float | None:
    if of == "stored":
        readings = side.recording.spark
        return stored(readings[-1]) if readings else None
    return side.recording.jvm[-1].rss if side.recording.jvm else None


def _after(name: str, of: str, notebook: list[list[Use]], theirs: Sequence[Side]) -> Measure:
    """Return what stays when the work is over: the script's application ends with its process."""
    values = [_last(uses, of) for uses in notebook]
    shared = any(one.shared for side in theirs for one in side.recording.spark[-1:])
    beside = [None if shared or not has_spark(side) else 0.0 for side in theirs]
    reasons = [uses[-1].why[of] for uses in notebook if uses and of in uses[-1].why]
    if None in beside:
        reasons.append(SHARED if shared else NO_SPARK)
    return measure(name, "bytes", values[0], values[1:], beside, reasons[0] if reasons else None)


def _growth(name: str, of: str, notebook: list[list[Use]], theirs: Sequence[Side]) -> Measure:
    ends = [_last(uses, of) for uses in notebook]
    found = growth(
        name, [_whole(one) for one in ends], [_whole(_at_end(side, of)) for side in theirs]
    )
    if found.why is not None and found.why != ONE_ROUND and not all(map(has_spark, theirs)):
        found.why = NO_SPARK
    return found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _jvm_peaks(side: Side) -> list[int | None]:
    """Return the highest RSS of the driver's JVM in each round, from samples and readings."""
    readings = side.recording.jvm
    pid = next((one.pid for one in readings if one.pid is not None), None)
    seen = [(one.t, one.rss) for one in readings if one.rss is not None]
    for sample in side.recording.samples:
        for child in sample.children or ():
            if child.rss is not None and child.pid == pid:
                seen.append((sample.t, child.rss))
    return [
        max((rss for t, rss in seen if begin < t <= end), default=None)
        for begin, end in pairwise([0, *(_end(one) for one in side.rounds)])
    ]


def _end(one: Round) -> int:
    return one.ended if one.ended is not None else 2**63
