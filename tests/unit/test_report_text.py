"""The reports of a synthetic analysis, letter by letter, and names that try to be more than names.

After a wanted change: ``python tests/unit/test_report_text.py`` writes tests/gold anew; read the
difference before you commit it.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

sys.path.insert(0, str(Path(__file__).parent))  # when run as a program
from synthetic_report import full_report, quiet_report, spark_report

from memprobe.findings import (
    Created,
    Finding,
    HeldObject,
    HolderRow,
    Holding,
    LastUse,
    NotMeasured,
    PathStep,
    Reclaim,
    Report,
    SparkBroadcastRow,
    SparkCacheRow,
    SparkExecutorRow,
    SparkJvm,
    SparkReport,
    SparkStreamRow,
)
from memprobe.reporters import FORMATS, concise, junit, markdown, render, text
from memprobe.reporters import json as json_reporter
from memprobe.reporters.amounts import duration, percent, rate, size, size_range

GOLD = Path(__file__).parents[1] / "gold"

PAGES: dict[str, Callable[[], str]] = {
    "report-80.txt": lambda: text.render(full_report(), width=80),
    "report-120.txt": lambda: text.render(full_report(), width=120),
    "report-80.ansi": lambda: text.render(full_report(), width=80, color=True),
    "report-quiet-80.txt": lambda: text.render(quiet_report(), width=80),
    "report-spark-80.txt": lambda: text.render(spark_report(), width=80),
    "report-spark-120.txt": lambda: text.render(spark_report(), width=120),
    "report-spark.md": lambda: markdown.render(spark_report()),
    "report-spark.json": lambda: json_reporter.render(spark_report()),
    "report.concise": lambda: concise.render(full_report()),
    "report.md": lambda: markdown.render(full_report()),
    "report.json": lambda: json_reporter.render(full_report()),
    "report.junit.xml": lambda: junit.render(full_report()),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_report_reads_exactly_so(name: str) -> None:
    assert PAGES[name]() == (GOLD / name).read_text(encoding="utf-8")


# What a name may try: rich markup, a terminal's escapes, HTML, tables, fences, characters XML
# forbids, a right-to-left override, a lone surrogate, a second line.
HOSTILE = [
    "[red]boo[/red]",
    "[/]",
    "[link=https://example.org]x[/link]",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "<script>alert(1)</script>",
    "a | b",
    "``` \n# heading",
    "`tick",
    "]]> <!-- &amp; \ufffe\uffff\x00",
    "\u202egnp.exe",
    "\ud800",
    "line\r\nline\u2028line",
    ":boom: **bold** __x__ <img src=x onerror=alert(1)>",
    "日本語の名前" * 12,
    "x" * 300,
    "",
]


def hostile_report(name: str) -> Report:
    """Return a report with ``name`` wherever a user's or a detector's text stands."""
    report = full_report()
    recording = report.recording
    recording.program = recording.python = recording.ended = recording.limit_source = name
    recording.cell_rows[1].error = name
    recording.libraries = {"pandas": name}
    held = HeldObject(type=name, name=name, length=3)
    report.findings = [
        Finding(
            code="MP201",
            name=name,
            status="leaking",
            title=name,
            context="notebook",
            object=held,
            holders=[Holding(root=name, expr=name), Holding(root=name, expr=name)],
            exclusive_bytes=1,
            shared_bytes=1,
            reclaim=Reclaim(bytes=1, low=1, high=2),
            created=Created(file=name, line=1),
            last_used=LastUse(cell=1),
            path=[PathStep(edge=name, type=name), PathStep(edge=name, type=name, cut=True)],
            why=f"why {name} `{name}`",
            fix=f"`{name}`",
            also=[name],
            fingerprint=name,
        )
    ]
    report.holders = [
        HolderRow(exprs=[name], roots=[name], object=held, exclusive_bytes=1, shared_bytes=1)
    ]
    report.not_measured = [NotMeasured(what=name, why=name)]
    report.spark = hostile_spark(name)
    return report


def hostile_spark(name: str) -> SparkReport:
    return SparkReport(
        app=name,
        version=name,
        master=name,
        caches=[
            SparkCacheRow(
                kind="dataframe", holders=[name], views=[name], table=name, memory=1, disk=1,
                created=Created(file=name, line=1),
            ),
            SparkCacheRow(kind="rdd", behind=[name]),
        ],
        executors=[SparkExecutorRow(id=name, used=1, max=2)],
        broadcasts=[SparkBroadcastRow(id=1, holders=[name], memory=1)],
        streams=[SparkStreamRow(id=name)],
        jvm=SparkJvm(heap_used=1, buffers={name: 1}),
    )  # fmt: skip


def obeyed(shown: str) -> list[str]:
    """Return the characters in ``shown`` that a terminal would obey instead of showing."""
    return [
        character
        for character in shown
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\n"
    ]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("output_format", ["text", "concise", "markdown", "junit"])
def test_a_name_never_acts(output_format: str, name: str) -> None:
    shown = render([hostile_report(name)], output_format, width=80)
    assert obeyed(shown) == []
    shown.encode("utf-8")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_sets_no_colour_of_its_own(name: str) -> None:
    colored = text.render(hostile_report(name), color=True)
    plain = text.render(hostile_report(name))
    # Blanks at a line's end may stand before the code that resets the colour.
    bare = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()
    assert "\x1b]" not in colored


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    for line in text.render(hostile_report(name), width=width).splitlines():
        assert cell_len(line) <= width


def test_markup_and_emoji_codes_in_names_are_shown_as_they_are() -> None:
    shown = text.render(hostile_report("[red]:boom:[/red]"), width=120)
    assert "↓ [red]:boom:[/red]" in shown


@pytest.mark.parametrize("name", HOSTILE)
def test_a_concise_report_keeps_one_line_per_finding(name: str) -> None:
    assert len(concise.render(hostile_report(name)).splitlines()) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_is_well_formed_whatever_the_names(name: str) -> None:
    document = junit.render(hostile_report(name))
    root = ElementTree.fromstring(document.encode("utf-8"))
    assert [case.get("classname") for case in root.iter("testcase")] == ["MP201", "MP104", "MP202"]


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_keeps_its_table_its_headings_and_no_html(name: str) -> None:
    page = markdown.render(hostile_report(name))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    # Holders, the account, Spark's caches, its executors and its broadcasts.
    bars = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert bars == [7] * 3 + [4] * 9 + [8] * 4 + [7] * 3 + [7] * 3
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 2
    rendered = _html(page)
    assert "<script" not in rendered
    assert "<img" not in rendered


def _html(page: str) -> str:
    # Old releases of rich bring another parser along.
    parser = pytest.importorskip("markdown_it").MarkdownIt
    return parser("commonmark", {"html": True}).enable("table").render(page)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "\ud800"])
def test_json_keeps_every_name_as_it_is(name: str) -> None:
    document = json.loads(json_reporter.render(hostile_report(name)))
    assert document["findings"][0]["object"]["name"] == name


def test_json_has_the_fields_of_the_contract() -> None:
    document = json.loads(json_reporter.render(full_report()))
    assert document["version"] == 1
    assert {"recording", "account", "findings", "not_measured", "overhead"} <= set(document)
    assert {"cpu_seconds", "cpu_share", "bytes", "pauses_ms"} <= set(document["overhead"])
    fields = (
        "code name status title context object holders exclusive_bytes shared_bytes reclaim "
        "created last_used growth path why fix release also fingerprint"
    )
    assert set(fields.split()) <= set(document["findings"][0])
    reclaim = {"bytes", "low", "high", "where", "basis", "at_once"}
    assert reclaim == set(document["findings"][0]["reclaim"])
    assert {"type", "edge"} <= set(document["findings"][0]["path"][0])


def test_several_reports_are_one_json_document_and_one_junit_document() -> None:
    both = [full_report(), quiet_report()]
    assert len(json.loads(render(both, "json"))["reports"]) == 2
    assert len(list(ElementTree.fromstring(junit.render_all(both).encode()))) == 2


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_report_with_nothing_known_renders_in_every_format(output_format: str) -> None:
    report = quiet_report()
    recording = report.recording
    recording.rss = recording.peak = recording.limit = recording.wall = None
    recording.timeline, recording.snapshots, recording.libraries = [], 0, {}
    report.findings = full_report().findings[:1]
    finding = report.findings[0]
    finding.holders, finding.path, finding.created, finding.last_used = [], [], None, None
    finding.fix = ""
    shown = render([report], output_format, width=80)
    assert "None" not in shown
    assert " 0 B" not in shown


def test_junit_is_not_green_where_no_snapshot_was_taken() -> None:
    report = quiet_report()
    report.recording.snapshots = 0
    suite = ElementTree.fromstring(junit.render(report).encode()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("skipped")) == ("3", "3")
    assert len(list(suite.iter("skipped"))) == 3


def test_junit_fails_where_the_gate_fails_and_passes_on_advice() -> None:
    root = ElementTree.fromstring(junit.render(full_report()).encode())
    failed = {
        str(case.get("name")).split()[0]: case.find("failure") is not None
        for case in root.iter("testcase")
    }
    assert failed == {"MP201": True, "MP104": True, "MP202": False}
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "not measured"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (640 * 2**20, "640.0 MiB"),
        (int(1.9 * 2**30), "1.9 GiB"),
        (5 * 2**40, "5.0 TiB"),
    ],
)
def test_sizes_have_one_decimal_and_the_unit_that_fits(count: int | None, shown: str) -> None:
    assert size(count) == shown


def test_durations_rates_and_shares_read_like_speech() -> None:
    assert [duration(value) for value in (None, 0.25, 1.0, 59.6, 184, 7500, 270_000)] == [
        "not measured",
        "0.25 s",
        "1.0 s",
        "1 min",
        "3 min 4 s",
        "2 h 5 min",
        "3 d 3 h",
    ]
    assert [rate(value) for value in (12.1 * 2**20, -(2.0**20), 2.0**17, 1000.0)] == [
        "+12.1 MiB/s",
        "−1.0 MiB/s",
        "+7.5 MiB/min",
        "+3.4 MiB/h",
    ]
    assert [percent(value) for value in (0, 0.0031, 0.016, 0.5, 0.9999)] == [
        "0 %",
        "0.31 %",
        "1.6 %",
        "50 %",
        "100 %",
    ]
    assert size_range(2**30, 2 * 2**30) == "1.0 to 2.0 GiB"
    assert size_range(900 * 2**20, 2**30) == "900.0 MiB to 1.0 GiB"


if __name__ == "__main__":
    GOLD.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        with open(GOLD / name, "w", encoding="utf-8", newline="") as file:
            file.write(page())
