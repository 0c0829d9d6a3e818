"""Which object was computed from which: the versions of every name over the executed cells.

A name that is bound again is a new version. Only what a name holds now can be held by it, so a
frame that was rebound (``df = df.dropna()``) has no earlier version that anybody still keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from memprobe.analysis.liveness import CellRun

_FARTHEST = 200


@dataclass(frozen=True)
class Version:
    """What ``name`` was bound to by the execution number ``order``; -1: before all of them."""

    name: str
    order: int


@dataclass(frozen=True)
class Link:
    """``source`` is what a value was computed from; ``recomputed``: with other values."""

    source: Version
    recomputed: bool


class Versions:
    """The versions of all names. ``current`` is what each name holds at the end."""

    def __init__(self, runs: Iterable[CellRun]) -> None:
        self.current: dict[str, Version] = {}
        self._links: dict[Version, list[Link]] = {}
        for run in runs:
            self._follow(run)

    def ancestors(self, name: str, held: set[str]) -> list[Link]:
        """Return the nearest versions that what ``name`` holds now was computed from.

        Only those count that one of the names ``held`` still holds; what lies between them and
        ``name`` is passed through.
        """
        found: dict[Version, Link] = {}
        pending = list(self._links.get(self._now(name), ()))
        seen = {link.source for link in pending}
        while pending and len(seen) < _FARTHEST:
            link = pending.pop()
            source = link.source
            if source.name in held and source.name != name and self._now(source.name) == source:
                found[source] = link
                continue
            for further in self._links.get(source, ()):
                if further.source not in seen:
                    seen.add(further.source)
                    recomputed = link.recomputed or further.recomputed
                    pending.append(Link(further.source, recomputed))
        return list(found.values())

    def _now(self, name: str) -> Version:
        return self.current.get(name, Version(name, -1))

    def _follow(self, run: CellRun) -> None:
        before = dict(self.current)
        names = [*run.bound, *(name for name in run.made if name not in run.bound)]
        for name in names:
            version = self.current[name] = Version(name, run.order)
            self._links[version] = self._links_of(run, version, before)

    def _links_of(self, run: CellRun, made: Version, before: dict[str, Version]) -> list[Link]:
        recomputed = made.name in run.recomputed
        links: list[Link] = []
        for source in run.made.get(made.name, ()):
            earlier = before.get(source, Version(source, -1))
            if source == made.name:
                # The version it was is gone; what that one came from is where this one is from.
                links += [
                    Link(link.source, recomputed or link.recomputed)
                    for link in self._links.get(earlier, ())
                ]
            elif _bound_first(run, source, made.name):
                links.append(Link(Version(source, run.order), recomputed))
            else:
                links.append(Link(earlier, recomputed))
        return links


def _bound_first(run: CellRun, source: str, name: str) -> bool:
    """Whether this execution itself bound ``source``, and not after ``name``."""
    if source not in run.bound and source not in run.made:
        return False
    return not 0 < run.bound.get(name, 0) < run.bound.get(source, 0)
