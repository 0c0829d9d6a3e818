"""How a test with the marker is run: measured, repeated where growth is judged, then reported."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from memprobe.config import Config
from memprobe.marker import arguments
from memprobe.marker.measurement import Measurement
from memprobe.marker.verdict import Verdict, judge


class MarkedTests:
    """The hooks that only marked tests need. ``measured`` is that of the test that is running."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self.measured: Measurement | None = None
        self._refused: pytest.UsageError | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a marked test; every other one runs as ever."""
        if item.get_closest_marker("memprobe") is None:
            return None
        try:
            limits = arguments.read(item, self._settings)
        except pytest.UsageError as refused:
            self._refused = refused
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self._measure(item, nextitem, limits)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let a test whose marker is wrong fail before it starts."""
        refused, self._refused = self._refused, None
        if refused is not None:
            pytest.fail(str(refused), pytrace=False)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, None]:
        """Look before the first fixture of the test itself; what wider ones bring is not its own.

        Those of a wider scope come first, unless a test asks for one while it runs.
        """
        measured = self.measured
        if measured is None or measured.after:
            yield
        elif fixturedef.scope == "function":
            measured.begin()
            yield
        elif measured.before is None:
            yield
        else:
            with measured.not_its_own():
                yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Look before a test without fixtures of its own."""
        if self.measured is not None:
            self.measured.begin()

    def _measure(
        self, item: pytest.Item, nextitem: pytest.Item | None, limits: arguments.Limits
    ) -> list[pytest.TestReport]:
        measured = self.measured = Measurement(own=_functions(item))
        properties = list(item.user_properties)
        try:
            for number in range(1, limits.runs + 1):
                item.user_properties[:] = properties
                del item._report_sections[:]
                last = number == limits.runs
                # A round that is not the last leaves the fixtures of module and session alone.
                following: Any = nextitem if last else item.parent
                reports = runtestprotocol(item, log=False, nextitem=following)
                if not all(_went_well(report) for report in reports):
                    return self._unjudged(item, nextitem, reports, number, limits, last=last)
        finally:
            self.measured = None
        unmeasured_fails = self._settings.pytest_unmeasured == "fail"
        verdict = judge(measured, limits, unmeasured_fails=unmeasured_fails)
        return _judged(item, reports, verdict)

    def _unjudged(
        self, item: pytest.Item, nextitem: pytest.Item | None,
        reports: list[pytest.TestReport], number: int, limits: arguments.Limits, *, last: bool,
    ) -> list[pytest.TestReport]:  # fmt: skip
        """Return the reports of a test that failed or was skipped: its memory says nothing."""
        if number > 1:
            told = f"this was run {number} of {limits.runs}: growth= repeats the test"
            for report in reports:
                report.sections.append(("memprobe", told))
        if not last:
            reports[-1] = _left(item, nextitem, reports[-1])
        return reports


def _went_well(report: pytest.TestReport) -> bool:
    """Whether nothing was raised; a test that is expected to fail may do so by leaking."""
    return report.passed or str(report.longrepr).startswith("[XPASS(strict)]")


def _functions(item: pytest.Item) -> frozenset[int]:
    """Return the ids of the test's own function: frameworks keep their notes on it."""
    function = getattr(item, "function", None)
    return frozenset({id(function), id(getattr(function, "__func__", function))})


def _left(
    item: pytest.Item, nextitem: pytest.Item | None, report: pytest.TestReport
) -> pytest.TestReport:
    """Tear down what the next test does not share; return ``report``, or that of a failure."""
    call: Any = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown"
    )
    if call.excinfo is None:
        return report
    found: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return found


def _judged(
    item: pytest.Item, reports: list[pytest.TestReport], verdict: Verdict
) -> list[pytest.TestReport]:
    """Put the verdict into the reports of a test's last run."""
    if verdict.failure:
        reports = [_failed(item, one, verdict.failure) if one.when == "call" else one
                   for one in reports]  # fmt: skip
    for report in reports:
        report.user_properties.extend(verdict.properties)
    return reports


def _failed(item: pytest.Item, passed: pytest.TestReport, text: str) -> pytest.TestReport:
    """Return the report of a test that passed as one of a failure, as pytest itself makes it."""
    call: Any = pytest.CallInfo.from_call(lambda: pytest.fail(text, pytrace=False), when="call")
    call.duration = passed.duration
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report
