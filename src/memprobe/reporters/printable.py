"""Making a user's name harmless to show: what a terminal or a parser would obey is spelled out."""

from __future__ import annotations

import unicodedata

# Cc control, Cf format (bidi overrides, zero width), Cs surrogate, Co private, Cn unassigned,
# Zl and Zp line and paragraph separators.
HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with each harmful character as ``\n``, ``\x1b``, ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in HARMFUL:
        return character
    return character.encode("unicode_escape").decode("ascii")
