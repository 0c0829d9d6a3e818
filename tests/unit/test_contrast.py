"""What a contrast concludes, from recordings put together by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from memprobe.analysis.contrast import Circumstances, contrast
from memprobe.analysis.noise import measure
from memprobe.config import Config
from memprobe.contrasts import ContrastReport
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Group, Header, Holder, Marker, Sample, Snapshot
from memprobe.reporters.contrast import render

MB = 1_000_000
SECOND = 10**9
Held = dict[tuple[str, ...], int]  # expressions that hold something together → bytes


class Tape:
    """Writes a recording step by step; each step takes ``wall`` seconds."""

    def __init__(self, context: Any) -> None:
        self.now = 0
        self.cells = 0
        header = Header(t=0, context=context, program="etl.ipynb", pid=1)
        self.recording = Recording(Path("x.memprobe"), header)
        self.recording.samples.append(Sample(t=0, rss=50 * MB))

    def phase(self, name: str, phase: Any, seconds: float | None = None) -> None:
        self.recording.markers.append(
            Marker(t=self.now, marker="phase", phase=phase, name=name, seconds=seconds)
        )

    def step(
        self, number: int, held: Held | None, *, uses: str = "", binds: str = "",
        wall: float = 1.0, error: str | None = None,
    ) -> None:  # fmt: skip
        notebook = self.recording.header.context == "notebook"
        self.cells += 1
        fields: dict[str, Any] = {
            "marker": "cell" if notebook else "phase",
            "cell": self.cells if notebook else None,
            "name": None if notebook else f"cell {number}",
            "hash": f"{number:012x}",
            "bound": dict.fromkeys(binds.split(), 1),
            "used": uses.split(),
        }
        self.recording.markers.append(Marker(t=self.now, phase="start", cpu=0.0, **fields))
        self.now += int(wall * SECOND)
        live = sum((held or {}).values())
        self.recording.markers.append(
            Marker(t=self.now, phase="end", cpu=wall, seconds=wall, error=error,
                   rss=50 * MB + live, peak=60 * MB + live, **fields)
        )  # fmt: skip
        self.now += 1000
        if held is not None:
            self.recording.snapshots.append(snapshot(self.now, held, self.cells, notebook))
        self.now += 1000


def snapshot(now: int, held: Held, cell: int, notebook: bool) -> Snapshot:
    exprs = list(dict.fromkeys(expr for together in held for expr in together))
    numbers = {expr: number for number, expr in enumerate(exprs)}
    holders = [
        Holder(id=number, root=root(expr, notebook), expr=expr, object=number, type="list",
               cell=int(expr[4:-1]) if expr.startswith("Out[") else None)
        for expr, number in numbers.items()
    ]  # fmt: skip
    groups = [
        Group(holders=[numbers[expr] for expr in together], bytes=size)
        for together, size in held.items()
    ]
    return Snapshot(t=now, reason="request", cell=cell, holders=holders, groups=groups)


def root(expr: str, notebook: bool) -> str:
    if expr.startswith("Out["):
        return "ipython-output"
    if expr.startswith("sys."):
        return "traceback"
    return "notebook-namespace" if notebook else "module"


def notebook(*rounds: list[dict[str, Any]]) -> Recording:
    tape = Tape("notebook")
    tape.phase("start-up", "end", 0.6)
    for number, steps in enumerate(rounds, start=1):
        tape.phase(f"round {number}", "start")
        for position, step in enumerate(steps, start=1):
            tape.step(position, **step)
        tape.phase(f"round {number}", "end")
    return tape.recording


def script(*steps: dict[str, Any]) -> Recording:
    tape = Tape("script")
    tape.recording.header.program = "etl.py"
    tape.phase("start-up", "end", 0.03)
    for position, step in enumerate(steps, start=1):
        tape.step(position, **step)
    return tape.recording


def step(held: Held | None, **more: Any) -> dict[str, Any]:
    return {"held": held, **more}


def report(notebook: Recording, *scripts: Recording, **known: Any) -> ContrastReport:
    return contrast(notebook, scripts, Config(), Circumstances(**known))


def codes(found: ContrastReport) -> set[str]:
    return {code for one in found.findings for code in (one.code, *one.also)}


def clean_steps(wall: float = 1.0) -> list[dict[str, Any]]:
    return [
        step({("df",): 40 * MB}, binds="df", wall=wall),
        step({("df",): 40 * MB}, uses="df"),
        step({("df",): 40 * MB}, uses="df"),
    ]


def test_a_name_that_both_hold_and_the_last_step_uses_is_clean() -> None:
    found = report(notebook(*[clean_steps()] * 4), *[script(*clean_steps())] * 3)
    assert found.findings == []
    assert found.contrast.verdict.kind == "clean"
    assert "no difference beyond noise" in found.contrast.verdict.text
    assert not found.fails
    live = found.contrast.totals["live"]
    assert (live.first, live.judgement) == (40 * MB, "no difference")
    held = found.contrast.totals["held"]
    assert held.script is not None
    assert (held.first, held.script.high, held.judgement) == (40 * MB, 0, "more")


def test_an_output_that_the_script_lets_go_of_is_the_notebooks_tax() -> None:
    steps = [
        step({("df", "Out[1]"): 40 * MB}, binds="df"),
        step({("Out[1]",): 40 * MB}, binds="df"),
        step({("Out[1]",): 40 * MB}),
    ]
    own = [step({("df",): 40 * MB}, binds="df"), step({}, binds="df"), step({})]
    found = report(notebook(steps), script(*own), script(*own))
    assert {"MP201", "MP601"} <= codes(found)
    verdict = found.contrast.verdict
    assert (verdict.kind, verdict.bytes, verdict.cells) == ("notebook-keeps", 40 * MB, [1])
    assert "Out[1] since cell 1" in verdict.text
    assert verdict.type
    assert found.fails


def test_what_only_ipython_holds_was_never_there_in_the_script() -> None:
    steps = [step({("Out[1]",): 40 * MB}), step({("Out[1]",): 40 * MB})]
    found = report(notebook(steps), script(step({}), step({})))
    (row,) = found.contrast.holders
    assert row.script is None
    assert row.notebook is not None
    assert (row.notebook.until, row.notebook.at_end) == ("kernel's end", True)


def test_the_script_holds_until_its_process_ends_or_it_lets_go() -> None:
    steps = [
        step({("a",): 40 * MB, ("b",): 30 * MB}, binds="a b"),
        step({("a",): 40 * MB}, uses="a"),
    ]
    found = report(notebook(steps), *[script(*steps)] * 2)
    until = {row.name: row.script.until for row in found.contrast.holders if row.script}
    assert until == {"a": "process exit", "b": "cell 2"}
    (made,) = {row.script.created.file for row in found.contrast.holders if row.script}  # type: ignore[union-attr]
    assert made == "etl.py"


def growing(per_round: int, rounds: int) -> list[list[dict[str, Any]]]:
    return [[step({("rows",): per_round * number}, uses="rows")] for number in range(1, rounds + 1)]


def test_growth_in_every_round_is_named_with_its_bytes() -> None:
    found = report(
        notebook(*growing(20 * MB, 4)), *[script(step({("rows",): 20 * MB}, uses="rows"))] * 3
    )
    (finding,) = [one for one in found.findings if one.code == "MP601"]
    assert finding.status == "leaking"
    assert finding.growth is not None
    assert (finding.growth.bytes_per_round, finding.growth.rounds) == (20 * MB, 3)
    assert found.contrast.growth[0].bytes == [20 * MB, 40 * MB, 60 * MB, 80 * MB]
    assert found.contrast.verdict.per_round == 20 * MB
    assert found.contrast.totals["growth"].judgement == "more"
    assert [row.growth for row in found.contrast.rounds] == [None, 20 * MB, 20 * MB, 20 * MB]


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ([20, 40, 60], "two rounds after the first are not enough"),
        ([20, 40, 60, 60], "one round added nothing"),
        ([20, 90, 90, 90], "a cache that filled in the second round"),
        ([2, 4, 6, 8], "it is less than min-bytes in the end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_growth_that_is_no_evidence_is_no_finding(sizes: list[int], why: str) -> None:
    rounds = [[step({("rows",): size * MB}, uses="rows")] for size in sizes]
    found = report(notebook(*rounds), *[script(step({("rows",): sizes[0] * MB}, uses="rows"))] * 3)
    assert codes(found) == set(), why
    assert found.contrast.verdict.kind == "clean"


def test_growth_that_fresh_processes_show_as_well_is_not_the_contexts() -> None:
    scripts = [script(step({("rows",): 20 * MB * n}, uses="rows")) for n in (1, 2, 3)]
    found = report(notebook(*growing(20 * MB, 4)), *scripts)
    assert found.contrast.growth == []
    assert "MP601" not in codes(found)


def test_an_output_of_each_round_is_one_leak_of_its_cell() -> None:
    rounds: list[list[dict[str, Any]]] = []
    kept: Held = {}
    for number in range(4):
        kept = {**kept, (f"Out[{number + 1}]",): 20 * MB}
        rounds.append([step(dict(kept))])
    found = report(notebook(*rounds), *[script(step({}))] * 3)
    (growth,) = found.contrast.growth
    assert (growth.names, growth.per_round) == (["output of cell 1"], 20 * MB)
    leaks = [one for one in found.findings if one.growth is not None]
    assert len(leaks) == 1
    assert "MP601" in (leaks[0].code, *leaks[0].also)


def test_small_outputs_of_each_round_are_advice() -> None:
    rounds: list[list[dict[str, Any]]] = []
    kept: Held = {}
    for number in range(4):
        kept = {**kept, (f"Out[{number + 1}]",): 5 * MB}
        rounds.append([step(dict(kept))])
    found = report(notebook(*rounds), *[script(step({}))] * 3)
    assert [(one.code, one.status) for one in found.findings] == [("MP601", "advice")]
    assert found.contrast.verdict.kind == "clean"
    assert not found.fails


def idle_steps(idle: float) -> list[dict[str, Any]]:
    return [
        step({("raw",): 40 * MB}, binds="raw"),
        step({("raw",): 40 * MB}, uses="raw"),
        step({("raw",): 40 * MB}, wall=idle),
    ]


def test_bytes_that_stay_idle_for_most_of_the_run_are_advice() -> None:
    found = report(notebook(idle_steps(8.0)), *[script(*idle_steps(8.0))] * 2)
    (finding,) = found.findings
    assert (finding.code, finding.status) == ("MP602", "advice")
    assert "del raw" in finding.fix
    assert not found.fails
    assert found.contrast.verdict.kind == "clean"
    (row,) = found.contrast.holders
    assert row.notebook is not None
    assert row.notebook.byte_seconds == pytest.approx(8 * 40 * MB)


@pytest.mark.parametrize("idle", [1.5, 0.0])
def test_bytes_that_are_idle_for_less_than_half_of_the_run_are_not(idle: float) -> None:
    assert report(notebook(idle_steps(idle)), *[script(*idle_steps(idle))] * 2).findings == []


def test_a_run_of_a_moment_has_no_lifetime_tax() -> None:
    steps = [
        step({("raw",): 40 * MB}, binds="raw", wall=0.001),
        step({("raw",): 40 * MB}, wall=0.2),
    ]
    assert report(notebook(steps), *[script(*steps)] * 2).findings == []


def test_a_leaking_script_is_named_and_fails() -> None:
    leaks = script(*clean_steps())
    leaks.snapshots[-1].groups[0].via = ["traceback", "frame"]
    found = report(notebook(*[clean_steps()] * 4), leaks, leaks)
    assert found.contrast.verdict.kind == "clean"
    assert found.contrast.verdict.script_leaks
    assert "etl.py itself keeps" in found.contrast.verdict.text
    assert [one.code for one in found.contrast.script.findings] == ["MP104"]
    assert found.fails
    assert "MP104" in render(found, "concise")


def test_what_outlives_the_script_is_named_and_fails() -> None:
    found = report(
        notebook(*[clean_steps()] * 4), *[script(*clean_steps())] * 2, left=("a child process",)
    )
    assert "etl.py leaves something behind: a child process" in found.contrast.verdict.text
    assert found.fails


def test_steps_are_aligned_by_the_hash_of_the_cell_and_the_rest_is_told() -> None:
    ours = notebook([step({}), step({}), step({})])
    theirs = script(step({}), step({}), step({}))
    for marker in theirs.markers:
        if marker.name == "cell 2":
            marker.hash, marker.name = "other", "cell 9"
    rows = report(ours, theirs, theirs).contrast.steps
    by_name = {row.name: row for row in rows}
    assert list(by_name) == ["cell 9", "cell 1", "cell 2", "cell 3"]
    assert by_name["cell 2"].wall.script is None
    assert by_name["cell 2"].wall.why == "the script has no lines that are this cell's"
    assert by_name["cell 9"].wall.first is None
    assert by_name["cell 9"].wall.why == "no cell has these lines"
    assert by_name["cell 3"].wall.script is not None


def test_a_cell_within_a_cell_is_no_step_of_its_own() -> None:
    found = notebook([step({("df",): 40 * MB}, binds="df"), step({("df",): 40 * MB}, uses="df")])
    start, end = (one for one in found.markers if one.cell == 2)
    end.seconds = None  # what ran inside has taken the hook's notes along
    inner = [msgspec.structs.replace(one, cell=None, t=start.t + 1) for one in (start, end)]
    place = found.markers.index(start) + 1
    found.markers[place:place] = inner
    told = report(found, *[script(*clean_steps()[:2])] * 2).contrast
    assert [row.name for row in told.steps] == ["cell 1", "cell 2"]
    assert told.steps[1].wall.first == pytest.approx(1.0)


def test_a_step_without_a_snapshot_is_not_measured_and_never_zero() -> None:
    steps = [step(None), step({("df",): 40 * MB}, binds="df")]
    found = report(notebook(steps), *[script(*steps)] * 2)
    live = found.contrast.steps[0].live
    assert (live.first, live.script, live.judgement) == (None, None, "not compared")
    assert live.why == "no snapshot was taken between these steps"
    assert " – " in render(found)


@pytest.mark.parametrize(
    ("first", "script_runs", "judgement"),
    [
        (10.0, [9.0, 10.0, 12.0], "no difference"),
        (12.9, [9.0, 10.0, 12.0], "no difference"),  # within the script's own range
        (14.0, [9.0, 10.0, 12.0], "more"),
        (6.0, [9.0, 10.0, 12.0], "less"),
        (10.9, [10.0, 10.0, 10.0], "no difference"),  # under the floor of 10 %
        (11.2, [10.0, 10.0, 10.0], "more"),
        (0.05, [0.01, 0.01], "no difference"),  # under 50 ms
        (14.0, [10.0], "not compared"),  # one run has no range
    ],
)
def test_a_difference_inside_the_noise_is_none(
    first: float, script_runs: list[float], judgement: str
) -> None:
    assert measure("wall", "seconds", first, [], script_runs).judgement == judgement


def test_later_rounds_that_differ_are_noise_for_times() -> None:
    assert measure("wall", "seconds", 14.0, [4.0, 10.0], [10.0, 10.0]).judgement == "no difference"
    assert measure("wall", "seconds", 14.0, [9.5, 10.0], [10.0, 10.0]).judgement == "more"


def test_json_has_the_report_and_the_contrast() -> None:
    found = report(notebook(*growing(20 * MB, 4)), *[script(step({("rows",): 20 * MB}))] * 3)
    told = msgspec.json.decode(render(found, "json"))
    assert told["version"] == 1
    assert {"recording", "account", "findings", "not_measured", "overhead"} <= told.keys()
    assert told["contrast"].keys() == {
        "verdict", "steps", "totals", "rounds", "growth", "holders", "script", "suggestions",
    }  # fmt: skip
    assert told["contrast"]["rounds"][1]["growth"] == 20 * MB
    assert msgspec.convert(told, ContrastReport) == found


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_text_keeps_to_the_width(width: int) -> None:
    found = report(notebook(*growing(20 * MB, 4)), *[script(step({("rows",): 20 * MB}))] * 3)
    text = render(found, "text", width=width)
    assert text.startswith("etl.ipynb")
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("name", ["\x1b[31m", "[red]x[/]", "<script>", "a\nb"])
def test_a_name_that_would_act_stays_text(name: str) -> None:
    steps = [[step({(name,): 20 * MB * n}, uses=name)] for n in range(1, 5)]
    found = report(notebook(*steps), *[script(step({}))] * 3)
    text = render(found, "text", width=120)
    assert "\x1b" not in text
    assert "[red]" in text or "[red]" not in name
