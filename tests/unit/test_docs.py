"""The documentation agrees with the code: pages exist, options and settings are all in them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from memprobe import manual
from memprobe.cli import VERBS
from memprobe.config import Config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PAGE = re.compile(r"[\w./-]+\.md")


def named_pages() -> Iterator[tuple[str, str]]:
    """Yield each page that an error names: ``docs="page.md"``, or ``docs=`` a constant DOCS…"""
    for source in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            for value in page_values(node):
                if isinstance(value, ast.Constant) and PAGE.fullmatch(str(value.value)):
                    yield source.name, str(value.value)


def page_values(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call):
        return [keyword.value for keyword in node.keywords if keyword.arg == "docs"]
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return [node.value] if any("DOCS" in name for name in names) else []
    return []


def test_every_page_that_an_error_names_exists() -> None:
    found = list(named_pages())
    assert len({page for _, page in found}) > 4
    assert [each for each in found if not (DOCS / each[1]).is_file()] == []


def test_explain_shows_every_page_that_an_error_names() -> None:
    known = manual.pages()
    for _, page in named_pages():
        name = manual.page_name(page)
        assert known[name] == DOCS / page if name else page == "rules/README.md"


def pages() -> list[Path]:
    return [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]


def test_no_link_between_pages_is_broken() -> None:
    broken = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in pages()
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def options(verb: str) -> set[str]:
    try:
        command = importlib.import_module(f"memprobe.cli.{verb}").command
    except ModuleNotFoundError:
        pytest.skip(f"memprobe {verb} is not part of this build")
    declared = (each for each in command.params if isinstance(each, click.Option))
    return {name for option in declared if not option.hidden for name in option.opts}


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_verbs_page_has_a_row_for_every_option_and_for_no_other(verb: str) -> None:
    page = (DOCS / "verbs" / f"{verb}.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `-")]
    documented = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(rows)))
    assert documented == options(verb)


def test_every_setting_is_documented_with_its_name() -> None:
    page = (DOCS / "configuration.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)`", page, re.M)
    assert rows == [field.name.replace("_", "-") for field in fields(Config)]


def test_the_changelog_names_every_verb() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [verb for verb in VERBS if f"memprobe {verb}`" not in text and verb != "demo"] == []


def test_the_readme_quotes_the_measured_accuracy() -> None:
    measured = (ROOT / "reports" / "accuracy.md").read_text().splitlines()
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## How accurate it is")[2].partition("\n## ")[0]
    quoted = [line for line in section.splitlines() if line.startswith("|")]
    assert len(quoted) > 4
    assert [line for line in quoted if line not in measured] == []


def test_the_picture_refers_to_nothing_outside_itself() -> None:
    picture = (DOCS / "images" / "report.svg").read_text()
    addresses = set(re.findall(r"https?://[^\"'\s<>)]*", picture))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "@import" not in picture
    assert "url(http" not in picture


def test_the_workflow_in_the_page_about_ci_is_yaml_with_steps_that_run() -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "ci.md").read_text(), re.S)
    workflow = yaml.safe_load(text)
    assert workflow[True] == "pull_request"  # YAML 1.1 reads the key `on` as true
    steps = workflow["jobs"]["memory"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    lines = [step["run"].split() for step in steps if step.get("run", "").startswith("memprobe ")]
    assert len(lines) == 2
    for _, verb, *words in lines:
        assert {word for word in words if word.startswith("-")} <= options(verb)
