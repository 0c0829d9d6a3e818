"""The memory account at each time it was taken, thinned to what a picture can show."""

from __future__ import annotations

from memprobe.analysis import account
from memprobe.analysis.thinning import extremes
from memprobe.histories import Stack
from memprobe.recording.reader import Recording
from memprobe_probes import account_buckets

MOST_TIMES = 400
MOST_BUCKETS = 10
LEAST_SHARE = 0.01  # of the largest account: less is no more than a line in a picture
SMALLER = "smaller buckets"


def account_over_time(recording: Recording) -> Stack:
    """Return the measured process's buckets at each full account, in the order of their list.

    A bucket that was not told apart has None there: its bytes lie in a wider one. Buckets below
    LEAST_SHARE or beyond the MOST_BUCKETS largest are added up as one.
    """
    taken = [
        ((one.t - recording.header.t) / 1e9, process.buckets)
        for one in account.full_accounts(recording)
        if (process := account.target(one)) is not None and process.buckets
    ]
    kept = extremes([(moment, sum(buckets.values())) for moment, buckets in taken], MOST_TIMES)
    times, read = [taken[at][0] for at in kept], [taken[at][1] for at in kept]
    largest = {name: max(one.get(name, 0) for one in read) for one in read for name in one}
    least = LEAST_SHARE * max((sum(one.values()) for one in read), default=0)
    worth = [name for name in largest if largest[name] >= least]
    chosen = set(sorted(worth, key=lambda name: -largest[name])[:MOST_BUCKETS])
    names = sorted(chosen, key=_position)
    values: list[list[float | None]] = [[one.get(name) for one in read] for name in names]
    rest = set(largest) - chosen
    if any(largest[name] for name in rest):
        names.append(SMALLER)
        values.append([sum(one.get(name, 0) for name in rest) for one in read])
    return Stack(times=times, names=names, values=values)


def _position(name: str) -> int:
    known = account_buckets.ALL
    return known.index(name) if name in known else len(known)
