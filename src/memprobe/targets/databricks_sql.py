"""A ``%sql`` command as calls of ``spark.sql``: each statement once, the last result shown.

Databricks leaves that result in ``_sqldf``. Parameters are what widgets hold.
"""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
_WIDGET = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_QUOTES = ("'", '"', "`")


def as_python(text: str) -> str:
    """Return Python that runs the statements of ``text``; empty where there is none."""
    found = [one.strip() for one in statements(text)]
    lines = [f"_sqldf = spark.sql({_call(one)})" for one in found if _has_words(one)]
    return "\n".join([*lines, "_sqldf.show()"]) if lines else ""


def statements(text: str) -> list[str]:
    """Return the statements, separated by ``;`` outside of quotes and comments."""
    return ["".join(piece for piece, _ in part) for part in _split(text)]


def _split(text: str) -> list[list[tuple[str, bool]]]:
    """Return statements as (piece, whether it is code): quotes and comments are none."""
    parts: list[list[tuple[str, bool]]] = [[]]
    at = 0
    while at < len(text):
        end = _end_of_quote(text, at)
        if end > at:
            parts[-1].append((text[at:end], False))
            at = end
            continue
        if text[at] == ";":
            parts.append([])
        else:
            parts[-1].append((text[at], True))
        at += 1
    return parts


def _end_of_quote(text: str, at: int) -> int:
    """Return where the quote or comment that begins at ``at`` ends; ``at`` where none begins."""
    if text.startswith("--", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        end = text.find("*/", at)
        return len(text) if end < 0 else end + 2
    if text[at] not in _QUOTES:
        return at
    end = at + 1
    while end < len(text) and text[end] != text[at]:
        end += 2 if text[end] == "\\" else 1
    return min(end + 1, len(text))


def _has_words(statement: str) -> bool:
    code = "".join(piece for part in _split(statement) for piece, is_code in part if is_code)
    return bool(code.strip())


def _call(statement: str) -> str:
    """Return the arguments of ``spark.sql`` for a statement."""
    code = "".join(
        piece if is_code else " " for part in _split(statement) for piece, is_code in part
    )
    literal = _literal(statement)
    for name in dict.fromkeys(_WIDGET.findall(statement)):
        written = f"${{{name}}}"
        literal += f".replace({written!r}, dbutils.widgets.get({name!r}))"
    names = dict.fromkeys(_PARAMETER.findall(code))
    if not names:
        return literal
    values = ", ".join(f"{name!r}: dbutils.widgets.get({name!r})" for name in names)
    return f"{literal}, args={{{values}}}"


def _literal(statement: str) -> str:
    """Return a string literal that stays readable where it can."""
    if "\n" in statement and '"""' not in statement and "\\" not in statement:
        return f'"""{statement}"""' if not statement.endswith('"') else repr(statement)
    return repr(statement)
