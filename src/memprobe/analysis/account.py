"""The memory account of a recording: where each process's resident memory lies, and since when.

Pure: it reads ``account`` records. Buckets that were not told apart are missing, never zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.recording.reader import Recording
from memprobe.recording.schema import Account, ProcessMemory
from memprobe_probes import account_buckets as buckets


def full_accounts(recording: Recording) -> list[Account]:
    """Return the accounts that are told in buckets, in order of time."""
    return [one for one in recording.accounts if one.full]


def last_full(recording: Recording) -> Account | None:
    """Return the last account in buckets, or None where none was taken."""
    return next(reversed(full_accounts(recording)), None)


def tried(recording: Recording) -> list[Account]:
    """Return the accounts that came with a snapshot: in buckets, or with the reason why not."""
    return [one for one in recording.accounts if one.full or one.unmeasured]


def current(recording: Recording) -> Account | None:
    """Return the account in buckets of the last snapshot; None where that one has none.

    An older one says nothing of what is there now.
    """
    last = next(reversed(tried(recording)), None)
    return last if last is not None and last.full else None


def target(account: Account) -> ProcessMemory | None:
    """Return the row of the measured Python process itself."""
    return account.processes[0] if account.processes else None


def amount(process: ProcessMemory, *names: str) -> int | None:
    """Return the bytes in some buckets together; None where none of them was told apart."""
    known = [process.buckets[name] for name in names if name in process.buckets]
    return sum(known) if known else None


def history(recording: Recording, *names: str) -> Iterator[tuple[Account, int]]:
    """Yield each full account with the bytes of some of the target's buckets together."""
    for account in full_accounts(recording):
        process = target(account)
        found = None if process is None else amount(process, *names)
        if found is not None:
            yield account, found


def explained(process: ProcessMemory) -> float | None:
    """Return the share of the resident memory that has a name; None where it has no buckets."""
    return _share(process, buckets.UNEXPLAINED)


def owned(process: ProcessMemory) -> float | None:
    """Return the share that has an owner: without what malloc gave to nobody known."""
    return _share(process, buckets.UNOWNED)


def _share(process: ProcessMemory, without: tuple[str, ...]) -> float | None:
    if not process.buckets or not process.rss or buckets.PRIVATE in process.buckets:
        return None
    return 1 - sum(process.buckets.get(name, 0) for name in without) / process.rss
