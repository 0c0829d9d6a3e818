"""The labelled scenarios: well formed, judged right, and four of them from end to end.

All of them run in ``make accuracy``.
"""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[2] / "scenarios"
sys.path.insert(0, str(SCENARIOS))

import harness  # noqa: E402
import make_notebooks  # noqa: E402
from accuracy import page, runner, spark  # noqa: E402
from accuracy.bounds import highest_share, lowest_share  # noqa: E402
from accuracy.judge import judge  # noqa: E402
from accuracy.scenario import Case, Scenario, cases, fits, load, problems, scenarios  # noqa: E402
from accuracy.tally import tally  # noqa: E402

ALL = scenarios(SCENARIOS)
QUICK = [
    "traceback-failed-cell/leaky.ipynb",
    "output-shown-frame/leaky.ipynb",
    "stale-unused-frame/leaky.ipynb",
    "stale-unused-frame/clean-through-function.ipynb",
]


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_every_scenario_folder_is_well_formed(scenario: Scenario) -> None:
    assert list(problems(scenario)) == []


@pytest.mark.parametrize("rule", ["MP101", "MP102", "MP104", "MP106", "MP201", "MP202", "MP204"])
def test_every_rule_has_at_least_three_leaky_programs(rule: str) -> None:
    assert sum(scenario.rule == rule and bool(scenario.expected) for scenario in ALL) >= 3


@pytest.mark.parametrize("rule", [f"MP40{number}" for number in range(1, 9)])
def test_every_rule_on_spark_has_a_leaky_program(rule: str) -> None:
    assert any(scenario.rule == rule and bool(scenario.expected) for scenario in ALL)


@pytest.mark.parametrize(("folder", "fewest"), [("ordinary", 20), ("spark-ordinary", 15)])
def test_there_are_enough_ordinary_programs(folder: str, fewest: int) -> None:
    assert len(cases(load(SCENARIOS / folder))) >= fewest


def test_notebooks_are_kept_without_outputs_and_as_the_generator_writes_them() -> None:
    notebooks = sorted(SCENARIOS.rglob("*.ipynb"))

    assert {str(path): make_notebooks.untidy(path) for path in notebooks} == {
        str(path): None for path in notebooks
    }


def test_a_notebook_with_an_output_is_not_tidy(tmp_path: Path) -> None:
    path = tmp_path / "shown.ipynb"
    source = tmp_path / "shown.py"
    source.write_text("# %% one\n1 + 1\n")
    make_notebooks.write(str(source), str(path))
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 3'))

    assert make_notebooks.untidy(path) == "it holds outputs"


def test_a_folder_without_a_twin_or_a_fix_is_noticed(tmp_path: Path) -> None:
    source = (SCENARIOS / "output-view" / "scenario.toml").read_text()
    (tmp_path / "scenario.toml").write_text(source.replace("fix =", "former ="))
    (tmp_path / "leaky.ipynb").write_text("{}")

    found = list(problems(load(tmp_path)))

    assert found == ["it has no clean twin", "a leaky notebook needs a fix"]


def test_bytes_in_two_places_are_noticed(tmp_path: Path) -> None:
    source = (SCENARIOS / "spark-stale-view" / "scenario.toml").read_text()
    other = source[source.index("[[expected]]") :].replace("executors", "driver-jvm")
    (tmp_path / "scenario.toml").write_text(source + other)
    for name in ("leaky.ipynb", "clean.ipynb"):
        (tmp_path / name).write_text("{}")

    found = list(problems(load(tmp_path)))

    assert found == ["the bytes of one scenario are measured in one place"]


def test_a_rule_that_promises_nothing_is_held_to_it() -> None:
    case = _case("spark-storage-full", leaky=True)
    finding = _right_finding(case)

    nothing = judge(case, _report(finding))
    something = judge(case, _report(finding | {"reclaim": {"bytes": 50_000_000}}))

    assert nothing.good
    assert something.off


def test_a_scenario_on_spark_says_that_it_needs_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "missing", lambda: "java")
    scenario = load(SCENARIOS / "spark-stale-view")

    chosen, skipped = harness.choose(["spark-stale-view"])

    assert scenario.missing() == "java"
    assert chosen == []
    assert skipped == ["spark-stale-view (needs java)"]


def test_a_process_that_outlives_its_program_is_told_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spark, "PATIENCE", 0)
    left: list[subprocess.Popen[bytes]] = []

    with pytest.raises(TimeoutError, match=r"left running: \w+"):
        _leave_running(left)

    assert left[0].wait(30) == -signal.SIGKILL
    left[0].stdout.close()


def _leave_running(left: list) -> None:
    program = "print(flush=True); import time; time.sleep(600)"
    with spark.marked(dict(os.environ)) as environment:
        line = [sys.executable, "-c", program]
        left.append(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE))
        left[0].stdout.readline()


def test_a_star_in_a_holder_is_the_only_wildcard() -> None:
    assert fits("Out[3]*", "Out[3]['sample']")
    assert not fits("Out[3]", "Out3")
    assert not fits("a.b", "axb")


def test_the_right_report_is_good() -> None:
    case = _case("output-shown-frame", leaky=True)

    verdict = judge(case, _report(_right_finding(case)))

    assert verdict.good
    assert verdict.found[0].exact
    assert verdict.found[0].error == 0


def test_a_finding_in_a_clean_program_is_a_false_positive() -> None:
    clean = _case("output-shown-frame", leaky=False)

    verdict = judge(clean, _report(_right_finding(_case("output-shown-frame", leaky=True))))

    assert len(verdict.false) == 1
    assert not verdict.good


def test_advice_in_a_clean_program_is_none() -> None:
    clean = _case("output-shown-frame", leaky=False)
    finding = _right_finding(_case("output-shown-frame", leaky=True)) | {"status": "advice"}

    assert judge(clean, _report(finding)).good


def test_a_missing_finding_is_a_miss() -> None:
    case = _case("output-shown-frame", leaky=True)

    verdict = judge(case, _report())

    assert verdict.missed == list(case.expected)
    assert not verdict.good


def test_the_right_code_about_another_object_is_a_miss_and_a_false_positive() -> None:
    case = _case("stale-unused-frame", leaky=True)
    other = _right_finding(case) | {"holders": [{"root": "notebook-namespace", "expr": "hours"}]}

    verdict = judge(case, _report(other))

    assert len(verdict.missed) == 1
    assert verdict.false == ["MP202 hours"]


@pytest.mark.parametrize("change", ["one too few", "one too many"])
def test_a_wrong_set_of_holders_is_noticed(change: str) -> None:
    case = _case("output-shown-frame", leaky=True)
    finding = _right_finding(case)
    if change == "one too few":
        finding["holders"].pop()
    else:
        finding["holders"].append({"root": "notebook-namespace", "expr": "by_carrier"})

    verdict = judge(case, _report(finding))

    assert len(verdict.wrong_holders) == 1
    assert not verdict.good


def test_bytes_outside_the_tolerance_are_noticed() -> None:
    case = _case("output-shown-frame", leaky=True)
    finding = _right_finding(case)
    finding["reclaim"]["bytes"] *= 2

    verdict = judge(case, _report(finding))

    assert verdict.found[0].error == pytest.approx(1.0)
    assert not verdict.good


def test_an_unexpected_code_in_a_leaky_program_counts_unless_it_is_allowed_there() -> None:
    case = _case("output-view", leaky=True)
    extra = _right_finding(case) | {"holders": [{"root": "notebook-namespace", "expr": "spread"}]}

    allowed = judge(case, _report(_right_finding(case), extra | {"code": "MP301"}))
    unexpected = judge(case, _report(_right_finding(case), extra | {"code": "MP202"}))

    assert allowed.good
    assert unexpected.false == ["MP202 spread"]


def test_a_report_without_a_snapshot_proves_nothing() -> None:
    report = _report() | {"recording": {"snapshots": 0}}

    verdict = judge(_case("output-shown-frame", leaky=False), report)

    assert verdict.broken == "no snapshot: the heap: too large"


def test_a_wrong_prediction_and_a_wrong_label_show_against_the_executed_fix() -> None:
    case = _case("output-shown-frame", leaky=True)
    verdict = judge(case, _report(_right_finding(case)))
    verdict.measured = case.expected[0].bytes // 2

    assert verdict.reclaim_error == pytest.approx(1.0)
    assert not verdict.good
    assert "mislabelled" in " ".join(page.troubles(verdict))


def test_the_figures_count_programs_and_findings() -> None:
    leaky, clean = _case("output-shown-frame", leaky=True), _case("output-view", leaky=False)
    right = _right_finding(leaky)
    verdicts = [
        judge(leaky, _report(right)),
        judge(leaky, _report()),
        judge(clean, _report(right)),
        judge(clean, _report()),
    ]

    counted = tally(verdicts)

    assert (counted.precision.hits, counted.precision.tries) == (1, 2)
    assert (counted.recall.hits, counted.recall.tries) == (1, 2)
    assert (counted.false_alarms.hits, counted.false_alarms.tries) == (1, 2)
    assert "**no**" in page.render(verdicts, [])


def test_no_false_alarm_in_n_allows_to_say_about_three_in_n() -> None:
    assert highest_share(0, 100) == pytest.approx(0.0295, abs=1e-4)
    assert lowest_share(100, 100) == pytest.approx(1 - 0.0295, abs=1e-4)
    assert highest_share(5, 5) == 1.0


@pytest.mark.parametrize("name", QUICK)
def test_a_scenario_from_end_to_end(name: str) -> None:
    (case,) = harness.choose([name])[0]

    verdict = runner.run(case)

    assert list(page.troubles(verdict)) == []


def _case(name: str, *, leaky: bool) -> Case:
    return next(case for case in cases(load(SCENARIOS / name)) if case.leaky == leaky)


def _right_finding(case: Case) -> dict:
    expected = case.expected[0]
    return copy.deepcopy(
        {
            "code": expected.code,
            "status": "leaking",
            "holders": [{"root": "any", "expr": expr} for expr in expected.holders],
            "reclaim": {"bytes": expected.bytes},
        }
    )


def _report(*findings: dict) -> dict:
    return {
        "recording": {"snapshots": 1},
        "findings": list(findings),
        "not_measured": [{"what": "the heap", "why": "too large"}],
    }
