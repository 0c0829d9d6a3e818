"""The records of a recording (format 1), one class per kind; ``docs/recording.md`` is the table.

Every record carries ``kind`` and ``t`` (``time.monotonic_ns()`` of the machine that wrote it).
Sizes are bytes. ``None`` means "not measured", never zero. Fields that a reader does not know are
skipped; a field is never renamed and never changes its meaning within one format.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import field

FORMAT = 1

Context = Literal["notebook", "script"]


class Struct(msgspec.Struct, forbid_unknown_fields=True):
    """What every class here is: a decoder refuses fields it does not know.

    ``recording.lines`` then looks again, names them and leaves them out. This way a line without
    any, as nearly all are, is decoded and checked in one step.
    """


class Limits(Struct, kw_only=True, omit_defaults=True):
    """Memory limits of the context in bytes. ``effective`` is the lowest that applies."""

    effective: int | None = None
    source: str = "unknown"  # cgroup-v2, cgroup-v1, rlimit, host, unknown
    host_total: int | None = None


class Databricks(Struct, kw_only=True):
    """The Databricks compute that a recording comes from, as far as it was known there."""

    runtime: str = ""  # such as 15.4; client.2.1 on serverless compute
    mode: str = "unknown"  # dedicated, standard, no isolation, serverless
    connect: bool = False  # Spark was reached by Spark Connect
    autotermination: int | None = None  # minutes without activity until it ends; 0: never


class Header(Struct, kw_only=True, tag_field="kind", tag="header"):
    """The first record: who was measured, where, and how."""

    t: int
    format: int = FORMAT
    memprobe: str = ""
    python: str = ""
    implementation: str = ""
    platform: str = ""
    context: Context = "script"
    pid: int = 0
    start: float = 0.0  # unix seconds
    program: str = ""  # a file's or module's name, never its arguments
    argc: int = 0
    session: str = ""
    method: str = ""  # how the probe came in: run, kernel, server … (docs/recording.md has all)
    limits: Limits = field(default_factory=Limits)
    libraries: dict[str, str] = field(default_factory=dict)
    interval: float = 1.0  # seconds between samples
    cap: int = 0  # size cap of the recording in bytes
    databricks: Databricks | None = None  # None: it ran somewhere else


class Child(Struct, kw_only=True):
    """A process below the target."""

    pid: int
    role: str = "child"  # driver-jvm, executor-jvm, python-worker, child
    rss: int | None = None
    cpu: float | None = None  # CPU seconds that it has used


class Cost(Struct, kw_only=True):
    """What the probe itself has used since it started."""

    cpu_ns: int = 0
    bytes: int = 0  # written to the spool
    user_ns: int = 0  # part of cpu_ns that was spent on the user's own thread


class Sample(Struct, kw_only=True, tag_field="kind", tag="sample"):
    """One timed reading of counters."""

    t: int
    by: Literal["probe", "host"] = "probe"
    rss: int | None = None
    peak: int | None = None  # high-water mark since the context began
    pss: int | None = None
    used: int | None = None  # what the limiting cgroup (or host) has in use
    children: list[Child] | None = None
    gc: list[int] | None = None  # gc.get_count()
    collections: list[int] | None = None  # collections done, per generation
    threads: int | None = None
    fds: int | None = None
    interval: float | None = None  # seconds to the next sample
    lengths: dict[str, int] = field(default_factory=dict)  # containers that changed length
    cost: Cost | None = None


class Marker(Struct, kw_only=True, tag_field="kind", tag="marker"):
    """A boundary: a cell run, a script phase, a Spark job."""

    t: int
    marker: Literal["cell", "phase", "job"] = "cell"
    phase: Literal["start", "end", "replay"] = "end"
    source: Literal["hook", "history"] = "hook"
    name: str | None = None
    cell: int | None = None  # execution count
    cell_id: str | None = None
    hash: str | None = None  # of the source; 12 hex digits
    seconds: float | None = None
    error: str | None = None  # the exception's type
    shows: bool = False  # the cell ended in an expression that was displayed
    cpu: float | None = None  # CPU seconds the process has used so far
    jvm_cpu: float | None = None  # CPU seconds of Spark's driver JVM so far
    workers_cpu: float | None = None  # CPU seconds of the Python workers below it so far
    rss: int | None = None
    peak: int | None = None  # highest RSS while it ran
    peak_by: str | None = None  # kernel (high-water mark) or sampled
    bound: dict[str, int] = field(default_factory=dict)  # name → line in the cell, 0 unknown
    used: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    made: dict[str, list[str]] = field(default_factory=dict)  # name → names it was computed from
    recomputed: list[str] = field(default_factory=list)  # of `made`: with other values throughout
    collected: dict[str, list[str]] = field(default_factory=dict)  # name → [source, method]
    lengths: dict[str, int] = field(default_factory=dict)  # containers that changed length
    advanced: list[str] = field(default_factory=list)  # iterators and counters that went on


class Step(Struct, kw_only=True):
    """One step of a retention path: the edge that leads to an object, and the object's type."""

    edge: str
    type: str


class Cache(Struct, kw_only=True):
    """The counters of an ``lru_cache``."""

    size: int  # entries now
    maxsize: int | None = None  # None: unbounded
    hits: int = 0
    misses: int = 0
    method: bool = False  # it caches a method: its keys keep instances
    instances: int | None = None  # of a method: those that its keys keep
    lost: int | None = None  # of these: what only the cache refers to, and no equal one stands for


class Strings(Struct, kw_only=True):
    """Texts stored as Python objects, and what a typed column would take."""

    columns: int
    bytes: int  # now, pointers included; estimated from a random sample
    typed: int  # as an Arrow string column


class Inner(Struct, kw_only=True):
    """An object inside of a holder, with what can only be reached through it."""

    parent: int | None = None  # number of the row it lies in; None: the holder's object itself
    path: list[Step] = field(default_factory=list)  # from there
    type: str = ""
    count: int = 1  # more than one: so many small objects of this type together
    own: int = 0  # shallow bytes, the dict of its attributes included
    bytes: int = 0  # of all that it keeps
    objects: int = 0
    shape: list[int] | None = None
    dtypes: dict[str, int] = field(default_factory=dict)
    length: int | None = None
    columns: list[int] = field(default_factory=list)  # that a frame's block holds, by number


class Holder(Struct, kw_only=True):
    """A reference a user can cut. Holders with the same ``object`` point to one object."""

    id: int
    root: str  # one of the root kinds
    expr: str  # what to type to reach it: df, Out[7], sys.last_value
    object: int  # number of the held object within this snapshot
    type: str
    shape: list[int] | None = None
    dtypes: dict[str, int] = field(default_factory=dict)  # dtype → number of columns
    length: int | None = None
    path: list[Step] = field(default_factory=list)
    cell: int | None = None  # of Out[7]: 7
    function: str | None = None  # of a frame
    file: str | None = None
    line: int | None = None
    cache: Cache | None = None
    since: int | None = None  # cell that had begun when it was first seen waiting where it waits
    due: float | None = None  # of a callback: seconds until it is called, at most
    parts: dict[str, int] = field(default_factory=dict)  # container inside it → its own bytes
    strings: Strings | None = None
    inside: list[Inner] = field(default_factory=list)  # where it was asked for


class Site(Struct, kw_only=True):
    """Where memory was allocated: a place in a file, never its text."""

    file: str
    line: int
    function: str | None = None
    bytes: int | None = None
    cell: int | None = None  # execution count, where the file is a notebook's cell
    within: str | None = None  # the library call on that line that allocated: pandas read_csv
    certain: bool = True  # False: of the pages the objects lie in, not of the objects themselves
    native: list[str] = field(default_factory=list)  # native functions, the innermost first


class Place(Struct, kw_only=True, array_like=True):
    """A block of memory of a group, as ``[address, bytes, stands for]``, all in bytes."""

    address: int  # 0: not known, but the block's exact size is
    bytes: int
    stands_for: int  # bytes of the group that it is a sample of


class Group(Struct, kw_only=True):
    """Bytes kept by exactly this set of holders: they come back when all of them are cut."""

    holders: list[int]
    bytes: int
    low: int | None = None  # None: no interval, the sum is exact
    high: int | None = None
    objects: int = 0
    top: str | None = None  # type that holds most of the bytes
    path: list[Step] = field(default_factory=list)  # from the first holder to the largest object
    via: list[str] = field(default_factory=list)  # traceback, frame, cache … met on that path
    pinned: int | None = None  # of buffers that only smaller views keep: what no view shows
    returned: int | None = None  # bytes that go back to the system, after a trim
    returned_untrimmed: int | None = None  # the same without one
    sites: list[Site] = field(default_factory=list)  # where the largest objects were allocated
    places: list[Place] = field(default_factory=list)  # where some of it lies, for a log


class TypeCount(Struct, kw_only=True):
    """Number and shallow bytes of the instances of one type."""

    type: str
    count: int
    bytes: int


class Unmeasured(Struct, kw_only=True):
    """Something that was not measured, and why."""

    what: str
    why: str


class Cycles(Struct, kw_only=True):
    """What waits in reference cycles that nothing reaches any more, at this instant."""

    bytes: int
    objects: int
    types: list[TypeCount] = field(default_factory=list)  # the largest
    enabled: bool = True  # gc.isenabled()
    idle: bool = False  # switched off, or out of reach of its thresholds
    thresholds: list[int] = field(default_factory=list)  # gc.get_threshold()
    frozen: int = 0  # gc.get_freeze_count()
    frozen_bytes: int | None = None  # of `bytes`: what frozen objects keep, which nobody collects
    saved: int | None = None  # bytes that only gc.garbage keeps


class CacheCall(Struct, kw_only=True):
    """A line of a script that asks Spark to keep something, and what the kept data is called."""

    file: str
    line: int
    kind: Literal["cache", "checkpoint"] = "cache"
    names: list[str] = field(default_factory=list)


class ChildProcess(Struct, kw_only=True):
    """A process that the context started, as a snapshot found it."""

    pid: int
    name: str = ""  # the program's, without directory and arguments
    parent: int = 0
    session: int = 0
    role: str = "child"  # or helper: Python's own
    started: int = 0  # on the clock of t
    cpu_ns: int = 0
    rss: int | None = None
    pss: int | None = None
    private: int | None = None  # what comes back when it ends
    listens: bool | None = None  # a server
    waits: bool | None = None  # it did nothing while it was looked at


class ProcessHolder(Struct, kw_only=True):
    """A reference that leads to processes: to a pool, an executor, or what stands for one."""

    expr: str
    root: str
    type: str  # of the pool, the executor …
    pids: list[int]
    cell: int | None = None  # of Out[7]: 7
    path: list[Step] = field(default_factory=list)  # from expr to the pool
    pending: int | None = None  # pieces of work that are not done
    timeout: float | None = None  # seconds without work after which its processes end


class SegmentHolder(Struct, kw_only=True):
    """A reference that maps a segment of shared memory, or a text that is its name."""

    expr: str
    root: str
    type: str
    cell: int | None = None  # of Out[7]: 7
    path: list[Step] = field(default_factory=list)  # from expr to the object
    made: bool | None = None  # of a SharedMemory: it made the segment; False: it was attached


class Segment(Struct, kw_only=True):
    """A file in memory that the context made: a segment, or a file in /dev/shm."""

    name: str
    bytes: int | None = None  # in memory
    linked: bool = False  # its name is there: it stays whoever lets go of it
    registered: bool = False  # made or attached by Python's multiprocessing
    mapped: bool = False  # by the target itself
    open: bool = False
    made: int | None = None  # on the clock of t
    users: int | None = None  # other processes that map it
    holders: list[SegmentHolder] = field(default_factory=list)
    unnamed: bool = False  # something without a name uses it too


class Snapshot(Struct, kw_only=True, tag_field="kind", tag="snapshot"):
    """What named holders keep alive at an instant, as tables, never as the raw graph."""

    t: int
    reason: str = "marker"  # attach, marker, interval, threshold, request, detach, exit
    engine: Literal["fallback", "native"] = "fallback"
    engine_note: str | None = None  # why not the native one, or what failed
    cell: int | None = None  # the last cell that had started
    busy: bool = False  # a cell was running
    idle: float | None = None  # seconds since the kernel was last asked; None: busy, or not known
    cpu: float | None = None  # CPU seconds of the process's own work, without the probe's
    skipped: str | None = None  # why nothing was measured
    pause_ns: int | None = None
    took_ns: int | None = None
    estimate_ns: int | None = None  # the pause that was expected
    threshold: float | None = None  # share of the limit that was crossed
    rss: int | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    objects: int = 0
    awaited: list[str] = field(default_factory=list)  # names that callbacks may read at any time
    grown: list[str] = field(default_factory=list)  # containers that code only adds to
    memos: list[str] = field(default_factory=list)  # dicts that code looks up by key and fills
    cache_calls: list[CacheCall] = field(default_factory=list)  # lines of a script, at its end
    holders: list[Holder] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    types: list[TypeCount] = field(default_factory=list)
    cycles: Cycles | None = None  # None: not measured
    traced: int | None = None  # frames that tracemalloc keeps of each allocation; None: it is off
    number: int | None = None  # by which a probe that is still there knows it: for `release`
    processes: list[ChildProcess] | None = None  # None: nobody looked
    process_holders: list[ProcessHolder] = field(default_factory=list)
    segments: list[Segment] | None = None  # None: nobody looked
    unmeasured: list[Unmeasured] = field(default_factory=list)


class SparkReach(Struct, kw_only=True):
    """A reference in the Python process that leads to a cached DataFrame, RDD or broadcast.

    ``how``: ``itself``, the reference is the cached frame, or one with the same plan; ``reads``,
    running it reads the cache; ``behind``, its plan has the cache behind another cache, which is
    read instead. An expression of ``?`` is a live object that no name was found for.
    """

    expr: str
    root: str = "notebook-namespace"  # one of the root kinds
    how: Literal["itself", "reads", "behind"] = "itself"
    cell: int | None = None  # of Out[7]: 7


class SparkCache(Struct, kw_only=True):
    """A cached DataFrame, a persisted RDD or a local checkpoint, and what reaches it."""

    id: int  # the same in every reading of an application; no Spark id
    kind: Literal["dataframe", "rdd", "checkpoint"] = "dataframe"
    rdd: int | None = None  # its RDD; None: nothing was computed for it yet
    level: str = ""  # MEMORY_AND_DISK, as pyspark.StorageLevel names it
    table: str | None = None  # of CACHE TABLE: its name
    operators: list[str] = field(default_factory=list)  # names of the plan's operators, top first
    plan: str = ""  # hash of the canonical plan: frames with the same one share the cache
    shape: str = ""  # hash of operators and column types: equal for runs of the same code
    memory: int | None = None
    disk: int | None = None
    partitions: int | None = None
    cached: int | None = None  # partitions that are stored
    executors: dict[str, list[int]] = field(default_factory=dict)  # executor → [memory, disk]
    holders: list[SparkReach] = field(default_factory=list)
    views: list[str] = field(default_factory=list)  # temporary views that read it
    above: list[int] = field(default_factory=list)  # caches whose plan is computed from this one
    cell: int | None = None  # that made it
    file: str | None = None  # or the place in a script
    line: int | None = None
    since: int | None = None  # t of the first reading that had it; None: it was there before us
    reads: int | None = None  # queries and jobs that read it, without the one that filled it
    read_cell: int | None = None  # the last cell that had started when it was last read
    read_t: int | None = None  # when it was last found to have been read
    ours: bool = True  # False: another program on this driver may have made or may hold it
    known: bool = True  # False: not every live frame has been looked up yet


class SparkExecutor(Struct, kw_only=True):
    """One executor; in local mode ``driver``. Storage memory, and the host's view of it."""

    id: str
    host: str = ""
    active: bool = True
    cores: int | None = None
    max: int | None = None  # storage memory: what there is, used, and left
    used: int | None = None
    remaining: int | None = None
    disk: int | None = None
    blocks: int | None = None  # of RDDs
    failed_tasks: int | None = None
    task_ms: int | None = None
    gc_ms: int | None = None
    spilled: int | None = None  # bytes that its tasks have written to disk for want of memory
    heap_peak: int | None = None  # of its JVM
    jvm_rss: int | None = None
    python_rss: int | None = None  # of its Python workers together
    workers: int | None = None  # how many these are, the daemon that starts them included
    rss_by: Literal["proc", "peak"] | None = None  # read now on this host, or Spark's own peak
    removed: str | None = None  # why it is gone


class SparkBroadcast(Struct, kw_only=True):
    """A broadcast variable that Python made, with its copies."""

    id: int
    memory: int | None = None  # blocks on executors, the driver's included
    disk: int | None = None
    executors: dict[str, list[int]] = field(default_factory=dict)  # executor → [memory, disk]
    file: int | None = None  # bytes of the pickled value in a file of the driver
    value: bool = False  # the Python process has the value in memory as well
    destroyed: bool = False
    holders: list[SparkReach] = field(default_factory=list)
    cell: int | None = None  # that made it
    since: int | None = None


class SparkBlocks(Struct, kw_only=True):
    """Stored blocks of one kind over all executors."""

    kind: str  # rdd, broadcast, shuffle, stream, task, other
    count: int = 0
    memory: int = 0
    disk: int = 0


class SparkStream(Struct, kw_only=True):
    """A streaming query."""

    id: str
    active: bool = True
    batches: int | None = None
    state_rows: int | None = None
    state_bytes: int | None = None


class Spark(Struct, kw_only=True, tag_field="kind", tag="spark"):
    """A reading of a Spark application, from the driver. Lists are None where nobody could look."""

    t: int
    reason: str = "interval"  # cell, step, interval, request, exit
    app: str | None = None
    version: str | None = None
    master: str | None = None  # local[2], local-cluster, spark, yarn, k8s: without any address
    mode: Literal["classic", "connect"] = "classic"
    cell: int | None = None  # the last cell that had started
    caches: list[SparkCache] | None = None
    executors: list[SparkExecutor] | None = None
    broadcasts: list[SparkBroadcast] | None = None
    blocks: list[SparkBlocks] | None = None
    streams: list[SparkStream] | None = None
    sessions: int | None = None  # of this Python process
    shared: bool = False  # other programs use the same driver, as far as one can tell
    accumulators: int | None = None
    executions: int | None = None  # SQL executions that the driver remembers
    jobs: int | None = None
    stages: int | None = None
    python_objects: int | None = None  # references into the JVM that this process holds
    jvm_objects: int | None = None  # objects that the JVM keeps for them
    took_ns: int | None = None
    user_ns: int | None = None  # part of it on the user's own thread
    unmeasured: list[Unmeasured] = field(default_factory=list)


class Jvm(Struct, kw_only=True, tag_field="kind", tag="jvm"):
    """A reading of the driver's JVM."""

    t: int
    pid: int | None = None
    cell: int | None = None  # the last cell that had started
    heap_used: int | None = None
    heap_after_gc: int | None = None  # what the last collections left
    heap_committed: int | None = None
    heap_max: int | None = None
    pools: dict[str, int] | None = None
    buffers: dict[str, int] | None = None  # direct and mapped
    gc_ms: int | None = None
    collections: int | None = None
    threads: int | None = None
    classes: int | None = None
    rss: int | None = None
    histogram: list[TypeCount] = field(default_factory=list)  # where it was asked for
    unmeasured: list[Unmeasured] = field(default_factory=list)


class JvmLevel(Struct, kw_only=True, tag_field="kind", tag="jvm-level"):
    """Where the driver's JVM was when a cell had ended, or now and then in a script."""

    t: int
    cell: int | None = None  # the cell that had ended
    heap_after_gc: int | None = None
    collected: int | None = None  # when the collection had ended after which that was
    collections: int | None = None
    stored: int | None = None  # blocks in this JVM's memory, as caches of local mode are
    python_objects: int | None = None  # references into the JVM that this process holds
    jvm_objects: int | None = None  # that the JVM keeps for such references
    jobs: int | None = None  # submitted so far


class ProcessMemory(Struct, kw_only=True):
    """The resident memory of one process, in buckets that sum up to it.

    The names of the buckets are those of ``memprobe_probes.account_buckets``; one that is missing
    could not be told apart.
    """

    pid: int
    role: str = "driver-python"  # or driver-jvm, executor-jvm, python-worker, child
    rss: int | None = None  # the sum of smaps
    pss: int | None = None
    swap: int | None = None
    anonymous: int | None = None  # of rss: neither a file's nor shared
    buckets: dict[str, int] = field(default_factory=dict)  # {}: of the cheap account
    trimmable: int | None = None  # of malloc-retained: whole pages that malloc_trim gives back


class Account(Struct, kw_only=True, tag_field="kind", tag="account"):
    """Where the resident memory of the context lies, byte by byte.

    The cheap account (``full`` false) has the totals and what allocators tell of themselves.
    """

    t: int
    reason: str = "interval"  # or as a snapshot's
    full: bool = False
    cell: int | None = None  # the last cell that had started
    processes: list[ProcessMemory] = field(default_factory=list)  # the target first
    malloc_used: int | None = None  # in use of glibc's heaps, what is mapped for itself included
    malloc_free: int | None = None  # free in them
    arrow_live: int | None = None  # bytes of Arrow's default pool
    arrow_backend: str | None = None  # system, jemalloc, mimalloc
    python_blocks: int | None = None  # sys.getallocatedblocks()
    limit_used: int | None = None  # what counts against the effective limit
    neighbours: list[Child] = field(default_factory=list)  # others under the same limit, largest
    took_ns: int | None = None
    pause_ns: int | None = None  # part of it in which the program may have waited
    unmeasured: list[Unmeasured] = field(default_factory=list)


class GroupSites(Struct, kw_only=True):
    """Where the bytes of one group of a snapshot were allocated."""

    group: int  # its position in the snapshot's groups
    sites: list[Site] = field(default_factory=list)


class Allocations(Struct, kw_only=True, tag_field="kind", tag="allocations"):
    """What a log of allocations says of what was still held when it ended."""

    t: int
    source: str = "memray"
    file: str = ""  # its name, in the folder of the recording
    file_bytes: int | None = None
    recorded: int | None = None  # allocations in it
    native: bool = False  # with native stacks
    failed: str | None = None  # why it says nothing
    snapshot: int | None = None  # t of the snapshot whose groups were looked up in it
    unjoined: str | None = None  # why they were not
    groups: list[GroupSites] = field(default_factory=list)
    held_bytes: int | None = None  # allocated while it was written, and not freed
    held: list[Site] = field(default_factory=list)  # where: the largest
    mapped_bytes: int | None = None  # address space taken besides, used or not
    mapped: list[Site] = field(default_factory=list)  # where: the largest


class Event(Struct, kw_only=True, tag_field="kind", tag="event"):
    """Something that happened to the measurement itself."""

    t: int
    event: str
    detail: str | None = None
    client: str | None = None


class End(Struct, kw_only=True, tag_field="kind", tag="end"):
    """The last record: why the recording ended."""

    t: int
    reason: str = "exit"
    status: int | None = None  # of a process that exited
    signal: int | None = None
    peak: int | None = None  # true maximum RSS
    wall: float | None = None  # seconds
    cpu: float | None = None  # seconds, target and children
    at_exit: float | None = None  # seconds of them that the last snapshot took, its copy included


Record = (  # one of these per line
    Header
    | Sample
    | Marker
    | Snapshot
    | Spark
    | Jvm
    | JvmLevel
    | Account
    | Allocations
    | Event
    | End
)
KINDS = (
    "header", "sample", "snapshot", "marker", "spark", "jvm", "jvm-level", "account", "allocations",
    "event", "end",
)  # fmt: skip
