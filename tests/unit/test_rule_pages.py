"""The pages of the rules: complete, current, and shown by ``memprobe explain``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import memprobe

from memprobe.detectors import DETECTORS, pages
from memprobe.detectors.selection import chosen
from memprobe.errors import UsageError

FOLDER = Path(__file__).parents[2] / "docs" / "rules"
SECTIONS = (
    "## What it means",
    "## Why it matters",
    "## Example",
    "## Use instead",
    "## When it does not fire",
)


def test_the_pages_in_docs_are_those_the_docstrings_make() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert written == pages.files(DETECTORS), "run: python -m memprobe.detectors.pages docs/rules"


def test_the_generator_writes_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memprobe.detectors.pages", str(tmp_path / "rules")]
    subprocess.run(command, check=True, timeout=60)
    names = {path.name for path in (tmp_path / "rules").iterdir()}
    assert names == {"README.md", *(f"{rule.code}.md" for rule in DETECTORS)}


@pytest.mark.parametrize("rule", DETECTORS, ids=lambda rule: rule.code)
def test_every_rule_explains_itself_in_the_same_order(rule: pages.Rule) -> None:
    page = pages.page(rule)
    places = [page.find(section) for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)


def test_codes_and_names_are_unique_and_in_order_of_precedence() -> None:
    assert len({rule.code for rule in DETECTORS}) == len(DETECTORS)
    assert len({rule.name for rule in DETECTORS}) == len(DETECTORS)


def test_explain_shows_the_page_of_a_code_or_a_name() -> None:
    by_code, by_name = memprobe("explain", "mp201"), memprobe("explain", "output-history")
    assert by_code.returncode == 0
    assert by_code.stdout == by_name.stdout
    assert "What it means" in by_code.stdout
    assert "\x1b" not in by_code.stdout


def test_explain_without_a_rule_lists_all() -> None:
    shown = memprobe("explain").stdout
    assert all(rule.code in shown and rule.name in shown for rule in DETECTORS)


@pytest.mark.parametrize("asked", ["MP210", "output-histori", "MP999", "", "\x1b[2J"])
def test_an_unknown_rule_is_an_error_with_the_near_ones(asked: str) -> None:
    done = memprobe("explain", asked)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no rule" in done.stderr
    assert "did you mean" in done.stderr or "memprobe explain" in done.stderr
    assert "\x1b" not in done.stderr


def codes(select: list[str], ignore: list[str]) -> list[str]:
    return [rule.code for rule in chosen(DETECTORS, select, ignore)]


def test_rules_are_chosen_by_code_by_prefix_and_by_name() -> None:
    everything = [rule.code for rule in DETECTORS]
    assert codes([], []) == everything
    assert codes(["MP2"], []) == [code for code in everything if code.startswith("MP2")]
    assert codes(["output-history"], []) == ["MP201"]
    assert codes(["mp2"], ["MP201"]) == [code for code in codes(["MP2"], []) if code != "MP201"]
    assert codes(["MP201"], ["MP2"]) == []


@pytest.mark.parametrize("word", ["MP9", "", "history", "MP2011"])
def test_choosing_a_rule_that_does_not_exist_is_an_error(word: str) -> None:
    with pytest.raises(UsageError, match="there is no rule"):
        chosen(DETECTORS, [word], [])
    with pytest.raises(UsageError, match="there is no rule"):
        chosen(DETECTORS, [], [word])
