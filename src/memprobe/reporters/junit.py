"""JUnit XML for CI: a test case for every finding, and one for every rule that found nothing.

A case fails where the finding fails the gate; advice passes and says so in ``system-out``. Where
no snapshot was taken the rules had nothing to judge: their cases are skipped, not green.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from memprobe.findings import Finding, Report
from memprobe.reporters.amounts import size
from memprobe.reporters.phrases import gives, headline, holders, location, program
from memprobe.reporters.printable import printable


def render(report: Report) -> str:
    """Return one report as a JUnit document."""
    return render_all([report])


def render_all(reports: Sequence[Report]) -> str:
    """Return a JUnit document with one suite per report."""
    root = Element("testsuites", name="memprobe")
    for report in reports:
        _suite(root, report)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _text(root) + "\n"


def _text(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")


def _suite(root: Element, report: Report) -> None:
    found = {finding.code for finding in report.findings}
    silent = [(code, name) for code, name in report.rules.items() if code not in found]
    blind = not report.recording.snapshots
    suite = SubElement(
        root,
        "testsuite",
        name=program(report.recording),
        tests=str(len(report.findings) + len(silent)),
        failures=str(sum(finding.fails for finding in report.findings)),
        errors="0",
        skipped=str(len(silent) if blind else 0),
        time=f"{report.recording.wall or 0:.3f}",
    )
    for finding in report.findings:
        _finding(suite, finding, report)
    for code, name in silent:
        case = SubElement(suite, "testcase", classname=code, name=f"{code} {name}", time="0")
        if blind:
            SubElement(case, "skipped", message="no snapshot was taken")
    SubElement(suite, "system-out").text = _told(report)


def _finding(suite: Element, finding: Finding, report: Report) -> None:
    # No cell number in the name: CI follows a case by its name from run to run.
    name = f"{finding.code} {finding.name} {finding.fingerprint}".rstrip()
    case = SubElement(
        suite,
        "testcase",
        classname=printable(finding.code),
        name=printable(name),
        time="0",
    )
    body = f"at: {location(finding, report.recording)}\n{_body(finding)}"
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
        *(("fix", printable(line)) for line in finding.fix.splitlines()),
        ("gives", gives(finding)),
    ]
    return "\n".join(f"{label}: {text}" for label, text in lines if text)


def _told(report: Report) -> str:
    gaps = [
        f"not measured: {printable(gap.what)}: {printable(gap.why)}" for gap in report.not_measured
    ]
    return "\n".join([headline(report), *gaps])
