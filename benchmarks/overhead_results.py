"""The raw results of the overhead benchmark: a number per pair, kept as they come."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

Pair = dict[
    str, float
]  # bare, at_exit: seconds; target, whole, control, peak: ratios; load: average


@dataclass
class Kept:
    """What was measured of one tool. ``key`` changes with whatever the numbers depend on."""

    key: str
    pairs: dict[str, list[Pair]] = field(default_factory=dict)  # program → pairs
    said: str = ""  # what the tool printed about the leaky script
    unavailable: str | None = None  # why there is nothing of the whole tool
    failed: dict[str, str] = field(default_factory=dict)  # program → why it did not end well

    def of(self, program: str) -> list[Pair]:
        """Return the pairs of a program so far."""
        return self.pairs.get(program, [])

    def add(self, program: str, **pair: float) -> None:
        """Keep one more pair."""
        self.pairs.setdefault(program, []).append(pair)


@dataclass
class Results:
    """All tools' results and the file they are kept in."""

    path: Path
    tools: dict[str, Kept] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Return what the file holds; nothing where there is none or it is not whole."""
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return cls(path)
        return cls(path, {name: Kept(**kept) for name, kept in held.items()})

    def begin(self, tool: str, key: str, *, again: bool = False) -> Kept:
        """Return what is kept of a tool, empty where it was measured under another ``key``."""
        kept = self.tools.get(tool)
        if kept is None or kept.key != key or again:
            kept = Kept(key)
        kept.unavailable = None
        self.tools[tool] = kept
        return kept

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        held = {name: asdict(kept) for name, kept in self.tools.items()}
        fresh.write_text(json.dumps(held, indent=1), encoding="utf-8")
        os.replace(fresh, self.path)

    def ratios(self, tool: str, what: str) -> dict[str, list[float]]:
        """Return one number of every pair by program; nothing for a tool that was not measured."""
        kept = self.tools.get(tool)
        found = kept.pairs if kept else {}
        return {name: [pair[what] for pair in pairs] for name, pairs in found.items()}


def digest(*folders: Path) -> str:
    """Return a hash of all Python and C sources below the folders."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".c"):
                total.update(path.read_bytes())
    return total.hexdigest()[:12]
