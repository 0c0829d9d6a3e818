"""A script made of a notebook: each code cell one block, below a comment with its number.

Cells are numbered as they are executed from top to bottom: by their order among the code cells
that are not empty. Running the script does the notebook's work without IPython.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets.magics import Translated, transformed, translate
from memprobe_probes.names import CellNames, of_cell, source_hash

OUTPUT_NAME = re.compile(r"^(_|__|___|_\d+|_i+|_i\d+|In|Out|_ih|_oh)$")
DISPLAY = 'def display(*objects, **options):\n    print(*objects, sep="\\n")\n'


@dataclass(frozen=True)
class Cell:
    """A code cell: its number, source as IPython compiles it, and the hash markers have of it."""

    number: int
    source: str
    hash: str

    @property
    def name(self) -> str:
        """What its step is called."""
        return f"cell {self.number}"


@dataclass(frozen=True)
class Start:
    """Where a step begins in a script, and the cell it belongs to."""

    line: int
    name: str
    hash: str

    def plain(self) -> list[Any]:
        """Return it as the probe reads it."""
        return [self.line, self.name, self.hash]


@dataclass
class Script:
    """A script's source and its steps; ``notes`` are (what, why) of what is not in it."""

    source: str
    starts: list[Start] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def cells_of(notebook_cells: list[Any], notebook: Path) -> list[Cell]:
    """Return the numbered cells. Raises TargetError without IPython."""
    try:
        sources = [transformed(cell.source) for cell in notebook_cells]
    except ImportError as error:
        raise TargetError(
            f"cannot derive a script from {notebook}",
            cause=f"IPython is missing: {error}",
            remedy="pip install ipykernel",
            docs="verbs/contrast.md",
        ) from error
    return [
        Cell(number, source, source_hash(source)) for number, source in enumerate(sources, start=1)
    ]


def derive(notebook_cells: list[Any], notebook: Path) -> Script:
    """Return the script of a notebook's code cells. Raises TargetError without IPython."""
    cells = cells_of(notebook_cells, notebook)
    blocks = [translate(raw.source, may_raise=_may_raise(raw)) for raw in notebook_cells]
    script = Script("")
    lines = _head(notebook, cells, blocks)
    for cell, block in zip(cells, blocks):
        lines += ["", f"# {cell.name}"]
        script.starts.append(Start(len(lines), cell.name, cell.hash))
        lines += block.source.splitlines()
        script.notes += [(f"{what} in {cell.name}", why) for what, why in block.left_out]
        script.notes += _history(cell)
    script.source = "\n".join(lines) + "\n"
    return script


def _head(notebook: Path, cells: list[Cell], blocks: list[Translated]) -> list[str]:
    name = "".join(char if char.isprintable() else "?" for char in notebook.name)
    lines = [f"# Derived from {name} by memprobe contrast: one block per code cell."]
    futures = sorted({future for block in blocks for future in block.futures})
    if futures:
        lines.append(f"from __future__ import {', '.join(futures)}")
    if _needs_display([of_cell(cell.source) for cell in cells]):
        lines += ["", *DISPLAY.splitlines()]
    return lines


def _needs_display(found: list[CellNames]) -> bool:
    """Whether a cell uses IPython's ``display`` without importing it."""
    used = any("display" in names.used for names in found)
    return used and not any("display" in names.bound for names in found)


def _history(cell: Cell) -> list[tuple[str, str]]:
    found = of_cell(cell.source)
    read = sorted(name for name in found.used - set(found.bound) if OUTPUT_NAME.match(name))
    why = "a script keeps no history of outputs"
    return [(f"`{', '.join(read)}` in {cell.name}", why)] if read else []


def _may_raise(cell: Any) -> bool:
    return "raises-exception" in cell.get("metadata", {}).get("tags", [])
