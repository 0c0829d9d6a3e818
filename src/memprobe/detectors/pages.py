"""The page of a rule, made of its docstring: for ``memprobe explain`` and for ``docs/rules``.

``python -m memprobe.detectors.pages DIR`` writes one file per rule and an index.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

INDEX = "README.md"


class Rule(Protocol):
    """What a page needs of a detector: a code, a name and a docstring."""

    code: str
    name: str


def title(rule: Rule) -> str:
    """Return the first line of the rule's docstring, without its full stop."""
    return _docstring(rule).partition("\n")[0].rstrip(".")


def page(rule: Rule) -> str:
    """Return the rule's docstring as a Markdown page that ends in a newline."""
    return f"# {rule.code}: {rule.name}\n\n{_docstring(rule)}\n"


def index(rules: Iterable[Rule]) -> str:
    """Return the Markdown page that lists all rules."""
    rows = [f"| [{rule.code}]({rule.code}.md) | {rule.name} | {title(rule)} |" for rule in rules]
    head = ["# Rules", "", "| code | name | finds |", "|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def files(rules: Iterable[Rule]) -> dict[str, str]:
    """Return file name → text of every page in ``docs/rules``."""
    known = list(rules)
    return {INDEX: index(known), **{f"{rule.code}.md": page(rule) for rule in known}}


def write(folder: Path) -> None:
    """Write the pages of all rules into ``folder``; raises OSError where that fails."""
    from memprobe.detectors import DETECTORS

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(DETECTORS).items():
        (folder / name).write_text(text, encoding="utf-8")


def _docstring(rule: Rule) -> str:
    owner = rule if isinstance(rule, type) else type(rule)
    return (inspect.getdoc(owner) or "").strip()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
