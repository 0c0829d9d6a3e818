"""Write a notebook from plain Python with ``# %%`` cells, or print one that way.

    python scenarios/make_notebooks.py write SOURCE.py NOTEBOOK.ipynb
    python scenarios/make_notebooks.py show NOTEBOOK.ipynb
    python scenarios/make_notebooks.py check [FOLDER]

A cell starts at ``# %% its-id``; ``[markdown]`` after the id makes it text, and ``[fails]`` marks
a cell that is meant to raise (notebook runners go on after it). Magics are written as they are
typed. Notebooks are kept without outputs, one JSON value per line, so that a diff is readable.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CELL = re.compile(r"^# %% *(?P<id>[A-Za-z0-9_-]+)(?P<flags>( \[\w+\])*)$")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def parse(text: str) -> list[tuple[str, str, str]]:
    """Return ``(id, flags, source)`` of every cell in the text."""
    cells: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        start = CELL.match(line)
        if start:
            cells.append((start["id"], start["flags"], []))
        elif cells:
            cells[-1][2].append(line)
        elif line.strip():
            raise ValueError(f"text before the first cell: {line!r}")
    return [(name, flags, "\n".join(lines).strip("\n")) for name, flags, lines in cells]


def notebook(text: str) -> nbformat.NotebookNode:
    """Return the notebook that the text describes, with the given cell ids."""
    cells = [_cell(*parsed) for parsed in parse(text)]
    info = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return new_notebook(cells=cells, metadata=info)


def _cell(name: str, flags: str, source: str) -> nbformat.NotebookNode:
    if "[markdown]" in flags:
        return new_markdown_cell(source, id=name)
    metadata = {"tags": ["raises-exception"]} if "[fails]" in flags else {}
    return new_code_cell(source, id=name, metadata=metadata)


def source_text(book: nbformat.NotebookNode) -> str:
    """Return a notebook as text with ``# %%`` cells: the inverse of ``notebook``."""
    parts = [f"# %% {cell.id}{_flags(cell)}\n{cell.source}\n" for cell in book.cells]
    return "\n".join(parts)


def _flags(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type == "markdown":
        return " [markdown]"
    return " [fails]" if "raises-exception" in cell.metadata.get("tags", []) else ""


def untidy(path: Path) -> str | None:
    """Return why this notebook's file is not as ``write`` leaves it, or None."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    if any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells):
        return "it holds outputs"
    if len({cell.id for cell in book.cells}) != len(book.cells):
        return "two cells have one id"
    try:
        again = notebook(source_text(book))
    except ValueError as error:
        return str(error)
    if nbformat.writes(again) + "\n" != path.read_text(encoding="utf-8"):
        return "it is not as make_notebooks.py writes it"
    return None


def write(source: str, target: str) -> int:
    """Write the notebook ``target`` from the file ``source``."""
    book = notebook(Path(source).read_text(encoding="utf-8"))
    Path(target).write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    return 0


def show(path: str) -> int:
    """Print a notebook as plain Python with ``# %%`` cells."""
    print(source_text(nbformat.read(path, as_version=4)), end="")
    return 0


def check(folder: str = str(Path(__file__).parent)) -> int:
    """Name every notebook below ``folder`` that is not tidy; 1 if there is one."""
    found = [(path, untidy(path)) for path in sorted(Path(folder).rglob("*.ipynb"))]
    wrong = [f"{path}: {reason}" for path, reason in found if reason]
    print("\n".join(wrong) or f"{len(found)} notebooks are tidy", file=sys.stderr)
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    """Run one of the three verbs."""
    verbs = {"write": write, "show": show, "check": check}
    if not arguments or arguments[0] not in verbs:
        print(__doc__, file=sys.stderr)
        return 2
    return verbs[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
