"""JUnit XML for CI: a test case for every finding, and one for every rule that found nothing.

A case fails where the finding fails the gate; advice passes and says so in ``system-out``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from memprobe.findings import Finding, Report
from memprobe.reporters.amounts import size
from memprobe.reporters.phrases import gives, headline, holders, location, program
from memprobe.reporters.printable import printable

Rule = tuple[str, str]  # code, name


def render(report: Report, rules: Iterable[Rule] | None = None) -> str:
    """Return one report as a JUnit document; ``rules`` are those that were run."""
    return render_all([report], rules)


def render_all(reports: Sequence[Report], rules: Iterable[Rule] | None = None) -> str:
    """Return a JUnit document with one suite per report."""
    known = list(_rules() if rules is None else rules)
    root = Element("testsuites", name="memprobe")
    for report in reports:
        _suite(root, report, known)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _text(root) + "\n"


def _text(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")


def _rules() -> list[Rule]:
    try:
        from memprobe.detectors import DETECTORS
    except ImportError:
        return []

    return [(rule.code, rule.name) for rule in DETECTORS]


def _suite(root: Element, report: Report, rules: list[Rule]) -> None:
    found = {finding.code for finding in report.findings}
    silent = [rule for rule in rules if rule[0] not in found]
    suite = SubElement(
        root,
        "testsuite",
        name=program(report.recording),
        tests=str(len(report.findings) + len(silent)),
        failures=str(sum(finding.fails for finding in report.findings)),
        errors="0",
        skipped="0",
        time=f"{report.recording.wall or 0:.3f}",
    )
    for finding in report.findings:
        _finding(suite, finding, report)
    for code, name in silent:
        SubElement(suite, "testcase", classname=code, name=f"{code} {name}", time="0")
    SubElement(suite, "system-out").text = _told(report)


def _finding(suite: Element, finding: Finding, report: Report) -> None:
    name = f"{finding.code} {finding.name} {location(finding, report.recording)}"
    case = SubElement(
        suite,
        "testcase",
        classname=printable(finding.code),
        name=printable(f"{name} {finding.fingerprint}".rstrip()),
        time="0",
    )
    body = _body(finding)
    if finding.fails:
        failure = SubElement(
            case,
            "failure",
            type=finding.status,
            message=f"{printable(finding.title)} ({size(finding.reclaim.bytes)})",
        )
        failure.text = body
    else:
        SubElement(case, "system-out").text = body


def _body(finding: Finding) -> str:
    lines = [
        ("held by", ", ".join(holders(finding))),
        ("why", printable(finding.why)),
        ("fix", printable(finding.fix)),
        ("gives", gives(finding)),
    ]
    return "\n".join(f"{label}: {text}" for label, text in lines if text)


def _told(report: Report) -> str:
    gaps = [
        f"not measured: {printable(gap.what)}: {printable(gap.why)}" for gap in report.not_measured
    ]
    return "\n".join([headline(report), *gaps])
