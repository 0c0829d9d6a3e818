"""The scenarios of the comparison: ``cases.toml`` joined with each scenario's own table."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from accuracy import scenario as labelled

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = Path(__file__).with_name("cases.toml")


@dataclass(frozen=True)
class Case:
    """One leaky program and what a fair answer about it holds."""

    name: str  # the scenario's folder
    about: str
    program: Path
    type: str  # of the leaked object: pandas.DataFrame
    holders: tuple[str, ...]  # every reference that keeps it, as one would type it
    bytes: int
    cells: tuple[int, ...] = ()  # executions that made the object or came to hold it

    @property
    def short(self) -> str:
        """The type without its module."""
        return self.type.rpartition(".")[2]

    @property
    def digest(self) -> str:
        """Changes with the program and with the labels."""
        said = f"{self.type} {self.holders} {self.bytes} {self.cells}".encode()
        return hashlib.sha256(self.program.read_bytes() + said).hexdigest()[:12]


def cases() -> list[Case]:
    """Return the ten, in the order of the table."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return [
        case(one["scenario"], one["about"], one["type"], tuple(one["cells"]))
        for one in table["case"]
    ]


def case(name: str, about: str, kind: str, cells: tuple[int, ...] = ()) -> Case:
    """Return the case of the scenario called ``name``; it has exactly one expected finding."""
    scenario = labelled.load(labelled.FOLDER / name)
    (expected,) = scenario.expected
    (program,) = (path for path in scenario.folder.iterdir() if path.stem == "leaky")
    # IPython's own second copy of `_4` has no other name and goes together with it.
    holders = tuple(one for one in expected.holders if "user_ns_hidden" not in one)
    return Case(name, about, program, kind, holders, expected.bytes, cells)
