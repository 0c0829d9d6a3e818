"""Which rules run: ``--select`` and ``--ignore`` by code, prefix of a code, or name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from memprobe.errors import UsageError


class Named(Protocol):
    """What a selection needs of a rule."""

    code: str
    name: str


Rule = TypeVar("Rule", bound=Named)


def chosen(rules: Sequence[Rule], select: Iterable[str], ignore: Iterable[str]) -> list[Rule]:
    """Return the rules that ``select`` names (none named: all) and ``ignore`` does not, in order.

    Raises UsageError for a word that names no rule: a typing error must not switch a gate off.
    """
    wanted, unwanted = list(select), list(ignore)
    for word in (*wanted, *unwanted):
        if not any(_names(word, rule) for rule in rules):
            raise _unknown(word, rules)
    return [
        rule
        for rule in rules
        if (not wanted or any(_names(word, rule) for word in wanted))
        and not any(_names(word, rule) for word in unwanted)
    ]


def near(word: str, rules: Iterable[Named]) -> list[str]:
    """Return the codes and names that ``word`` may have been meant for."""
    known = [text for rule in rules for text in (rule.code, rule.name)]
    found = difflib.get_close_matches(word.upper(), known, n=3)
    return found + difflib.get_close_matches(word.lower(), known, n=3)


def _names(word: str, rule: Named) -> bool:
    return bool(word) and (rule.code.startswith(word.upper()) or rule.name == word.lower())


def _unknown(word: str, rules: Sequence[Named]) -> UsageError:
    meant = near(word, rules)
    return UsageError(
        f"there is no rule {word}",
        remedy=f"did you mean {' or '.join(meant)}?" if meant else "list them: memprobe explain",
        docs="rules/README.md",
    )
