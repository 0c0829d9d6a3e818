"""What a contrast says of Spark, from recordings put together by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from test_contrast import MB, Tape, report

from memprobe.analysis.contrast_side import side
from memprobe.contrasts import ContrastReport, Measure
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Jvm, Spark, SparkCache, SparkExecutor, SparkReach, Unmeasured
from memprobe.reporters.contrast import render


class SparkTape(Tape):
    """Writes steps with the CPU time of a JVM, and a reading of Spark after each of them."""

    def __init__(self, context: Any, master: str = "spark", unmeasured: str = "") -> None:
        super().__init__(context)
        self.jvm_cpu = 0.0
        self.tasks = 0
        self.master = master
        self.unmeasured = unmeasured
        self.recording.header.program = "etl.ipynb" if context == "notebook" else "etl.py"

    def work(
        self, number: int, *, jvm: float, stored: int | None = 0, tasks: int = 0,
        read: bool = True, holder: str = "df",
    ) -> None:  # fmt: skip
        """One step in which the JVM worked ``jvm`` seconds and tasks ran ``tasks`` ms."""
        self.step(number, {}, uses="df")
        start, end = self.recording.markers[-2:]
        if self.jvm_cpu:
            start.jvm_cpu, start.workers_cpu = self.jvm_cpu, 0.0
        self.jvm_cpu += jvm
        self.tasks += tasks
        end.jvm_cpu, end.workers_cpu = self.jvm_cpu, 0.0
        if read:
            self.recording.spark.append(self._reading(stored, holder))
            self.recording.jvm.append(Jvm(t=self.now, pid=7, rss=500 * MB, heap_used=90 * MB))
            self.now += 1000

    def _reading(self, stored: int | None, holder: str) -> Spark:
        why = self.unmeasured
        return Spark(
            t=self.now, app="app", version="4.0", master=self.master, cell=self.cells,
            executors=[SparkExecutor(id="1", task_ms=self.tasks, max=900 * MB, used=stored or 0)],
            caches=None if stored is None else [cache(stored, holder)] if stored else [],
            unmeasured=[Unmeasured(what="cached data", why=why)] if why else [],
            reason="request",
        )  # fmt: skip


def cache(size: int, holder: str) -> SparkCache:
    held = [SparkReach(expr=holder)] if holder else []
    return SparkCache(
        id=1, rdd=4, memory=size, disk=0, cached=2, partitions=2, cell=1, holders=held
    )


def notebook(rounds: int = 4, growth: int = 0, **more: Any) -> Recording:
    tape = SparkTape("notebook", **more)
    for number in range(1, rounds + 1):
        tape.phase(f"round {number}", "start")
        tape.work(1, jvm=6.0 if number == 1 else 1.0, stored=40 * MB + growth * number, tasks=900)
        tape.work(2, jvm=0.5, stored=40 * MB + growth * number, tasks=100)
        tape.phase(f"round {number}", "end")
    return tape.recording


def script(**more: Any) -> Recording:
    tape = SparkTape("script", **more)
    tape.work(1, jvm=6.5, stored=40 * MB, tasks=1100)
    tape.work(2, jvm=0.5, stored=40 * MB, tasks=100)
    return tape.recording


def measures(found: ContrastReport) -> Iterator[Measure]:
    """Yield everything that is compared anywhere in a contrast."""
    yield from found.contrast.totals.values()
    for row in found.contrast.steps:
        parts = [row, *([row.spark] if row.spark is not None else [])]
        for part in parts:
            for name in part.__struct_fields__:
                value = getattr(part, name)
                if isinstance(value, Measure):
                    yield value


def test_cpu_of_python_and_of_the_jvm_are_told_apart() -> None:
    found = report(notebook(), script(), script()).contrast
    first = found.steps[0].spark
    assert first is not None
    assert first.jvm_cpu.first == pytest.approx(6.0)  # it began within the step
    assert first.jvm_cpu.script is not None
    assert first.jvm_cpu.script.median == pytest.approx(6.5)
    assert first.jvm_cpu.later is not None
    assert first.jvm_cpu.later.median == pytest.approx(1.0)
    assert found.totals["jvm-cpu"].first == pytest.approx(6.5)
    assert found.totals["cpu"].first == pytest.approx(2.0)


def test_what_executors_did_in_a_step_is_what_was_added_since_the_one_before() -> None:
    found = report(notebook(), script(), script()).contrast
    tasks = [row.spark.tasks.first for row in found.steps if row.spark is not None]
    assert tasks == pytest.approx([0.9, 0.1])
    assert found.totals["tasks"].first == pytest.approx(1.0)


def test_in_local_mode_the_age_of_the_application_is_not_told_as_task_time() -> None:
    local = {"master": "local[2]"}
    found = report(notebook(**local), script(**local), script(**local)).contrast
    tasks = found.totals["tasks"]
    assert (tasks.first, tasks.script) == (None, None)
    assert "local mode" in (tasks.why or "")


def test_storage_stays_with_the_kernel_and_ends_with_the_process() -> None:
    found = report(notebook(), script(), script()).contrast
    assert found.totals["stored"].judgement == "no difference"
    after = found.totals["stored-after"]
    assert after.script is not None
    assert (after.first, after.script.high, after.judgement) == (40 * MB, 0.0, "more")
    assert found.totals["jvm-after"].first == 500 * MB


def test_storage_that_another_program_may_hold_is_not_called_gone() -> None:
    theirs = script()
    theirs.spark[-1].shared = True
    after = report(notebook(), theirs, theirs).contrast.totals["stored-after"]
    assert after.script is None
    assert "other programs" in (after.why or "")


def test_growth_of_storage_in_one_context_is_set_against_fresh_ones() -> None:
    found = report(notebook(growth=20 * MB), script(), script()).contrast
    growth = found.totals["stored-growth"]
    assert growth.later is not None
    assert (growth.later.low, growth.judgement) == (20 * MB, "more")
    rounds = [row.spark.stored for row in found.rounds if row.spark is not None]
    assert rounds == [60 * MB, 80 * MB, 100 * MB, 120 * MB]


def test_every_cell_that_was_not_measured_says_why() -> None:
    bare = Tape("script")
    bare.step(1, None)
    bare.step(2, None)
    broken = notebook(unmeasured="the JVM threw")
    for one in broken.spark:
        one.caches = None
    broken.jvm.clear()
    cases = (
        (broken, script()), (notebook(), bare.recording), (bare_notebook(), script()),
        (notebook(rounds=1), script()), (notebook(), without_steps(script())),
    )  # fmt: skip
    for ours, theirs in cases:
        found = report(ours, theirs)
        for one in measures(found):
            if one.first is None or one.script is None:
                missing_by_nature = one.name.endswith("growth") and one.script is not None
                assert one.why or missing_by_nature, one


def test_the_reading_itself_says_why_a_part_is_missing() -> None:
    ours = notebook(unmeasured="the driver's JVM threw java.lang.Error")
    for one in ours.spark:
        one.caches = None
    found = report(ours, script(), script())
    stored = found.contrast.totals["stored"]
    assert (stored.first, stored.why) == (None, "the driver's JVM threw java.lang.Error")
    assert "java.lang.Error" in render(found, "text", width=100)


def test_a_step_between_two_readings_is_not_measured_and_not_zero() -> None:
    tape = SparkTape("notebook")
    tape.work(1, jvm=5.0, stored=40 * MB)
    tape.work(2, jvm=1.0, read=False)
    found = report(tape.recording, script(), script()).contrast
    second = found.steps[1].spark
    assert second is not None
    assert second.stored.first is None
    assert "was not read" in (second.stored.why or "")
    assert second.jvm_cpu.first == pytest.approx(1.0)


def test_the_first_rounds_findings_see_nothing_of_the_last_one() -> None:
    ours = side(notebook(growth=20 * MB))
    from memprobe.analysis.contrast_side import cut

    first = cut(ours.recording, ours.first.ended)
    assert len(first.spark) == 2
    assert len(first.jvm) == 2


def test_both_sides_readings_appear_in_text_and_json() -> None:
    found = report(notebook(), script(), script())
    text = render(found, "text", width=100)
    assert "In Spark, the notebook" in text
    assert "In Spark, the script" in text
    assert "JVM: CPU time" in text
    told = msgspec.json.decode(render(found, "json"))
    assert told["spark"]["caches"][0]["memory"] == 40 * MB
    assert told["contrast"]["script"]["spark"]["caches"][0]["memory"] == 40 * MB
    assert msgspec.convert(told, ContrastReport) == found


def test_without_spark_nothing_is_said_of_it() -> None:
    found = report(bare_notebook(), *[bare_script()] * 2)
    assert found.contrast.totals.keys().isdisjoint({"jvm-cpu", "stored"})
    assert found.contrast.steps[0].spark is None
    assert "JVM" not in render(found, "text", width=100)


def bare_notebook() -> Recording:
    tape = Tape("notebook")
    tape.step(1, {})
    tape.step(2, {})
    return tape.recording


def bare_script() -> Recording:
    tape = Tape("script")
    tape.step(1, {})
    return tape.recording


def without_steps(recording: Recording) -> Recording:
    recording.markers.clear()
    return recording
