"""The HTML page: names stay names, data stay data, and what is missing is said."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from recording_lines import header, ramp, write
from synthetic_report import MIB, full_report, quiet_report, spark_report

from memprobe.cli.contrast import command as contrast_command
from memprobe.cli.report import command
from memprobe.contrasts import (
    CellEdit,
    Contrast,
    ContrastReport,
    EditReason,
    Life,
    Measure,
    OutputChange,
    RoundRow,
    ScriptSide,
    SparkRound,
    SparkStep,
    Spread,
    StepRow,
    Suggestions,
    Unsuggested,
    Verdict,
    Verified,
)
from memprobe.contrasts import HolderRow as HolderLife
from memprobe.errors import MemprobeError
from memprobe.findings import HolderRow, ProcessAccount, Report
from memprobe.histories import ContrastHistory, History, Series, Span, Stack
from memprobe.reporters import html
from memprobe.reporters.html.page import json_block, script

HOSTILE = "<script>hacked=1</script>"
NASTY = (
    HOSTILE,
    "</script><script>hacked=1</script>",
    '"><img src=x onerror=hacked=1>',
    "{{ 7 * 7 }}",
    "<!--",
    "&lt;b&gt;",
    "javascript:hacked=1",
)
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page, and the text that each kind of them has."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data.strip())

    def having(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


def history() -> History:
    return History(
        wall=10.0,
        rss=[[0.0, 1e8], [5.0, 3e8], [10.0, 2e8]],
        live=[[4.0, 5e7]],
        held=Stack(times=[4.0], names=["df"], values=[[5e7]]),
        processes=[Series(name="driver-jvm", points=[[1.0, 1e8]])],
        steps=[Span(name="cell 1", start=0.0, end=2.0), Span(name="cell 2", start=3.0)],
    )


def page(report: Report, told: History | None = None) -> Page:
    return Page(html.render([(report, told or history())]))


def hostile_report(name: str) -> Report:
    """Return a report with ``name`` wherever a user can put a name."""
    report = spark_report()
    full = full_report()
    report.findings, report.holders = full.findings, full.holders
    report.recording.program = report.recording.libraries["pandas"] = name
    report.recording.warnings = [name]
    report.recording.cell_rows[2].error = name
    for row in report.holders:
        row.exprs, row.object.type = [name, name], name
    for finding in report.findings:
        finding.title = finding.why = finding.fix = finding.fingerprint = name
        finding.object.type = name
        for holding in finding.holders:
            holding.expr = holding.root = name
        for step in finding.path:
            step.edge = step.type = name
        if finding.created is not None:
            finding.created.file, finding.created.cell = name, None
    for gap in full.not_measured:
        gap.what = gap.why = name
    report.not_measured = full.not_measured
    report.account.processes[0].buckets = {name: 5}
    assert report.spark is not None
    for cache in report.spark.caches or []:
        cache.holders, cache.table, cache.executors = [name], name, {"0": [5, 0]}
    for executor in report.spark.executors or []:
        executor.host = name
    return report


def hostile_history(name: str) -> History:
    told = history()
    told.held.names = [name]
    told.processes[0].name = name
    for step in told.steps:
        step.name = step.error = name
    return told


@pytest.mark.parametrize("name", NASTY)
def test_a_name_that_looks_like_markup_stays_text_everywhere(name: str) -> None:
    found = page(hostile_report(name), hostile_history(name))
    plain = "d--f" if "-" in name else "df"  # a dash is a space in the names of kinds
    usual = page(hostile_report(plain), hostile_history(plain))

    assert [tag for tag, _ in found.tags] == [tag for tag, _ in usual.tags]
    assert [set(a) for _, a in found.tags] == [set(a) for _, a in usual.tags]
    assert len(found.scripts) == 3
    assert found.texts.count(name) == usual.texts.count(plain) > 10
    assert found.open == []
    told = found.data["r0"]
    assert told["main"]["held"]["names"] == [name]
    assert {one["label"] for one in told["treemap"]} == {name}


def test_no_name_gets_into_an_attribute_that_acts() -> None:
    for name in NASTY:
        found = page(hostile_report(name), hostile_history(name))
        acting = [value for key in ("href", "src", "style", "id") for value in found.having(key)]
        assert not [value for value in acting if value is not None and name in value]
        assert not [key for _, attributes in found.tags for key in attributes if key[:2] == "on"]


def test_control_characters_and_turned_text_are_spelled_out() -> None:
    found = page(hostile_report("a\x1b[31m\u202eb\x00"), hostile_history("x\u2028y"))

    assert "\x1b" not in found.text
    assert "\\x1b[31m\\u202eb\\x00" in found.text
    assert found.data["r0"]["main"]["held"]["names"] == ["x\\u2028y"]


def test_json_in_the_page_ends_no_script_and_reads_as_it_was() -> None:
    value = {"</script>": ["<!--<script>", "&amp;", "\u2028\u2029", 'a"b\\c']}

    text = json_block(value)

    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_what_is_no_number_in_json_is_no_page() -> None:
    with pytest.raises(ValueError):
        json_block({"x": float("nan")})


def test_a_script_cannot_end_itself() -> None:
    assert script('a="</script><!-- <SCRIPT>";\r\n') == 'a="\\x3c/script>\\x3c!-- \\x3cSCRIPT>";\n'


def test_nothing_in_the_page_has_an_address() -> None:
    found = page(full_report())

    assert [link for link in found.having("href") if not (link or "").startswith("#")] == []
    assert found.having("src") == []
    assert [tag for tag, _ in found.tags if tag in ("link", "iframe", "object", "img")] == []
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_every_inner_link_has_its_target_and_no_id_is_there_twice() -> None:
    found = Page(html.render([(full_report(), history()), (spark_report(), history())]))
    ids = found.having("id")

    assert len(ids) == len(set(ids))
    targets = {(link or "")[1:] for link in found.having("href")}
    assert {"r0", "r1"} <= targets
    assert targets <= set(ids)
    for key in ("aria-labelledby", "aria-controls"):
        assert set(found.having(key)) <= set(ids)
        assert found.having(key)


def test_it_shows_what_the_text_report_shows() -> None:
    found = page(full_report()).text

    for part in (
        "2.1 GiB of 3.2 GiB can come back: 2 findings, 1 piece of advice",
        "MP201 output-history", "MP104", "stale-variable",
        "cell 7 ended in df : IPython keeps every displayed result, under 4 names",
        "%xdel _7", "1.9 GiB back (estimate, 1.8 to 2.0 GiB)",
        "Out[7] , _7 , _ , __ (all 4 must go)",
        "2 snapshots were skipped: over --max-pause",
        "0.42 s CPU (0.06 % of a core)", "80 % used", "cgroup", "1 min 6 s to the limit",
    ):  # fmt: skip
        assert part in found or part == "cgroup", part
    assert found.count("cut here") == 3


def test_the_retention_path_goes_from_the_root_to_the_object() -> None:
    found = page(full_report()).texts
    start = found.index("Retention path", found.index("suspect"))

    assert [text for text in found[start + 1 : start + 24] if text][:11] == [
        "last exception", "sys.last_value", "ValueError", "cut here", "__traceback__", "traceback",
        "tb_frame", "frame: train", "features", "numpy.ndarray", "50,000 × 512",
    ]  # fmt: skip


def test_what_was_not_measured_is_said_and_is_no_zero() -> None:
    report = quiet_report()
    report.recording.snapshots = 0
    report.recording.rss = report.recording.peak = report.recording.limit = None
    report.account.processes = [ProcessAccount(pid=7, role="driver-python")]

    found = page(report, History()).text

    assert "Nobody looked at what holds the memory: no snapshot was taken" in found
    assert "no snapshot was taken, so no rule could look" in found.lower()
    assert "Nothing was read over time" in found
    assert "Not accounted" in found
    assert "not measured RSS" in found
    assert "RSS at the end not measured Peak not measured Limit none known" in found
    assert not re.search(r"\b0 B\b|\bNone\b|nan", found)


def test_live_bytes_that_nobody_read_are_told_beside_the_picture() -> None:
    told = history()
    told.live = []

    assert "Live bytes were not read: no snapshot was taken" in page(full_report(), told).text


def test_the_account_has_each_bucket_where_there_are_any() -> None:
    report = full_report()
    report.account.processes = [
        ProcessAccount(
            pid=1, role="driver-python", rss=100 * MIB, explained=0.98, owned=0.7,
            buckets={"python-objects": 60 * MIB, "malloc-retained": 38 * MIB},
        )
    ]  # fmt: skip

    found = page(report).text

    assert "Python objects 60.0 MiB freed, kept by malloc 38.0 MiB" in found
    assert "60.0 MiB is live data and objects, 38.0 MiB is freed but kept by malloc" in found
    assert "70 % owned · 98 % explained" in found
    assert "Not accounted" not in found


def test_executors_are_drawn_by_cache_and_the_rest_is_told_apart() -> None:
    report = spark_report()
    assert report.spark is not None
    assert report.spark.caches is not None
    report.spark.caches[1].executors = {"0": [96 * MIB, 12 * MIB]}

    chart = page(report).data["r0"]["spark"]

    assert chart["executors"] == ["0", "1"]
    assert chart["segments"] == [
        {"name": "RDD 31 orders", "values": [96 * MIB, 0]},
        {"name": "other storage", "values": [(640 - 96) * MIB, 0]},
    ]


def test_a_holder_that_keeps_nothing_alone_has_no_tile_and_stays_in_the_table() -> None:
    report = full_report()
    report.holders[1].exclusive_bytes = 0

    found = page(report)

    assert [one["row"] for one in found.data["r0"]["treemap"]] == [0]
    assert "lookup" in found.texts


def test_a_tile_is_marked_with_the_finding_about_its_holder() -> None:
    first, second = page(full_report()).data["r0"]["treemap"]

    assert (first["status"], first["code"]) == ("leaking", "MP201")
    assert (second["status"], second["code"]) == ("none", "")


def test_more_findings_than_a_reader_takes_in_are_closed() -> None:
    report = full_report()
    report.findings = [report.findings[0]] * 8

    opened = [a for tag, a in page(report).tags if tag == "details"]

    assert ["open" in one for one in opened] == [True] * 5 + [False] * 3


def test_the_holders_of_the_history_are_shown_where_it_has_more() -> None:
    told = history()
    told.holders = [
        HolderRow(
            exprs=[f"row_{n}"], roots=["module"], object=full_report().holders[0].object,
            exclusive_bytes=n + 1, shared_bytes=0,
        )
        for n in range(30)
    ]  # fmt: skip
    told.holders_left_out = 7

    found = page(full_report(), told)

    assert "row_29" in found.texts
    assert "and 7 smaller holders" in found.text


def run(*arguments: str, verb=command):
    return CliRunner().invoke(verb, list(arguments), standalone_mode=False)


def test_it_is_written_beside_the_text_report(tmp_path) -> None:
    recording = write(tmp_path / "x.memprobe", header(program="x.ipynb"), *ramp(5, 1e8, 0))
    target = tmp_path / "x.html"

    done = run(str(recording), "--html", str(target), "--exit-zero")

    assert done.exception is None
    assert done.return_value == 0
    assert "x.ipynb" in done.stdout
    assert done.stderr == f"wrote {target}\n"
    assert "x.ipynb" in Page(target.read_text()).text


@pytest.mark.parametrize("module", ["plotly", "jinja2"])
@pytest.mark.parametrize("verb", [command, contrast_command])
def test_without_the_extra_one_error_says_what_to_install(module, verb, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)

    done = run(str(tmp_path / "x.ipynb"), "--html", str(tmp_path / "x.html"), verb=verb)

    assert isinstance(done.exception, MemprobeError)
    assert f"there is no {module} in this Python" in done.exception.cause
    assert done.exception.remedy == 'pip install "memprobe-spark[html]"'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--html", "-"), "writes a file"),
        (("--html", "no/such/folder/x.html"), "cannot write"),
        (("--html", "."), "cannot write"),
        (("--html", "x.html", "--holders"), "--holders shows a part"),
        (("--html", "x.html", "--graph", "df"), "--graph shows a part"),
        (("--html", "x.html", "--inside", "df"), "--inside shows a part"),
    ],
)
def test_where_no_page_can_be_written_it_is_said_before_anything_is_read(arguments, problem):
    done = run("no-such.memprobe", *arguments)

    assert isinstance(done.exception, MemprobeError)
    assert problem in done.exception.summary


def contrast_report(name: str) -> ContrastReport:
    """Return a contrast with everything a page shows, ``name`` wherever a user can put one."""
    told = hostile_report(name)
    live = Measure(
        name="live", unit="bytes", first=3.0 * MIB, judgement="more", difference=2.0 * MIB,
        later=Spread(median=1, low=1, high=2, runs=3), why=name,
        script=Spread(median=1.0 * MIB, low=MIB, high=MIB, runs=3),
    )  # fmt: skip
    step = SparkStep(jvm_cpu=live, workers_cpu=live, tasks=live, stored=live, jvm_rss=live)
    spark = SparkRound(stored=5 * MIB, why={"jvm_rss": name})
    life = Life(bytes=MIB, last_used=name, until=name)
    return ContrastReport(
        recording=told.recording, account=told.account, findings=told.findings,
        holders=told.holders, spark=told.spark, not_measured=told.not_measured,
        contrast=Contrast(
            verdict=Verdict(kind="notebook-keeps", text=name, type=[name]),
            steps=[StepRow(name=name, error=name, line=3, live=live, spark=step)],
            totals={"live": live, name: live},
            rounds=[RoundRow(round=n, live=MIB, why=name, spark=spark) for n in (1, 2)],
            holders=[
                HolderLife(name=name, object=told.holders[0].object, notebook=life, script=life)
            ],
            script=ScriptSide(
                program=name, processes=3, left=[name], findings=told.findings, spark=told.spark
            ),
            suggestions=Suggestions(
                edits=[CellEdit(cell=2, before=name, after=name, diff=f"@@ 1 @@\n-{name}\n+{name};",
                                reasons=[EditReason(code="MP201", fingerprint="ab", title=name,
                                                    bytes=MIB)])],
                left=[Unsuggested(code="MP601", fingerprint="cd", title=name, why=name)],
                verified=Verified(held_before=9 * MIB, held_after=MIB, gone=["ab"], failure=name,
                                  changed=[OutputChange(cell=4, what=name)]),
            ),
        ),
    )  # fmt: skip


def contrast_page(name: str) -> Page:
    told = hostile_history(name)
    histories = ContrastHistory(notebook=told, scripts=[told, told], shifts=[0.0, 5.0])
    return Page(html.render_contrast(contrast_report(name), histories))


@pytest.mark.parametrize("name", NASTY)
def test_in_a_contrast_a_name_that_looks_like_markup_stays_text(name: str) -> None:
    found, usual = contrast_page(name), contrast_page("df")

    assert [tag for tag, _ in found.tags] == [tag for tag, _ in usual.tags]
    assert [set(a) for _, a in found.tags] == [set(a) for _, a in usual.tags]
    assert len(found.scripts) == 3
    assert found.open == []
    ids = found.having("id")
    assert len(ids) == len(set(ids))


def test_a_contrast_has_both_sides_and_what_an_edit_would_do() -> None:
    found = contrast_page("history")

    for part in (
        "history and history", "2 rounds in one kernel", "3 fresh processes",
        "Spark in the notebook", "Spark in the script", "Findings in the script",
        "Left behind when its process had ended: history", "+history;", "-history",
        "held at the end 9.0 MiB 1.0 MiB", "It failed: history", "Cell 4: history.",
        "the source of the cells that edits are suggested for",
    ):  # fmt: skip
        assert part in found.text, part
    data = found.data["r0"]
    assert [one["key"] for one in data["views"]][:2] == ["contexts", "steps"]
    assert [one["rss"]["x"][0] for one in data["scripts"]] == [0.0, 5.0]


def test_nobody_asked_for_edits_and_no_source_is_in_the_page() -> None:
    report = contrast_report("secret_source")
    report.contrast.suggestions = None

    found = Page(html.render_contrast(report, ContrastHistory(notebook=History()))).text

    assert "Suggested edits" not in found
    assert "source of the cells" not in found


def test_a_finding_that_release_can_let_go_of_says_what_to_type() -> None:
    found = page(full_report()).text

    assert "memprobe release etl.ipynb 5b0c" in found
