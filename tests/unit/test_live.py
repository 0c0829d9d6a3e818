"""The live screen without a target: what it shows of a report, and what its keys ask for."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_report import full_report, quiet_report, spark_report

from memprobe.cli import live as verb
from memprobe.cli import main
from memprobe.findings import Finding, ProcessAccount
from memprobe.live import panels
from memprobe.live.app import Ask, LiveApp

ENDS = [(1.0, 7), (2.0, 8)]


class Follower:
    """Stands in for the thread: keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.started = self.left = False

    def start(self) -> None:
        self.started = True

    def ask(self, verb: str, done: str, **arguments: Any) -> None:
        self.asked.append(verb)

    def leave(self) -> None:
        self.left = True


def shown(
    act: Callable[[LiveApp, Any], Awaitable[None]],
    release: Callable[[Finding], str] | None = None, size: tuple[int, int] = (140, 45),
) -> tuple[Follower, str]:  # fmt: skip
    """Run the app, let ``act`` press keys, and return the follower and the screen as text."""
    follower, screens = Follower(), []

    async def run() -> None:
        app = LiveApp(lambda app: follower, release, 0.25)  # type: ignore[arg-type, return-value]
        async with app.run_test(size=size) as pilot:
            await act(app, pilot)
            await pilot.pause()
            screens.append(app.export_screenshot())

    asyncio.run(run())
    return follower, text_of(screens[0])


def text_of(svg: str) -> str:
    """Return the words of an exported screen, line by line of what was drawn."""
    import html

    rows = re.findall(r"<text[^>]*>(.*?)</text>", svg)
    return "\n".join(html.unescape(row).replace("\xa0", " ") for row in rows)


async def draw(app: LiveApp, pilot: Any) -> None:
    app._draw(full_report(), ENDS)
    await pilot.pause()


def test_screen_shows_memory_findings_holders_and_keys() -> None:
    follower, text = shown(draw, release=lambda finding: "")
    assert follower.started
    report = full_report()
    for finding in report.findings:
        assert finding.code in text
        assert finding.title[:30] in text
    assert report.holders[0].exprs[0][:20] in text
    for words in ("who holds what", "findings", "account", "snapshot", "release", "quit"):
        assert words in text
    assert report.findings[0].why[:30] in text  # of the one under the cursor


def test_spark_is_shown_where_there_is_an_application_only() -> None:
    async def spark(app: LiveApp, pilot: Any) -> None:
        app._draw(spark_report(), [])

    assert "Spark storage" in shown(spark)[1]
    assert "Spark storage" not in shown(draw)[1]


def test_key_of_release_is_left_out_where_nothing_can_be_released() -> None:
    async def press(app: LiveApp, pilot: Any) -> None:
        await draw(app, pilot)
        await pilot.press("r")

    text = shown(press)[1]
    assert "release" not in text


def test_keys_ask_for_a_snapshot_and_a_collection_and_quit_leaves() -> None:
    async def press(app: LiveApp, pilot: Any) -> None:
        await pilot.press("s")
        await pilot.press("g")
        await pilot.press("q")

    follower, text = shown(press)
    assert follower.asked == ["snapshot", "collect"]
    assert follower.left
    assert "leaving" in text


@pytest.mark.parametrize(("key", "released"), [("y", True), ("n", False), ("escape", False)])
def test_release_asks_first(key: str, released: bool) -> None:
    done: list[str] = []

    async def press(app: LiveApp, pilot: Any) -> None:
        report = full_report()
        report.findings[0].release = True
        app._draw(report, ENDS)
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        assert done == []
        await pilot.press(key)
        await app.workers.wait_for_complete()

    def release(finding: Finding) -> str:
        done.append(finding.fingerprint)
        return "released"

    text = shown(press, release)[1]
    assert done == ([full_report().findings[0].fingerprint] if released else [])
    assert ("released" in text) is released


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (220, 70)])
def test_any_terminal_gets_a_whole_screen(size: tuple[int, int]) -> None:
    assert "findings" in shown(draw, size=size)[1]


def test_timeline_has_a_line_of_cells_below_the_curve() -> None:
    recording = quiet_report().recording
    recording.wall = 10.0
    recording.timeline = [[float(n), 1e8 * (1 + n)] for n in range(11)]
    lines = panels.timeline(recording, [(5.0, 3), (5.1, 4), (99.0, 5)], 71, 4).plain.split("\n")
    assert len(lines) == 6
    curve = [line[panels.LABEL + 1 :] for line in lines[:4]]
    assert all(len(line) == 60 for line in curve)
    assert curve[0].strip(" ")[-1] == "█"
    assert curve[3][0] != " "  # something is always resident
    assert lines[4].index("[3]") == panels.LABEL + 1 + 30
    assert "[4]" not in lines[4]  # no room beside the other
    assert lines[4].endswith("[5]")
    assert lines[5].endswith("10 s")


def test_account_is_bars_the_largest_first_and_none_is_said() -> None:
    process = ProcessAccount(
        pid=7, role="driver-python", rss=300, owned=0.5,
        buckets={"small": 100, "big": 200, "none": 0},
    )  # fmt: skip
    lines = panels.account([process], 80).plain.split("\n")
    assert lines[0].startswith("driver-python")
    assert [line.split()[0] for line in lines[1:]] == ["big", "small"]
    assert lines[1].count("█") == 2 * lines[2].count("█")
    assert "no account" in panels.account([], 80).plain


def test_names_cannot_move_the_cursor_and_long_ones_leave_room() -> None:
    report = full_report()
    report.holders[0].exprs = ["x" * 200 + "\x1b[2J", "y"]
    expression = panels.holders(report)[0][0]
    assert "\x1b" not in expression
    assert len(expression) < 40
    assert expression.endswith("+1")


def test_without_textual_one_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["live", "1"]) == 2
    assert "pip install 'memprobe-spark[live]'" in capsys.readouterr().err


def test_without_a_terminal_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "1"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_the_verb_imports_no_textual_before_it_is_called() -> None:
    source = Path(verb.__file__).read_text()
    assert "\nimport textual" not in source
    assert "\nfrom memprobe.live" not in source
