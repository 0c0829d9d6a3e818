"""``@pytest.mark.memprobe(retained="50MB", growth="0")``: a test that leaks fails.

pytest loads this in every run of everybody who has memprobe installed, so it imports nothing and
measures nothing before a collected test has the marker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from memprobe.marker.protocol import MarkedTests

MARKER = (
    "memprobe(retained=SIZE, growth=SIZE, rounds=3): fail the test if it leaves more than "
    "retained behind, or if each of the repeated rounds adds more than growth"
)
_PLUGIN = "memprobe-marked-tests"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the rest where a test needs it."""
    config = session.config
    if not any(item.get_closest_marker("memprobe") for item in session.items):
        return
    if config.pluginmanager.has_plugin(_PLUGIN):
        return
    config.pluginmanager.register(_marked_tests(config), _PLUGIN)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Look between the end of the test's own fixtures and that of the wider ones.

    This is registered before the hooks of any conftest.py: it runs after theirs, and before
    pytest's own, which tears down what is left.
    """
    marked: MarkedTests | None = item.config.pluginmanager.get_plugin(_PLUGIN)
    if marked is None or marked.measured is None:
        return
    state = item.session._setupstate
    parent: Any = item.parent
    try:
        state.teardown_exact(parent)
    except BaseException:
        state.teardown_exact(nextitem)  # pytest's own turn does not come any more
        raise
    marked.measured.end_round()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was measured, where it leaked, and what could not be measured."""
    rows = list(_measured(terminalreporter.stats))
    if not rows:
        return
    terminalreporter.write_sep("=", "memprobe")
    verbose = terminalreporter.config.option.verbose > 0
    for failed, nodeid, told in rows:
        if failed or verbose or "memprobe.unmeasured" in told:
            terminalreporter.write_line(f"{_said(told)}  {nodeid}")
    leaks = sum(failed and "memprobe.unmeasured" not in told for failed, _, told in rows)
    blind = sum("memprobe.unmeasured" in told for _, _, told in rows)
    parts = [f"{len(rows)} measured", f"{leaks} over the limit", f"{blind} not measurable"]
    terminalreporter.write_line(", ".join(parts))


def _marked_tests(config: pytest.Config) -> MarkedTests:
    from memprobe import config as settings
    from memprobe.errors import MemprobeError
    from memprobe.marker.protocol import MarkedTests

    try:
        return MarkedTests(settings.load(config.rootpath))
    except MemprobeError as error:
        raise pytest.UsageError("\n".join(error.lines())) from None


def _measured(stats: dict[str, list[Any]]) -> Iterator[tuple[bool, str, dict[str, Any]]]:
    """Yield ``(failed, node id, properties)`` of every measured test."""
    for reports in stats.values():
        for report in reports:
            found = getattr(report, "user_properties", ())
            told = {name: value for name, value in found if str(name).startswith("memprobe.")}
            if told and report.when == "call":
                yield report.failed, report.nodeid, told


def _said(told: dict[str, Any]) -> str:
    if "memprobe.unmeasured" in told:
        return f"not measured: {told['memprobe.unmeasured']}"
    labels = (("memprobe.retained", "retained"), ("memprobe.growth", "growth per round"))
    return ", ".join(f"{label} {told[name]:,} B" for name, label in labels if name in told)
