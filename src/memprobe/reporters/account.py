"""The memory account as people read it: the sentence a user needs, and a bar per process."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.findings import Account, ProcessAccount
from memprobe.reporters.amounts import duration, size
from memprobe_probes import account_buckets as buckets

BAR = 40  # columns of a bar
LEAST_SHARE = 0.01  # of a process's memory: less is told with the rest
LEAST_AGE = 2.0  # seconds before the end, from which on an account has its time beside it
LEAST_TOLD = 0.02  # of it, to be worth a part of the sentence
MOST_PROCESSES = 6
NAMES = {
    buckets.PYTHON_OBJECTS: "Python objects", buckets.ARRAYS: "numpy and pandas data",
    buckets.ARROW_LIVE: "Arrow data", buckets.POLARS_LIVE: "polars data",
    buckets.TORCH: "torch data",
    buckets.NATIVE_OBJECTS: "libraries' objects",
    buckets.PYTHON_FREE: "free in Python's allocator",
    buckets.MALLOC_RETAINED: "freed, kept by malloc",
    buckets.ARROW_RETAINED: "freed, kept by Arrow's pool",
    buckets.POLARS_RETAINED: "freed, kept by polars",
    buckets.MALLOC_OTHER: "malloc, owner unknown", buckets.NATIVE_OTHER: "libraries' own maps",
    buckets.LIBRARIES: "program and libraries", buckets.MAPPED_FILES: "mapped files",
    buckets.SHARED_MEMORY: "shared memory", buckets.THREAD_STACKS: "thread stacks",
    buckets.HEAP_USED: "heap in use", buckets.HEAP_FREE: "heap, empty",
    buckets.METASPACE: "classes", buckets.CODE_CACHE: "compiled code",
    buckets.DIRECT_BUFFERS: "direct buffers", buckets.GC_STRUCTURES: "collector's tables",
    buckets.PRIVATE: "its own", buckets.FILES: "of files", buckets.UNKNOWN: "unknown",
}  # fmt: skip
# Full: alive. Dark: nobody known. Light: freed and kept. Dots: what the program is made of.
SHADES = {
    **dict.fromkeys((*buckets.LIVE, buckets.HEAP_USED, buckets.DIRECT_BUFFERS), "█"),
    **dict.fromkeys((*buckets.NATIVE, buckets.PRIVATE, buckets.UNKNOWN), "▓"),
    **dict.fromkeys((*buckets.RETAINED, buckets.HEAP_FREE), "▒"),
}
STYLES = {"█": "blue", "▓": "magenta", "▒": "yellow", "░": "dim"}
ORDER = "█▓▒░"


def told(account: Account) -> list[ProcessAccount]:
    """Return the processes that were looked into, largest first behind the target."""
    rows = [one for one in account.processes if one.explained is not None]
    first, rest = rows[:1], rows[1:]
    return [*first, *sorted(rest, key=lambda one: -(one.rss or 0))][:MOST_PROCESSES]


def shares(process: ProcessAccount) -> str:
    """Return ``97.1 % owned, 99.9 % explained``."""
    return f"{_share(process.owned)} owned, {_share(process.explained)} explained"


def shade(bucket: str) -> str:
    """Return the block that stands for a bucket."""
    return SHADES.get(bucket, "░")


def ordered(process: ProcessAccount) -> list[tuple[str, int]]:
    """Return the buckets that are worth a word: what is alive first, then by size."""
    least = LEAST_SHARE * (process.rss or 0)
    found = [(name, nbytes) for name, nbytes in process.buckets.items() if nbytes >= least]
    return sorted(found, key=lambda one: (ORDER.index(shade(one[0])), -one[1]))


def bar(process: ProcessAccount, width: int = BAR) -> list[tuple[str, int]]:
    """Return (block, columns), alive first; together ``width`` columns."""
    total = sum(process.buckets.values()) or 1
    amounts = dict.fromkeys(ORDER, 0)
    for name, nbytes in process.buckets.items():
        amounts[shade(name)] += nbytes
    columns, reached, before = [], 0, 0
    for block in ORDER:
        reached += amounts[block]
        upto = round(reached / total * width)
        columns.append((block, upto - before))
        before = upto
    return columns


def sentence(account: Account) -> str:
    """Return what a user needs to know, or nothing where no process was looked into."""
    parts = list(_parts(account))
    if not parts:
        return ""
    return ", ".join(parts) + _when(account)


def _when(account: Account) -> str:
    ago = account.seconds_ago
    return "" if ago is None or ago < LEAST_AGE else f", {duration(ago)} before the end"


def _parts(account: Account) -> Iterator[str]:
    for process in told(account):
        if process.role == "driver-python":
            yield from _of_python(process)
        elif process.role == "driver-jvm":
            yield from _of_jvm(process)


def _of_python(process: ProcessAccount) -> Iterator[str]:
    live = sum(process.buckets.get(name, 0) for name in buckets.LIVE)
    yield f"{size(live)} is live data and objects"
    ends = (
        (buckets.MALLOC_RETAINED, "is freed but kept by malloc"),
        (buckets.ARROW_RETAINED, "is freed but kept by Arrow's pool"),
        (buckets.POLARS_RETAINED, "is freed but kept by polars"),
        (buckets.PYTHON_FREE, "is free between Python's objects"),
        (buckets.MALLOC_OTHER, "is in use by libraries that do not tell for what"),
    )
    for name, words in ends:
        nbytes = process.buckets.get(name, 0)
        if nbytes >= LEAST_TOLD * (process.rss or 0):
            yield f"{size(nbytes)} {words}"


def _of_jvm(process: ProcessAccount) -> Iterator[str]:
    used, free = (process.buckets.get(name, 0) for name in (buckets.HEAP_USED, buckets.HEAP_FREE))
    if used + free:
        how = "mostly empty" if free > used else f"{size(free)} of it empty"
        yield f"{size(used + free)} is the JVM's committed heap, {how}"


def _share(share: float | None) -> str:
    return "not measured" if share is None else f"{share * 100:.1f} %"
