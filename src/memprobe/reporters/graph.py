"""The recorded retention paths of one holder as a graph: from its roots to what it keeps.

Roots are ellipses, the held object is yellow, what others keep as well is blue and dashed. Red
edges are the references to cut. Bytes stand at the object that the snapshot's path led to: the
largest of those that the same holders keep.
"""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.evidence import held_object
from memprobe.analysis.named_holder import Subject
from memprobe.findings import RecordingSummary
from memprobe.recording.schema import Group, Holder
from memprobe.reporters.amounts import counted, size, size_range
from memprobe.reporters.phrases import described, program, root
from memprobe_probes import dot
from memprobe_probes.dot import Drawing

MOST_GROUPS = 8  # drawn; the rest is summed up in one node
MOST_OTHERS = 4  # other holders of shared bytes that are drawn
MOST_NAMED = 3  # of them in one line of text
CUT = "← cut here"
# Edges that several objects of one container share: two of them need not lead to one object.
_VAGUE = frozenset({"[key]", "[*]", "·", "data", "local"})


def render(subject: Subject, recording: RecordingSummary) -> str:
    """Return the paths of ``subject``'s holders as Graphviz DOT."""
    return _Picture(subject).drawn(*_caption(subject, recording)).text()


class _Picture:
    """Draws the holders of a subject, and what each group of holders keeps below them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._by_id = {one.id: one for one in subject.snapshot.holders}
        self._cut = {one.id for one in subject.holders}
        self._drawing = Drawing()

    def drawn(self, *caption: str) -> Drawing:
        """Return the drawing."""
        self._drawing = Drawing(*caption)
        for holder in self._subject.holders:
            self._holder(holder)
        groups = self._groups()
        for number, group in enumerate(groups[:MOST_GROUPS]):
            self._group(number, group)
        self._rest(groups[MOST_GROUPS:])
        for one in {holder.object for holder in self._subject.holders}:
            self._drawing.node(("object", one), self._sums(one))
        return self._drawing

    def _sums(self, number: int) -> list[str]:
        """Return what an object's holders keep in all, where it is not one group anyway."""
        own = {one.id for one in self._subject.holders if one.object == number}
        touched = [one for one in self._subject.snapshot.groups if own.intersection(one.holders)]
        if len(touched) < 2:
            return []
        alone = sum(one.bytes for one in touched if own.issuperset(one.holders))
        shared = sum(one.bytes for one in touched) - alone
        return [f"in all: exclusive {size(alone)}, shared {size(shared)}"]

    def _groups(self) -> list[Group]:
        """Return what the holders keep, alone or not, largest first."""
        touched = [
            one for one in self._subject.snapshot.groups if self._cut.intersection(one.holders)
        ]
        return sorted(touched, key=lambda one: -one.bytes)

    def _holder(self, holder: Holder) -> object:
        """Draw a holder from its root to its object and return the object's key."""
        cut = holder.id in self._cut
        key: object = ("object", holder.object) if holder.object >= 0 else ("holder", holder.id)
        if holder.object < 0:
            self._drawing.node(key, [holder.expr], dot.ROOT)
            return key
        origin: object = ("root", holder.root)
        self._drawing.node(origin, [root(holder.root)], dot.ROOT)
        lines = [holder.type, described(held_object(holder)), _cache(holder)]
        self._drawing.node(key, lines, dot.HELD if cut else None)
        above = origin
        for depth, step in enumerate(holder.path[:-1]):
            between = (key, "path", holder.id, depth)
            self._drawing.node(between, [step.type])
            self._drawing.edge(above, between, [step.edge])
            above = between
        label = [holder.expr, _place(holder), CUT if cut else ""]
        self._drawing.edge(above, key, label, dot.CUT if cut else dot.PLAIN)
        return key

    def _group(self, number: int, group: Group) -> None:
        """Draw the path of a group and say at its end what is kept, and by whom."""
        alone = self._cut.issuperset(group.holders)
        first = self._by_id.get(group.holders[0])
        end = self._path(self._holder(first), number, group) if first else ("group", number)
        look = None if alone or not group.path else dot.SHARED
        self._drawing.node(end, list(_kept(group, self._by_id, alone=alone)), look)
        for one in self._beside(group, first):
            above = self._holder(one)
            if above != end:
                self._drawing.edge(above, end, [] if alone else ["holds it too"], dot.UNKNOWN)

    def _beside(self, group: Group, first: Holder | None) -> Iterator[Holder]:
        """Yield the holders whose own way to the group's object was not recorded."""
        seen = {first.object} if first else set()
        others = 0
        for one in sorted(group.holders, key=lambda one: one not in self._cut):
            holder = self._by_id.get(one)
            if holder is None or (holder.object >= 0 and holder.object in seen):
                continue
            seen.add(holder.object)
            others += holder.id not in self._cut
            if others <= MOST_OTHERS:
                yield holder

    def _path(self, start: object, number: int, group: Group) -> object:
        """Draw the steps below ``start``, and return the key of the last."""
        above = start
        for step in group.path:
            own = number if step.edge in _VAGUE else -1
            below = (above, step.edge, step.type, own)
            name = "native memory" if step.type == "buffer" else step.type
            self._drawing.node(below, [name])
            self._drawing.edge(above, below, [step.edge])
            above = below
        return above

    def _rest(self, groups: list[Group]) -> None:
        if not groups:
            return
        total = size(sum(one.bytes for one in groups))
        self._drawing.node("rest", [f"and {len(groups)} smaller: {total}"], dot.NOTE)
        starts = {self._by_id[one].object for each in groups for one in each.holders
                  if one in self._cut}  # fmt: skip
        for one in sorted(starts):
            if ("object", one) in self._drawing:
                self._drawing.edge(("object", one), "rest", [], dot.UNKNOWN)


def _kept(group: Group, by_id: dict[int, Holder], *, alone: bool) -> Iterator[str]:
    amount = size(group.bytes)
    if group.low is not None and group.high is not None and group.low != group.high:
        amount = f"about {size(group.bytes)} ({size_range(group.low, group.high)})"
    objects = f" in {counted(group.objects, 'object')}" if group.objects > 1 else ""
    yield f"exclusive {amount}{objects}" if alone else f"shared {amount}{objects}"
    if not alone or len(group.holders) > 1:
        yield f"kept by {_listed([by_id[one].expr for one in group.holders if one in by_id])}"
    if group.pinned:
        yield f"{size(group.pinned)} of it shown by no view"
    if group.returned is not None:
        # With everything that fewer of these holders keep: more than this group's own bytes.
        which = "all of them" if len(group.holders) > 1 else "it"
        yield f"with {which} cut, {size(group.returned)} go back to the system"
    for site in group.sites[:2]:
        function = f" in {site.function}" if site.function else ""
        yield f"allocated at {site.file}:{site.line}{function}"


def _listed(names: list[str]) -> str:
    """Return ``df``, ``df and Out[3]`` or ``df, Out[3], _3 and 4 more``."""
    if len(names) > MOST_NAMED + 1:
        return ", ".join(names[:MOST_NAMED]) + f" and {len(names) - MOST_NAMED} more"
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)


def _place(holder: Holder) -> str:
    if holder.function is None:
        return ""
    return f"in {holder.function} at {holder.file}:{holder.line}"


def _cache(holder: Holder) -> str:
    if holder.cache is None:
        return ""
    bound = "no bound" if holder.cache.maxsize is None else f"at most {holder.cache.maxsize:,}"
    return f"entries: {holder.cache.size:,}, {bound}"


def _caption(subject: Subject, recording: RecordingSummary) -> Iterator[str]:
    snapshot = subject.snapshot
    where = ""
    if snapshot.cell is not None:
        where = f" {'in' if snapshot.busy else 'after'} cell {snapshot.cell}"
    order = "last snapshot" if subject.is_last else "the last snapshot that has it"
    yield f"memprobe · {program(recording)}"
    yield f"{order}{where} ({snapshot.reason}, {snapshot.engine})"
    if subject.finding is not None:
        yield f"{subject.finding.code} {subject.finding.name}, {subject.finding.status}"
