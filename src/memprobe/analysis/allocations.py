"""Where the bytes of findings were allocated, as far as tracemalloc or a log of memray tells.

Both tell of groups of a snapshot; a finding is about the groups that its holders alone keep.
"""

from __future__ import annotations

from collections.abc import Iterable

from memprobe.findings import AllocationSite, Created, Finding, HeldAllocations, NotMeasured
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Allocations, Group, Site, Snapshot

MOST_SITES = 5
LEAST_SHARE = 0.01  # of what is known of a finding's bytes: a smaller place is not told
# A finding is about so much of what its holders keep; of less it is about a part we do not know.
WHOLE = 0.5
# So much of a finding's bytes has to come from one line for that to be where it was made.
MOSTLY = 0.5


def add_sites(findings: Iterable[Finding], recording: Recording, snapshot: Snapshot | None) -> None:
    """Set ``allocated`` of the findings, and ``created`` where nothing else tells it."""
    if snapshot is None:
        return
    known = _sites_by_group(recording.allocations, snapshot)
    for finding in findings if known else ():
        groups = _kept_alone(finding, snapshot)
        if finding.exclusive_bytes < WHOLE * sum(snapshot.groups[one].bytes for one in groups):
            continue
        sites = _merged(site for one in groups for site in known.get(one, ()))
        if sum(site.bytes or 0 for site in sites) < WHOLE * finding.exclusive_bytes:
            continue  # a few of its bytes say nothing about the others
        finding.allocated = sites[:MOST_SITES]
        if finding.created is None:
            finding.created = _created(finding)


def unplaced(findings: Iterable[Finding], recording: Recording) -> list[NotMeasured]:
    """Return the findings of which a log that was joined to them does not tell the place."""
    log = recording.allocations
    if log is None or log.failed is not None or log.unjoined is not None:
        return []
    why = "it lies in a pool that a library fills (Arrow, polars), or is older than the log"
    return [
        NotMeasured(what=f"where the memory of {finding.holders[0].expr} was allocated", why=why)
        for finding in findings
        if finding.holders and finding.exclusive_bytes and not finding.allocated
    ]


def held(recording: Recording) -> HeldAllocations | None:
    """Return what a log of allocations says was never freed, None where there is no log."""
    log = recording.allocations
    if log is None or log.failed is not None:
        return None
    return HeldAllocations(
        source=log.source,
        bytes=log.held_bytes or 0,
        sites=[_shown(site) for site in log.held],
        mapped_bytes=log.mapped_bytes or 0,
        mapped=[_shown(site) for site in log.mapped],
    )


def _sites_by_group(log: Allocations | None, snapshot: Snapshot) -> dict[int, list[Site]]:
    """Return position of a group → its sites."""
    known = {at: group.sites for at, group in enumerate(snapshot.groups) if group.sites}
    if log is not None and log.snapshot == snapshot.t:
        known.update((row.group, row.sites) for row in log.groups)
    return known


def _kept_alone(finding: Finding, snapshot: Snapshot) -> list[int]:
    """Return the positions of the groups that come back when the finding's holders are cut."""
    wanted = {(holding.root, holding.expr) for holding in finding.holders}
    members = {one.id for one in snapshot.holders if (one.root, one.expr) in wanted}
    return [at for at, group in enumerate(snapshot.groups) if _within(group, members)]


def _within(group: Group, members: set[int]) -> bool:
    return bool(group.holders) and members.issuperset(group.holders)


def _merged(sites: Iterable[Site]) -> list[AllocationSite]:
    """Return one row per place, most bytes first; certain where all of its rows are."""
    rows: dict[tuple[object, ...], AllocationSite] = {}
    for site in sites:
        key = (site.file, site.line, site.function, site.cell, site.within)
        row = rows.get(key)
        if row is None:
            rows[key] = _shown(site)
        else:
            row.bytes = (row.bytes or 0) + (site.bytes or 0)
            row.certain = row.certain and site.certain
    least = LEAST_SHARE * sum(row.bytes or 0 for row in rows.values())
    told = [row for row in rows.values() if (row.bytes or 0) >= least]
    return sorted(told, key=lambda row: -(row.bytes or 0))


def _shown(site: Site) -> AllocationSite:
    return AllocationSite(
        cell=site.cell,
        file=site.file,
        line=site.line,
        function=site.function,
        within=site.within,
        bytes=site.bytes,
        certain=site.certain,
        native=list(site.native),
    )


def _created(finding: Finding) -> Created | None:
    """Return the line where most of the finding was allocated, if that is certain."""
    if not finding.allocated:
        return None
    most = finding.allocated[0]
    if not most.certain or (most.bytes or 0) < MOSTLY * finding.exclusive_bytes:
        return None
    file = None if most.cell is not None else most.file
    return Created(cell=most.cell, file=file, line=most.line, source="allocation")
