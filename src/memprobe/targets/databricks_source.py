"""Databricks source notebooks: a ``.py`` file of commands, as cells that a plain kernel can run.

``# Databricks notebook source`` is its first line, ``# COMMAND ----------`` separates commands, and
lines of a command that is no plain Python begin with ``# MAGIC``. Commands that mean nothing
outside Databricks are left out, and told with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets.databricks_prelude import prelude
from memprobe.targets.databricks_sql import as_python as sql_as_python
from memprobe.targets.magics import INSTALLS

HEAD = "# Databricks notebook source"
SEPARATOR = re.compile(r"^# COMMAND -{5,}[ \t]*$", re.MULTILINE)
MAGIC = re.compile(r"^# MAGIC ?")
TITLE = re.compile(r"^# DBTITLE \d+,.*$")
NAME = re.compile(r"^%([a-zA-Z][\w-]*)[ \t]*(.*)$", re.DOTALL)
NO_CODE = ("md", "md-sandbox")
OTHER_LANGUAGES = {"scala": "it is Scala", "r": "it is R"}
DEEPEST = 10  # notebooks that %run each other


@dataclass
class SourceNotebook:
    """The code cells, as nbformat has them, and (what, why) of what is not among them."""

    cells: list[Any] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def is_source_notebook(path: str | Path) -> bool:
    """Whether a file is a Databricks notebook in source form."""
    if not str(path).endswith(".py"):
        return False
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().lstrip("\ufeff").rstrip() == HEAD
    except OSError:
        return False


def read_source(path: Path) -> SourceNotebook:
    """Return the cells of a source notebook. Raises TargetError for what cannot be read."""
    import nbformat

    found = SourceNotebook()
    sources = _sources(path, found, ())
    if sources:
        head, notes = prelude(sources)
        found.left_out += notes
        sources[0] = f"{head}\n{sources[0]}" if head else sources[0]
    make: Any = nbformat.v4.new_code_cell
    for number, source in enumerate(sources, start=1):
        # The same ids in every run: a new one each time would be another notebook.
        found.cells.append(make(source, id=f"command-{number}"))
    return found


def commands(text: str) -> list[str]:
    """Return the commands of a source notebook, without titles and without what is around them."""
    body = text.lstrip("\ufeff").partition("\n")[2]
    found = []
    for command in SEPARATOR.split(body.replace("\r\n", "\n")):
        lines = [line for line in command.split("\n") if not TITLE.match(line)]
        found.append("\n".join(lines).strip("\n"))
    return found


def _sources(path: Path, found: SourceNotebook, above: tuple[Path, ...]) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(
            f"cannot read the notebook {path}",
            cause=str(error).lower(),
            remedy="export it again as a source file",
            docs="verbs/run.md",
        ) from error
    sources = []
    for number, command in enumerate(commands(text), start=1):
        name = f"command {number}" + (f" of {path.name}" if above else "")
        source = _source(command, name, path, found, (*above, path.resolve()))
        if source.strip():
            sources.append(source)
    return sources


def _source(
    command: str, name: str, path: Path, found: SourceNotebook, above: tuple[Path, ...]
) -> str:
    """Return a command as Python, or nothing where it is none."""
    if not any(MAGIC.match(line) for line in command.split("\n")):
        return command
    lines = [MAGIC.sub("", line, count=1) for line in command.split("\n")]
    text = "\n".join(lines).strip("\n")
    matched = NAME.match(text.lstrip())
    if matched is None:
        return text
    magic, rest = matched[1].lower(), matched[2]
    if magic == "run":
        return _run(rest, name, path, found, above)
    translated = _translated(magic, rest, text)
    if isinstance(translated, str):
        return translated
    if translated is not None:
        found.left_out.append((f"%{magic}, {name}", translated[0]))
    return ""


def _translated(magic: str, rest: str, text: str) -> str | tuple[str] | None:
    """Return Python, (why there is none), or None for what is no code."""
    if magic in NO_CODE:
        return None
    if magic == "python":
        return rest.lstrip("\n")
    if magic == "sql":
        return sql_as_python(rest)
    if magic == "sh":
        return _shell(rest)
    if magic in ("pip", "conda"):
        return _without_installs(text)
    if magic == "fs":
        return ("only Databricks has its file system",)
    if magic in OTHER_LANGUAGES:
        return (OTHER_LANGUAGES[magic],)
    return text  # a magic of IPython's own


def _shell(rest: str) -> str | tuple[str]:
    script = rest.strip("\n")
    if any(INSTALLS.match(line) for line in script.split("\n")):
        return ("it installs packages",)
    return f"__import__('subprocess').run({script!r}, shell=True)"


def _without_installs(text: str) -> str | tuple[str]:
    """Return what else a command has beside lines that install packages."""
    lines = [line for line in text.split("\n") if not line.startswith(("%pip", "%conda"))]
    left = "\n".join(lines).strip("\n")
    return left or ("it installs packages",)


def _run(rest: str, name: str, path: Path, found: SourceNotebook, above: tuple[Path, ...]) -> str:
    """Return the cells of the notebook that ``%run`` names: it runs in the same namespace."""
    words = rest.split()
    target = words[0].strip("\"'") if words else ""
    other = _notebook_at(path.parent / target) if target else None
    if other is None:
        found.left_out.append((f"%run {target}, {name}", "there is no such notebook beside it"))
        return ""
    if other.resolve() in above or len(above) > DEEPEST:
        found.left_out.append((f"%run {target}, {name}", "it runs itself"))
        return ""
    if len(words) > 1:
        found.left_out.append((f"the arguments of %run {target}, {name}", "widgets keep defaults"))
    return "\n".join(_sources(other, found, above))


def _notebook_at(path: Path) -> Path | None:
    """Return the source notebook that a path without a suffix stands for."""
    for candidate in (path, path.with_name(f"{path.name}.py")):
        if candidate.is_file() and is_source_notebook(candidate):
            return candidate
    return None
