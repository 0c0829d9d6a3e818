"""Reading a log of allocations, in a process of its own.

memray's reader is C++ and trusts its file: one that was cut off or damaged can end the process
that reads it. That must not be the one that holds the user's recording and has yet to report.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import msgspec

from memprobe.recording.schema import Allocations, GroupSites, Site, Snapshot
from memprobe.targets.allocation_places import Hit, Live, Wanted
from memprobe.targets.allocation_stacks import Stacks, same_place

MOST_HELD = 20  # rows of the table of what was still held
LEAST_HELD = 64 * 1024  # bytes of one of them
LEAST_SHARE = 0.01  # of a group's bytes: a smaller site is left out
MOST_STACKS = 4000  # largest stacks that are looked at for it
MOST_RECORDS = 10_000_000  # that are gone through one by one, at about a million a second
# The working folder is the user's, and may hold a file of any name: nothing is imported from it.
START = f"import sys; del sys.path[0]; from {__name__} import main; sys.exit(main())"


class Question(msgspec.Struct):
    """What is to be read, and what is known of it.

    ``path`` is absolute; ``record`` is filled in; ``cells`` are a notebook's cell files with
    their execution counts; ``settled``: the log had ended when the snapshot was taken.
    """

    path: str
    record: Allocations
    cells: dict[str, int]
    snapshot: Snapshot | None
    settled: bool


def answer(question: Question) -> Allocations:
    """Return the record filled in; why it could not be is in ``failed``.

    Raises KeyboardInterrupt, and ends the reader first.
    """
    with subprocess.Popen(
        [sys.executable, "-c", START],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle
    ) as reader:  # fmt: skip
        try:
            told, said = reader.communicate(msgspec.json.encode(question))
        except BaseException:
            reader.kill()
            raise
    if reader.returncode == 0:
        return msgspec.json.decode(told, type=Allocations)
    question.record.failed = _why(reader.returncode, said)
    return question.record


def _why(status: int, said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("Memray ERROR: ") if lines else f"its reader ended with {status}"
    if status >= 0:
        return last
    return f"memray's reader ended by {signal.Signals(-status).name}: {last}"


def read(question: Question) -> Allocations:
    """Return the record filled in from the log. Raises what memray's reader raises."""
    import memray

    record = question.record
    with memray.FileReader(question.path) as reader:
        stacks = Stacks(question.cells, native=record.native)
        record.recorded = reader.metadata.total_allocations
        leaked = list(reader.get_leaked_allocation_records(merge_threads=True))
        live = _replayed(question, reader)
        _tables(record, leaked, list(live.reserved()) if live else [], stacks)
        if live is not None and question.snapshot is not None:
            _join(question, question.snapshot, live, stacks)
    return record


def _replayed(question: Question, reader: Any) -> Live | None:
    """Go through the log allocation by allocation, where it is not too long for that."""
    if (question.record.recorded or 0) > MOST_RECORDS:
        question.record.unjoined = (
            f"more than {MOST_RECORDS:,} allocations; what was only mapped is not told apart"
        )
        return None
    groups = question.snapshot.groups if question.snapshot is not None else []
    if not any(group.places for group in groups):
        question.record.unjoined = "no snapshot noted where its objects lie"
    return Live(reader.get_allocation_records(), Wanted(groups))


def _join(question: Question, snapshot: Snapshot, live: Live, stacks: Stacks) -> None:
    """Tell for each group of the last snapshot where its places had been allocated."""
    question.record.snapshot = snapshot.t
    settled = question.settled
    for number, hits in live.found().items():
        sites = stacks.merged(Hit(one, nbytes, own and settled) for one, nbytes, own in hits)
        least = LEAST_SHARE * sum(site.bytes or 0 for site in sites)
        sites = [site for site in sites if (site.bytes or 0) >= least]
        if sites:
            question.record.groups.append(GroupSites(group=number, sites=sites))


def _tables(record: Allocations, leaked: list[Any], reserved: list[Hit], stacks: Stacks) -> None:
    """Fill in what was held and what was only mapped: memray's own sums have both together."""
    largest = sorted(leaked, key=lambda one: -int(one.size))[:MOST_STACKS]
    held = stacks.merged(Hit(one, one.size, True) for one in largest)
    mapped = stacks.merged(reserved)
    for site in mapped:
        for other in held:
            if same_place(site, other):
                other.bytes = (other.bytes or 0) - (site.bytes or 0)
    record.mapped_bytes = sum(one.bytes for one in reserved)
    record.held_bytes = sum(one.size for one in leaked) - record.mapped_bytes
    record.held = _longest(held)
    record.mapped = _longest(mapped)


def _longest(sites: list[Site]) -> list[Site]:
    rows = [site for site in sites if (site.bytes or 0) >= LEAST_HELD]
    return sorted(rows, key=lambda site: -(site.bytes or 0))[:MOST_HELD]


def main() -> int:
    """Answer the question on the standard input."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    try:
        record = read(question)
    except Exception as error:
        # Whatever memray's reader makes of a file that was cut off or is of another version.
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(record))
    return 0
