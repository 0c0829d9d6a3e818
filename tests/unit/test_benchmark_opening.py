"""The benchmark of a day's page: what it says of a goal, and of a browser that is not there."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import opening


@dataclass
class Run:
    seconds: float
    peak: int = 0


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "day.html").write_bytes(b"x" * 5_100_000)
    return tmp_path / "day.html"


def opened(*seconds: float) -> opening.Openings:
    found = opening.Openings()
    found.drawn, found.browser = list(seconds), "Chromium 1"
    found.painted = found.cpu = [0.2 for _ in seconds]
    return found


def test_it_tells_what_was_kept_and_what_was_missed(page: Path) -> None:
    text = opening.section([Run(1.0)] * 7, page, opened(*[2.5] * 7))

    assert "| size | 1 | 5.1 MB | – | under 6 MB | **met** |" in text
    assert (
        "| opened: everything is drawn | 7 | 2.50 s | 2.50 to 2.50 s | under 2 s | **missed** |"
        in text
    )
    assert "Opened in Chromium 1." in text


def test_a_page_that_opens_late_or_is_large_fails_the_benchmark(page: Path) -> None:
    assert opening.kept(page, opened(1.0, 1.9, 9.0))
    assert not opening.kept(page, opened(1.0, 2.1, 2.2))
    page.write_bytes(b"x" * 6_100_000)
    assert not opening.kept(page, opened(1.0))


def test_without_a_browser_it_says_that_nothing_was_opened(page: Path) -> None:
    text = opening.section([Run(1.0)], page, opening.Openings("there is no Chromium"))

    assert "Opening it was not measured: there is no Chromium." in text
    assert "opened:" not in text
    assert opening.kept(page, opening.Openings("there is no Chromium"))
