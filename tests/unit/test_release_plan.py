"""What a release would cut for a finding, and which it refuses: from recordings in a few words."""

from __future__ import annotations

import pytest
from synthetic_report import full_report
from test_evidence import Cell, Held, idle, notebook, program

from memprobe.analysis.evidence import gather
from memprobe.analysis.release_choice import changes, chosen
from memprobe.analysis.release_plan import NotCut, add_cuts, cuts_of
from memprobe.config import Config
from memprobe.detectors import run
from memprobe.errors import UsageError
from memprobe.findings import Cut, Finding, Holding
from memprobe.recording.schema import Step
from memprobe.reporters import phrases, render


def judged(
    *cells: Cell, held: list[Held], code: str, types: dict[str, str] | None = None
) -> Finding:
    evidence = gather(notebook(*cells, held=held, types=types), Config())
    found = run(evidence)
    add_cuts(found, evidence)
    return next(one for one in found if one.code == code)


def says(finding: Finding) -> list[tuple[str, str]]:
    return [(cut.action, cut.says) for cut in finding.cuts]


def test_every_name_of_a_stale_object_is_deleted() -> None:
    found = judged(Cell("df other"), *idle(), held=[Held("df other")], code="MP202")
    assert found.release
    assert sorted(says(found)) == [("del", "del df"), ("del", "del other")]


def test_an_output_is_forgotten_in_each_of_its_places() -> None:
    evidence = gather(notebook(Cell(shows=True), *idle(), held=[Held("Out[1] _1 _@1")]), Config())
    (found,) = run(evidence)
    places = ["get_ipython().displayhook._", "get_ipython().user_ns_hidden['_1']",
              "get_ipython().last_execution_result.result"]  # fmt: skip
    found.holders += [Holding(root="ipython-output", expr=expr) for expr in places]
    add_cuts([found], evidence)
    assert set(says(found)) == {
        ("output", "del Out[1]"),
        ("output", "del _1"),
        ("output", "_ = ''"),
        ("output", "get_ipython().displayhook._ = ''"),
        ("output", "del get_ipython().user_ns_hidden['_1']"),
        ("output", "get_ipython().last_execution_result.result = None"),
    }


def test_the_last_exception_is_forgotten_in_each_of_its_places() -> None:
    places = "sys.last_value get_ipython().InteractiveTB.tb"
    found = judged(Cell(error="ValueError"), *idle(), held=[Held(places)], code="MP104")
    assert set(says(found)) == {
        ("traceback", "sys.last_value = None"),
        ("traceback", "get_ipython().InteractiveTB.tb = None"),
    }


def test_an_exception_that_is_kept_stays_and_loses_its_frames() -> None:
    path = (Step(type="traceback", edge=".__traceback__"), Step(type="frame", edge=".tb_frame"))
    held = [Held("error", via="traceback frame", path=path)]
    found = judged(Cell("error"), *idle(), held=held, code="MP104")
    assert says(found) == [("frames", "error.__traceback__ = None")]


def test_what_an_exception_complains_of_is_no_frame_of_it() -> None:
    path = (Step(type="list", edge=".obj"),)
    held = [Held("error", via="traceback", path=path)]
    found = judged(Cell("error"), *idle(), held=held, code="MP104")
    assert (found.release, found.cuts) == (False, [])
    assert "more than frames" in found.not_released


def test_nothing_of_a_script_is_released() -> None:
    evidence = gather(program(Held("df")), Config())
    finding = full_report().findings[0]
    with pytest.raises(NotCut, match="notebook that is running"):
        cuts_of(finding, evidence)


@pytest.mark.parametrize("code", ["MP303", "MP405", "MP407"])
def test_what_needs_code_or_a_decision_of_the_user_is_refused(code: str) -> None:
    evidence = gather(notebook(Cell("df"), *idle(), held=[Held("df")]), Config())
    finding = full_report().findings[0]
    finding.code = code
    with pytest.raises(NotCut):
        cuts_of(finding, evidence)


def test_a_generator_goes_with_its_name_and_a_coroutine_stays() -> None:
    held = [Held("batches", via="suspended-frame")]
    found = judged(
        Cell("batches"), *idle(), held=held, code="MP106", types={"batches": "generator"}
    )
    assert says(found) == [("del-generator", "del batches   (its finally and with blocks run)")]
    found = judged(
        Cell("batches"), *idle(), held=held, code="MP106", types={"batches": "coroutine"}
    )
    assert (found.release, found.cuts) == (False, [])
    assert "batches.close()" in found.not_released


def test_one_array_becomes_a_copy_under_all_names_and_other_views_stay() -> None:
    evidence = gather(notebook(Cell("row"), *idle(), held=[Held("row other")]), Config())
    found = full_report().findings[0]
    found.code = "MP301"
    found.holders = [Holding(root="notebook-namespace", expr=name) for name in ("row", "other")]
    assert evidence.snapshot is not None
    for number, holder in enumerate(evidence.snapshot.holders):
        holder.type, holder.object = "numpy.ndarray", number
    with pytest.raises(NotCut, match="copies"):
        cuts_of(found, evidence)
    for holder in evidence.snapshot.holders:
        holder.object = 1
    assert [(cut.action, cut.says) for cut in cuts_of(found, evidence)] == [
        ("copy-array", "row = row.copy()"), ("copy-array", "other = other.copy()"),
    ]  # fmt: skip
    found.cuts = []
    evidence.snapshot.holders[0].type = "pandas.Series"
    with pytest.raises(NotCut, match="copies"):
        cuts_of(found, evidence)


def test_a_holder_that_has_not_ended_makes_the_whole_finding_unreleasable() -> None:
    evidence = gather(notebook(Cell("df"), *idle(), held=[Held("df")]), Config())
    finding = full_report().findings[0]
    finding.code = "MP202"
    finding.holders = [
        Holding(root="notebook-namespace", expr="df"),
        Holding(root="frame", expr="work: df"),
    ]
    with pytest.raises(NotCut, match="work: df"):
        cuts_of(finding, evidence)


def test_one_finding_is_chosen_by_any_beginning_that_is_unique() -> None:
    report = full_report()
    for number, one in enumerate(report.findings):
        one.fingerprint, one.release = f"ab{number}234567890", True
    assert chosen(report, ["ab1", "ab12345"]) == [report.findings[1]]
    with pytest.raises(UsageError, match="beginning of 3"):
        chosen(report, ["ab"])
    with pytest.raises(UsageError, match="no finding ff"):
        chosen(report, ["ff"])
    with pytest.raises(UsageError, match="no finding "):
        chosen(report, [""])


def test_of_numbered_fingerprints_the_bare_one_is_meant_by_itself() -> None:
    report = full_report()
    for one, fingerprint in zip(report.findings, ("abcdef", "abcdef-2", "123456")):
        one.fingerprint, one.release = fingerprint, True
    assert chosen(report, ["abcdef"]) == [report.findings[0]]
    assert phrases.short(report.findings[0], report) == "abcdef"
    assert phrases.short(report.findings[1], report) == "abcdef-"


def test_a_finding_that_cannot_be_released_is_refused_with_the_line_to_type() -> None:
    report = full_report()
    one = report.findings[0]
    one.release, one.not_released, one.fix = False, "it has not ended", "left.close()"
    with pytest.raises(UsageError) as refused:
        chosen(report, [one.fingerprint])
    assert refused.value.cause == "it has not ended"
    assert "left.close()" in refused.value.remedy


def test_what_was_shown_and_is_another_thing_now_is_a_change() -> None:
    shown, now = full_report().findings[:1], full_report().findings[:1]
    assert changes(shown, now) == ""
    now[0].exclusive_bytes = shown[0].exclusive_bytes * 2
    assert "keeps" in changes(shown, now)
    now = full_report().findings[:1]
    now[0].cuts = [Cut(action="del", expr="df", says="del df")]
    assert "other references" in changes(shown, now)


@pytest.mark.parametrize("output_format", ["text", "markdown"])
def test_the_release_line_stands_only_where_it_can_be_typed(output_format: str) -> None:
    report = full_report()
    report.recording.ended = "detach"
    assert [one.release for one in report.findings].count(True) == 1
    assert render([report], output_format).count("memprobe release") == 1
    report.recording.ended = "exit"
    assert "memprobe release" not in render([report], output_format)
