"""What the stand-in can do wrong on purpose: a list of rules, each used so many times."""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass
from typing import Any


@dataclass
class Misbehaviour:
    """One rule. ``kind`` is one of the table in ../README.md; ``path`` may hold ``*``.

    It holds for ``times`` requests (None: for all) after ``skip`` that went well. ``value`` is what
    the kind needs: seconds, characters, a message.
    """

    kind: str
    path: str = "*"
    times: int | None = 1
    skip: int = 0
    value: Any = None


class Switchboard:
    """The rules that are on."""

    def __init__(self) -> None:
        self._rules: list[Misbehaviour] = []
        self._lock = threading.Lock()
        self.happened: list[str] = []  # kinds, in the order in which they were used

    def add(self, kind: str, path: str = "*", **how: Any) -> None:
        with self._lock:
            self._rules.append(Misbehaviour(kind, path, **how))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, path: str, *kinds: str) -> Misbehaviour | None:
        """Return the first rule of these kinds that is due for ``path``, and count it as used."""
        with self._lock:
            for rule in self._rules:
                if rule.kind not in kinds or not fnmatch.fnmatch(path, rule.path):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times == 0:
                        self._rules.remove(rule)
                self.happened.append(rule.kind)
                return rule
        return None
