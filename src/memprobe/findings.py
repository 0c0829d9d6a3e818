"""What the analysis says: ``Finding`` and ``Report``, the stable interface of every reporter.

All sizes are bytes, all durations seconds unless the field's name says otherwise. ``None`` means
"not measured" and is never shown as zero. These classes hold no behaviour beyond small derived
facts: detectors make them, reporters show them.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from msgspec import Struct, field

Status = Literal["leaking", "suspect", "advice"]
Where = Literal["driver-python", "driver-jvm", "executors", "child-processes", "shared-memory"]
Basis = Literal["simulated", "exact", "creation-delta", "estimate"]

# A finding of one of these fails a gate; advice never does.
FAILING: tuple[Status, ...] = ("leaking", "suspect")

# Steps of a path that stand for an IPython hiding place are shown by these names.
OUTPUT_ROOT = "ipython-output"


class HeldObject(Struct, kw_only=True):
    """The object a finding is about: names, types and shapes, never values."""

    type: str
    name: str | None = None
    shape: list[int] | None = None
    dtypes: dict[str, int] = field(default_factory=dict)
    length: int | None = None


class Holding(Struct, kw_only=True):
    """One reference that must be cut: its root kind and the expression that reaches it."""

    root: str
    expr: str


class Reclaim(Struct, kw_only=True):
    """What comes back when all holders are cut; ``low`` to ``high`` is the honest range.

    ``simulated``: ``bytes`` go back to the system, the last of them after a ``malloc_trim``;
    without one ``at_once`` do.
    """

    bytes: int
    low: int
    high: int
    where: Where = "driver-python"
    basis: Basis = "estimate"
    at_once: int | None = None  # None: not simulated


class Created(Struct, kw_only=True):
    """Where the object was bound: a cell's execution count, or a file and line."""

    cell: int | None = None
    cell_id: str | None = None
    line: int | None = None
    file: str | None = None
    source: Literal["hook", "history", "allocation", "code"] = "hook"


class AllocationSite(Struct, kw_only=True):
    """A line at which memory was allocated that is still held, and how much."""

    file: str
    line: int
    cell: int | None = None  # execution count, where the file is a notebook's cell
    function: str | None = None
    within: str | None = None  # the library call on that line: pandas read_csv
    bytes: int | None = None
    certain: bool = True  # False: where the pages were taken that the objects lie in
    native: list[str] = field(default_factory=list)  # native functions, innermost first


class HeldAllocations(Struct, kw_only=True):
    """What was allocated while allocations were logged, and not freed."""

    source: str  # memray
    bytes: int
    sites: list[AllocationSite] = field(default_factory=list)
    mapped_bytes: int = 0  # address space taken besides, used or not
    mapped: list[AllocationSite] = field(default_factory=list)


class LastUse(Struct, kw_only=True):
    """The last cell that used the object, and how long before the end of the recording."""

    cell: int | None = None
    seconds_ago: float | None = None


class Growth(Struct, kw_only=True):
    """Increase that repeated over equal rounds."""

    bytes_per_round: int
    rounds: int


class Cut(Struct, kw_only=True):
    """One thing that ``memprobe release`` does for a finding.

    ``action``: ``del``, ``output``, ``traceback``, ``frames``, ``clear``, ``cache-clear``,
    ``attribute``, ``close-figure``, ``unregister``, ``collect``, ``arrow``, ``trim``,
    ``unpersist``, ``unpersist-rdd``, ``uncache-table``, ``drop-view``, ``destroy``, ``jvm-gc``.
    """

    action: str
    expr: str  # the reference, as a person would type it
    says: str  # what is done, as a line of code where one would do the same
    root: str = ""  # its root kind, where the snapshot has it as a holder
    type: str = ""
    shape: list[int] | None = None
    length: int | None = None
    also: list[str] = field(default_factory=list)  # other names of what is emptied
    number: int | None = None  # of an RDD or a broadcast; of callbacks with one name: how many


class PathStep(Struct, kw_only=True):
    """One step of the retention path, root first. ``cut`` marks the reference to cut."""

    type: str
    edge: str
    cut: bool = False


class Finding(Struct, kw_only=True):
    """One primary finding about one object."""

    code: str
    name: str
    status: Status
    title: str
    context: Literal["notebook", "script"]
    object: HeldObject
    holders: list[Holding]
    exclusive_bytes: int
    shared_bytes: int
    reclaim: Reclaim
    created: Created | None = None
    last_used: LastUse | None = None
    growth: Growth | None = None
    path: list[PathStep] = field(default_factory=list)
    why: str = ""
    fix: str = ""
    release: bool = False  # whether `memprobe release` can do it: `cuts` says how
    cuts: list[Cut] = field(default_factory=list)
    not_released: str = ""  # why it cannot
    also: list[str] = field(default_factory=list)
    fingerprint: str = ""
    allocated: list[AllocationSite] = field(default_factory=list)  # where, most bytes first

    @property
    def fails(self) -> bool:
        """Whether a gate fails on this finding."""
        return self.status in FAILING


class Neighbour(Struct, kw_only=True):
    """Another process that lives under the same limit."""

    pid: int
    rss: int | None = None


class ProcessAccount(Struct, kw_only=True):
    """One process's RSS and where it lies, in the buckets of docs/account.md.

    Where there are shares, the buckets sum up to ``rss``. ``None`` shares: it was not looked into.
    """

    pid: int
    role: str  # driver-python, driver-jvm, executor-jvm, python-worker, child
    rss: int | None = None
    buckets: dict[str, int] = field(default_factory=dict)
    explained: float | None = None
    owned: float | None = None
    pss: int | None = None  # with shared pages divided by their users
    swap: int | None = None  # in none of the buckets
    trimmable: int | None = None  # of malloc-retained: what malloc_trim gives back


class Account(Struct, kw_only=True):
    """The memory account of every process of the context."""

    processes: list[ProcessAccount] = field(default_factory=list)
    seconds_ago: float | None = None  # before the recording's end; None: no buckets
    limit_used: int | None = None  # what counts against the limit, of everybody under it
    neighbours: list[Neighbour] = field(default_factory=list)


class NotMeasured(Struct, kw_only=True):
    """Something the report cannot speak of, and why."""

    what: str
    why: str


class Overhead(Struct, kw_only=True):
    """What the measurement itself cost the target."""

    cpu_seconds: float | None = None
    cpu_share: float | None = None  # of one core, over the recording's length
    bytes: int | None = None
    pauses_ms: list[float] = field(default_factory=list)
    exit_ms: float | None = None  # the snapshot at exit, when nobody waits for it any more
    log: str | None = None  # who logged every allocation beside us, which slows them: memray
    log_bytes: int | None = None
    logged: int | None = None  # allocations
    traced_frames: int | None = None  # of tracemalloc, which slows allocations too
    engine: Literal["native", "fallback"] | None = None  # that took the last snapshot
    engine_note: str | None = None  # why not the native one, or what failed in it


class InnerRow(Struct, kw_only=True):
    """An object inside of a holder with what only it keeps there; or several small ones of a type.

    ``edge`` leads to it from the row that it lies in: ``.frames``, ``[0]``, ``.left[0]``; a dict's
    key is ``[key]``. Empty where several objects are summed up.
    """

    edge: str
    object: HeldObject
    bytes: int  # all that it keeps
    share: float  # of what the holder keeps
    own_bytes: int
    objects: int
    count: int = 1  # so many objects together
    shared_inside: bool = False  # several objects in there lead to it; `edge` is one way
    columns: list[int] = field(default_factory=list)  # of a frame, by number
    rows: list[InnerRow] = field(default_factory=list)


class Inside(Struct, kw_only=True):
    """What a holder's object consists of, by what keeps what (its dominator tree).

    ``bytes`` is what the holder keeps alone, or with ``kept_with`` all of it. What it reaches
    besides, and others keep too, is in ``shared_bytes`` and in no row.
    """

    bytes: int
    own_bytes: int
    objects: int
    kept_with: list[str] = field(default_factory=list)
    shared_bytes: int = 0
    shared_with: list[str] = field(default_factory=list)  # most bytes first
    cell: int | None = None  # the last that had started when it was taken
    last: bool = True  # whether the last snapshot tells it
    rows: list[InnerRow] = field(default_factory=list)


class HolderRow(Struct, kw_only=True):
    """One line of "who holds what" in the last snapshot, largest first."""

    exprs: list[str]
    roots: list[str]
    object: HeldObject
    exclusive_bytes: int
    shared_bytes: int
    created: Created | None = None
    last_used: LastUse | None = None
    inside: Inside | None = None  # None: nobody asked for it, or it was not measured


class CellRow(Struct, kw_only=True):
    """One executed cell: its duration, error and memory."""

    cell: int | None
    seconds: float | None = None
    error: str | None = None
    rss: int | None = None
    peak: int | None = None
    peak_by: str | None = None
    change: int | None = None  # RSS at its end minus RSS at its start


class RecordingSummary(Struct, kw_only=True):
    """What was recorded: context, length, end, limit and slope."""

    path: str
    format: int
    context: Literal["notebook", "script"]
    program: str
    pid: int
    start: float  # unix seconds
    method: str = ""  # how the probe came in: run, kernel, extension, record
    wall: float | None = None
    python: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    ended: str = "unknown"  # reason of the end record; "cut off" where there is none
    status: int | None = None
    signal: int | None = None
    torn: bool = False
    warnings: list[str] = field(default_factory=list)
    samples: int = 0
    snapshots: int = 0
    cells: int = 0
    rss: int | None = None
    peak: int | None = None
    limit: int | None = None
    limit_source: str = "unknown"
    slope: float | None = None  # bytes per second over the last minutes
    seconds_to_limit: float | None = None
    timeline: list[list[float]] = field(default_factory=list)  # [seconds since start, RSS bytes]
    cell_rows: list[CellRow] = field(default_factory=list)


class SparkCacheRow(Struct, kw_only=True):
    """One cached DataFrame, persisted RDD or local checkpoint, and what holds it."""

    kind: str  # dataframe, rdd, checkpoint
    holders: list[str] = field(default_factory=list)  # what to type to reach it
    behind: list[str] = field(default_factory=list)  # frames that would read it only to recompute
    views: list[str] = field(default_factory=list)
    table: str | None = None
    ours: bool = True  # False: another program on the driver may have made or may hold it
    known: bool = True  # False: not every live frame has been looked up
    rdd: int | None = None
    level: str = ""
    operators: list[str] = field(default_factory=list)
    memory: int | None = None
    disk: int | None = None
    partitions: int | None = None
    cached: int | None = None  # partitions that are stored
    executors: dict[str, list[int]] = field(default_factory=dict)  # executor → [memory, disk]
    reads: int | None = None  # without the query that filled it
    created: Created | None = None
    last_used: LastUse | None = None  # when a query last read it


class SparkExecutorRow(Struct, kw_only=True):
    """One executor: its storage memory, and the processes behind it."""

    id: str
    host: str = ""
    active: bool = True
    cores: int | None = None
    max: int | None = None  # storage memory
    used: int | None = None
    used_peak: int | None = None  # highest that any reading found
    disk: int | None = None
    blocks: int | None = None
    spilled: int | None = None
    failed_tasks: int | None = None
    task_ms: int | None = None
    gc_ms: int | None = None
    heap_peak: int | None = None
    jvm_rss: int | None = None
    python_rss: int | None = None  # of its Python workers together
    workers: int | None = None  # how many these are, the daemon that starts them included
    rss_by: Literal["proc", "peak"] | None = None  # read just then, or Spark's highest ever
    removed: str | None = None


class SparkBroadcastRow(Struct, kw_only=True):
    """One broadcast variable with its copies."""

    id: int
    holders: list[str] = field(default_factory=list)
    memory: int | None = None
    disk: int | None = None
    file: int | None = None  # the pickled value, in a file of the driver
    in_python: bool = False  # the Python process has the value in memory too
    destroyed: bool = False
    created: Created | None = None


class SparkJvm(Struct, kw_only=True):
    """The driver's JVM, as it was last read."""

    pid: int | None = None
    heap_used: int | None = None
    heap_after_gc: int | None = None
    heap_committed: int | None = None
    heap_max: int | None = None
    pools: dict[str, int] | None = None
    buffers: dict[str, int] | None = None
    gc_ms: int | None = None
    collections: int | None = None
    threads: int | None = None
    classes: int | None = None
    rss: int | None = None
    classes_by_bytes: list[list[int | str]] = field(default_factory=list)  # [class, count, bytes]


class SparkStreamRow(Struct, kw_only=True):
    """One streaming query."""

    id: str
    active: bool = True
    batches: int | None = None
    state_rows: int | None = None
    state_bytes: int | None = None


class SparkReport(Struct, kw_only=True):
    """What was read of a Spark application; a list is None where it could not be read."""

    app: str | None = None
    version: str | None = None
    master: str | None = None
    mode: Literal["classic", "connect"] = "classic"
    readings: int = 0
    seconds_ago: float | None = None  # the last reading, before the recording's end
    stopped: bool = False  # since then: nothing of it is stored any more
    shared: bool = False
    caches: list[SparkCacheRow] | None = None
    executors: list[SparkExecutorRow] | None = None
    broadcasts: list[SparkBroadcastRow] | None = None
    blocks: dict[str, list[int]] | None = None  # kind → [number, memory, disk]
    streams: list[SparkStreamRow] | None = None
    jvm: SparkJvm | None = None
    sessions: int | None = None
    accumulators: int | None = None
    executions: int | None = None  # SQL executions that the driver remembers
    jobs: int | None = None
    stages: int | None = None
    python_objects: int | None = None  # references into the JVM that Python holds
    jvm_objects: int | None = None  # objects that the JVM keeps for them


class Report(Struct, kw_only=True):
    """Everything a reporter shows."""

    version: int = 1
    recording: RecordingSummary
    account: Account
    findings: list[Finding] = field(default_factory=list)
    not_measured: list[NotMeasured] = field(default_factory=list)
    overhead: Overhead = field(default_factory=Overhead)
    holders: list[HolderRow] = field(default_factory=list)
    known: list[str] = field(default_factory=list)  # fingerprints left out: in the baseline
    allocations: HeldAllocations | None = None  # None: nobody logged them
    spark: SparkReport | None = None  # None: no Spark application was read
    rules: dict[str, str] = field(default_factory=dict)  # code → name of the rules that were run

    @property
    def fails(self) -> bool:
        """Whether a gate over this report fails."""
        return any(finding.fails for finding in self.findings)


class InsideReport(Struct, kw_only=True):
    """What is inside of some holders, and nothing else."""

    version: int = 1
    recording: RecordingSummary
    holders: list[HolderRow] = field(default_factory=list)


def fingerprint(
    code: str, root: str, type_name: str, path: list[PathStep], source_hash: str
) -> str:
    """Return the 12 hex digits that name this finding in every recording of the same program.

    Indices in the path are generalised to ``[*]``, and no address or size takes part.
    """
    edges = "/".join(_general(step.edge) for step in path)
    text = "\n".join([code, root, type_name, edges, source_hash])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def number_duplicates(findings: list[Finding]) -> None:
    """Append ``-2``, ``-3`` … to fingerprints that occur more than once, in order."""
    seen: dict[str, int] = {}
    for finding in findings:
        base = finding.fingerprint
        seen[base] = seen.get(base, 0) + 1
        if seen[base] > 1:
            finding.fingerprint = f"{base}-{seen[base]}"


def _general(edge: str) -> str:
    return "[*]" if edge.startswith("[") else edge
