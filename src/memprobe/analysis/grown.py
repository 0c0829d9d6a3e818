"""From the expression of a container to the bytes that letting go of it would give back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from memprobe.analysis.evidence import Evidence, State
from memprobe.analysis.growth import Rounds, base
from memprobe.analysis.retention import Bundle, bundles
from memprobe.findings import Created, Finding, Growth
from memprobe.recording.schema import Group, Holder, Snapshot, Step

KINDS = ("notebook-namespace", "module", "class-attribute", "lru-cache")
FRAMES = ("pandas.", "numpy.")  # their length is known too: their first axis


@dataclass(frozen=True)
class Kept:
    """A container: its holder as a finding shows it, and the bundle that it keeps."""

    holder: Holder
    bundle: Bundle
    items: int | None = None

    @property
    def aliases(self) -> list[Holder]:
        """The other references to the same container: emptying it serves them as well."""
        return [
            one
            for one in self.bundle.holders
            if one is not self.holder and one.object == self.holder.object
        ]

    @property
    def others(self) -> list[Holder]:
        """What has to be let go beside it."""
        return [one for one in self.bundle.holders if one.object != self.holder.object]


def kept_by(evidence: Evidence, expr: str, items: int | None = None) -> Kept | None:
    """Return what the container ``expr`` keeps alone, together with names nobody uses any more.

    None where it is not in the last snapshot, or keeps less than ``min_bytes``.
    """
    snapshot = evidence.snapshot
    if snapshot is None:
        return None
    outer = _outer(snapshot, expr)
    if outer is None:
        return None
    bundle = _bundle_of(evidence, snapshot, outer)
    if bundle is None:
        return None
    if outer.expr == expr.removesuffix("[*]"):
        return Kept(outer, bundle, items)
    return _inner(evidence, outer, bundle, expr.removesuffix("[*]"), items)


def with_growth(
    finding: Finding, rounds: Rounds | None, kept: Kept, *, per_item: float | None = None
) -> Finding:
    """Add to a finding the growth of its rounds, and the cell that makes it grow."""
    if rounds is None:
        return finding
    if per_item is None:
        per_item = _per_item(finding, kept.items or 0)
    finding.growth = Growth(bytes_per_round=int(rounds.items * per_item), rounds=len(rounds.runs))
    if finding.created is None:
        finding.created = Created(cell=rounds.last.cell, cell_id=rounds.last.cell_id)
    return finding


def _per_item(finding: Finding, items: int) -> float:
    """Return the mean bytes of one item; the newest one often has a name of its own as well."""
    if not items:
        return 0.0
    total = finding.exclusive_bytes
    if items > 1 and finding.shared_bytes <= 1.5 * total / (items - 1):
        total += finding.shared_bytes
    return total / items


def round_words(rounds: Rounds) -> str:
    """Return ``cells 3, 4 and 5 ran the same source`` for a finding's reason."""
    cells = [str(run.cell) for run in rounds.runs]
    return f"cells {', '.join(cells[:-1])} and {cells[-1]} ran the same source"


def names_stale(evidence: Evidence, kept: Kept) -> bool:
    """Whether no name that leads to the container was used of late."""
    names = [base(one.expr) for one in (kept.holder, *kept.aliases) if one.root in KINDS]
    return all(evidence.is_stale(evidence.liveness.life(name)) for name in names)


def _outer(snapshot: Snapshot, expr: str) -> Holder | None:
    """Return the holder that ``expr`` names or lies in."""
    by_expr = {holder.expr: holder for holder in snapshot.holders if holder.root in KINDS}
    inner = expr.removesuffix("[*]")
    while inner:
        if inner in by_expr:
            return by_expr[inner]
        inner = inner.rpartition(".")[0]
    return None


def _bundle_of(evidence: Evidence, snapshot: Snapshot, holder: Holder) -> Bundle | None:
    def cuttable(one: Holder, group: Group) -> bool:
        if one.object == holder.object:
            return True
        return evidence.state(one, group) in (State.STALE, State.LEFT)

    found = bundles(snapshot, cuttable, evidence.config.min_bytes)
    return next((bundle for bundle in found if holder in bundle.holders), None)


def _inner(
    evidence: Evidence, outer: Holder, bundle: Bundle, expr: str, items: int | None
) -> Kept | None:
    """Return the part of a bundle that a container inside its holder keeps."""
    steps = [f".{name}" for name in expr[len(outer.expr) + 1 :].split(".")]
    path = bundle.largest.path
    through = [step.edge for step in path[: len(steps)]] == steps
    nbytes = outer.parts.get(expr)
    if nbytes is None:
        nbytes = bundle.exclusive if through else 0
    if nbytes < evidence.config.min_bytes:
        return None
    kind = path[len(steps) - 1].type if through else "list"
    holder = msgspec.structs.replace(outer, expr=expr, type=kind, shape=None, length=items)
    largest = msgspec.structs.replace(bundle.largest, path=_below(path, len(steps), through))
    groups = (largest, *bundle.groups[1:])
    if nbytes < bundle.exclusive:  # what goes back was simulated for all that the holder keeps
        groups = tuple(msgspec.structs.replace(one, returned=None) for one in groups)
    share = nbytes / bundle.exclusive if bundle.exclusive else 1.0
    others = tuple(holder if one.id == outer.id else one for one in bundle.holders)
    inside = replace(
        bundle, holders=others, groups=groups, exclusive=nbytes,
        low=int(bundle.low * share), high=int(bundle.high * share),
        shared=bundle.shared,
    )  # fmt: skip
    return Kept(holder, inside, items)


def _below(path: list[Step], steps: int, through: bool) -> list[Step]:
    return path[steps:] if through else []
