"""The page of a day's report: how large it is, how long it takes to write, and to open."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from medians import FEWEST, interval

# The browser is driven as the tests drive it.
sys.path.append(str(Path(__file__).parents[1] / "tests" / "integration"))
import browser

LARGEST = 6.0  # MB
LONGEST = 2.0  # seconds
FIRST_PAINT = (
    "return performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)[0]"
)
VERSION = "return navigator.userAgentData.brands.map((one) => one.brand + ' ' + one.version)"


class Run(Protocol):
    """What writing a page took."""

    seconds: float
    peak: int


class Openings:
    """Seconds until everything was drawn, and until a reader saw something; why there are none."""

    def __init__(self, why: str | None = None) -> None:
        self.why = why
        self.drawn: list[float] = []
        self.painted: list[float] = []
        self.cpu: list[float] = []  # of the page's main thread, until everything was drawn
        self.browser = ""


def measured(page: Path, runs: int, folder: Path) -> Openings:
    """Open ``page`` in ``runs`` browsers, one after the other, each with an empty profile."""
    found = Openings(browser.missing())
    if found.why is not None:
        return found
    for number in range(runs):
        with browser.started(folder / f"profile-{number}") as driver:
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            found.drawn.append(browser.opened(driver, page))
            found.painted.append(float(driver.execute_script(FIRST_PAINT)) / 1000)
            found.cpu.append(_cpu(driver))
            named = [one for one in driver.execute_script(VERSION) if "Chromium" in one]
            found.browser = named[0] if named else "Chromium"
    return found


def _cpu(driver: Any) -> float:
    """Return the CPU seconds that the page's main thread has used."""
    read = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(one["value"] for one in read if one["name"] == "TaskDuration"))


def kept(page: Path, openings: Openings) -> bool:
    """Whether the page is as small and opens as fast as is the goal, as far as was measured."""
    fast = openings.why is not None or median(openings.drawn) <= LONGEST
    return fast and page.stat().st_size / 1e6 <= LARGEST


def section(written: Sequence[Run], page: Path, openings: Openings) -> str:
    """Return the part of the report about the page as Markdown."""
    size = page.stat().st_size / 1e6
    lines = [
        "",
        "## Its page",
        "",
        "The same with `--html`, in the same run; the page is opened from the disk by a Chromium "
        "that has just",
        "started with an empty profile, until all pictures are drawn.",
        "",
        "| | runs | median | 95 % interval | goal | |",
        "|---|---|---|---|---|---|",
        f"| size | 1 | {size:.1f} MB | – | under {LARGEST:.0f} MB | {_verdict(size, LARGEST)} |",
        _row("written, with the text report", [run.seconds for run in written]),
        *_opened(openings),
    ]
    if openings.why is not None:
        lines += ["", f"Opening it was not measured: {openings.why}."]
    else:
        lines += ["", f"Opened in {openings.browser}."]
    return "\n".join(lines) + "\n"


def _opened(openings: Openings) -> list[str]:
    if openings.why is not None:
        return []
    return [
        _row("opened: the text is there", openings.painted),
        _row("opened: everything is drawn", openings.drawn, LONGEST),
        _row("CPU time of that, main thread", openings.cpu),
    ]


def _row(what: str, seconds: Sequence[float], goal: float | None = None) -> str:
    middle = median(seconds)
    between = "–"
    if len(seconds) >= FEWEST:
        between = "{:.2f} to {:.2f} s".format(*interval(list(seconds)))
    aim, verdict = ("–", "") if goal is None else (f"under {goal:.0f} s", _verdict(middle, goal))
    return f"| {what} | {len(seconds)} | {middle:.2f} s | {between} | {aim} | {verdict} |"


def _verdict(value: float, goal: float) -> str:
    return "**met**" if value <= goal else "**missed**"
