"""What a scenario is: a folder with ``scenario.toml``, leaky programs and their clean twins.

    title    = "one line"
    rule     = "MP201"        # the rule it is about; "none" for ordinary programs
    needs    = ["pandas"]     # distributions, each with an optional lower bound: "pandas>=3"
    allowed  = ["MP301"]      # codes that a leaky program may be given beside the expected ones
    fix      = '''lines'''    # what the user types in one more cell to get the bytes back
    idle     = 2.0            # where it matters that nobody uses the notebook any more: seconds from
                              # which it counts as idle; memprobe then comes from outside, at the end

    [[expected]]              # one finding each; none of them where every program is clean
    code      = "MP201"
    holders   = ["Out[4]", "_4"]   # every reference that must be cut; * stands for any text
    optional  = ["sys.last_exc"]   # holders that exist on some versions only
    bytes     = 120_000_000        # what comes back, and the share by which it may differ
    tolerance = 0.03
    status    = "advice"      # where the finding is advice; without it one that fails a gate
    where     = "executors"   # what holds the bytes; without it driver-python, see fix.py

Programs are ``leaky.ipynb`` or ``leaky.py``, ``clean*.ipynb`` or ``clean*.py``; in ``ordinary/``
and ``spark-ordinary/`` every notebook and script is a clean one.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from . import spark

FOLDER = Path(__file__).resolve().parent.parent
# What is resident of a worker, or live in a heap, is known less exactly than what is stored.
WIDEST = {"driver-jvm": 0.3, "python-workers": 0.3, "child-processes": 0.15, "allocators": 0.15}
CODE = re.compile(r"MP\d{3}")
NEED = re.compile(r"^(?P<name>[\w.-]+?)(>=(?P<floor>[\d.]+))?$")


@dataclass(frozen=True)
class Expected:
    """One finding that a fair report of the leaky program holds."""

    code: str
    holders: tuple[str, ...]
    bytes: int
    tolerance: float
    optional: tuple[str, ...] = ()
    advice: bool = False
    where: str = "driver-python"

    def matches(self, expr: str) -> bool:
        """Whether ``expr`` is one of the holders, required or optional."""
        return any(fits(pattern, expr) for pattern in self.holders + self.optional)

    def exact(self, exprs: list[str]) -> bool:
        """Whether ``exprs`` are all the required holders and nothing but known ones."""
        known = all(self.matches(expr) for expr in exprs)
        return known and all(any(fits(p, expr) for expr in exprs) for p in self.holders)


@dataclass(frozen=True)
class Scenario:
    """One folder."""

    folder: Path
    title: str
    rule: str
    needs: tuple[str, ...]
    allowed: tuple[str, ...]
    fix: str
    expected: tuple[Expected, ...]
    idle: float | None = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def missing(self) -> str | None:
        """Return the first distribution that this scenario needs and that is not there."""
        absent = next((need for need in self.needs if not _is_installed(need)), None)
        return absent or (spark.missing() if self.spark else None)

    @property
    def spark(self) -> bool:
        """Whether its programs start Spark."""
        return any(need.startswith(spark.NEED) for need in self.needs)

    @property
    def where(self) -> str:
        """What holds the bytes that come back."""
        return next((one.where for one in self.expected), "driver-python")


@dataclass(frozen=True)
class Case:
    """One program of a scenario and what is expected of its report."""

    scenario: Scenario
    path: Path
    leaky: bool
    expected: tuple[Expected, ...] = field(default=())

    @property
    def name(self) -> str:
        """``folder/file``, the name of the case in the table and for ``--only``."""
        return f"{self.scenario.name}/{self.path.name}"

    @property
    def notebook(self) -> bool:
        """Whether the program is a notebook and not a script."""
        return self.path.suffix == ".ipynb"


def fits(pattern: str, text: str) -> bool:
    """Whether ``text`` is the pattern, in which ``*`` stands for any text and all else is plain."""
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts), text) is not None


def load(folder: Path) -> Scenario:
    """Read a scenario's folder. Raises ``KeyError`` or ``ValueError`` for what is not one."""
    table = tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8"))
    return Scenario(
        folder=folder,
        title=table["title"],
        rule=table["rule"],
        needs=tuple(table["needs"]),
        allowed=tuple(table["allowed"]),
        fix=table.get("fix", "").strip("\n"),
        expected=tuple(_expected(one) for one in table["expected"]),
        idle=table.get("idle"),
    )


def _expected(table: dict[str, Any]) -> Expected:
    return Expected(
        code=table["code"],
        holders=tuple(table["holders"]),
        optional=tuple(table.get("optional", ())),
        bytes=table["bytes"],
        tolerance=table["tolerance"],
        advice=table.get("status") == "advice",
        where=table.get("where", "driver-python"),
    )


def scenarios(root: Path = FOLDER) -> list[Scenario]:
    """Return every scenario below ``root``, by name."""
    return [load(path.parent) for path in sorted(root.glob("*/scenario.toml"))]


def cases(scenario: Scenario) -> list[Case]:
    """Return the scenario's programs: the leaky one first."""
    programs = [
        path for path in sorted(scenario.folder.iterdir()) if path.suffix in (".ipynb", ".py")
    ]
    leaky = [path for path in programs if path.stem == "leaky"]
    return [Case(scenario, path, True, scenario.expected) for path in leaky] + [
        Case(scenario, path, False) for path in programs if path not in leaky
    ]


def problems(scenario: Scenario) -> Iterator[str]:
    """Yield what is wrong with a scenario's folder and table."""
    found = cases(scenario)
    leaky = [case for case in found if case.leaky]
    if not [case for case in found if not case.leaky]:
        yield "it has no clean twin"
    if bool(leaky) != bool(scenario.expected):
        yield "a leaky program and [[expected]] come together"
    if leaky and leaky[0].notebook and not scenario.fix:
        yield "a leaky notebook needs a fix"
    if not scenario.name.endswith("ordinary"):
        strange = [case.path.name for case in found if not case.path.stem.startswith("clean")]
        yield from (
            f"{name} is neither leaky nor clean" for name in strange if "leaky." not in name
        )
    for code in (*scenario.allowed, *(one.code for one in scenario.expected)):
        if not CODE.fullmatch(code):
            yield f"{code!r} is no rule code"
    if len({one.where for one in scenario.expected}) > 1:
        yield "the bytes of one scenario are measured in one place"
    for one in scenario.expected:
        most = WIDEST.get(one.where, 0.1)
        least = 0 if one.where == "executors" else 1  # 0: something is wrong, nothing comes back
        if not one.holders or one.bytes < least or not 0 < one.tolerance <= most:
            yield f"{one.code}: holders, bytes and a tolerance of at most {most} are needed"


def _is_installed(need: str) -> bool:
    parsed = NEED.match(need)
    if parsed is None:
        raise ValueError(f"{need!r} is not NAME or NAME>=VERSION")
    try:
        version = importlib.metadata.version(parsed["name"])
    except importlib.metadata.PackageNotFoundError:
        return False
    return _numbers(version) >= _numbers(parsed["floor"] or "0")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]
