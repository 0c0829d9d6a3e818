"""One probe in one process: what it records and when; knows nothing of threads and transports."""

from __future__ import annotations

import os
import sys
import time

from . import FORMAT, VERSION, allocation_sites, roots, user_signals
from .engines import AT_REST, AWAITED, LATER, Engines, Unsafe
from .garbage import NS_PER_BLOCK
from .recorder import Recorder
from .sampler import Counters, Governor, cpu_seconds
from .turns import Turns
from .walk import TooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

    from . import notebook

THRESHOLDS = (0.60, 0.75, 0.85)
_LIBRARIES = ("IPython", "ipykernel", "numpy", "pandas", "pyarrow", "polars", "pyspark", "torch")
LONGEST_WAIT = 2.0  # seconds for a snapshot that was begun and is not there yet
LONGEST_TURN = 30.0  # seconds for one that another thread takes; a copy has 25
_FOLDER = os.path.dirname(globals().get("__file__") or "")
_MOST_ERRORS = 5
_MOST_NAMES = 400
# Snapshots that come with a reading of Spark of the same moment.
_WITH_SPARK = {"attach": "request", "request": "request", "marker": "cell", "detach": "exit",
               "exit": "exit"}  # fmt: skip
# Snapshots that also tell of child processes and shared memory.
_BESIDE = ("attach", "marker", "request", "detach", "stop", "lease-expired", "exit")
_BESIDE_SCRIPT = ("request", "detach", "stop", "exit")
_ROUTINE = ("interval", "marker")  # snapshots that nobody asked for do not look inside of holders
_OFFHAND = ("interval", "threshold")  # in the midst of the program's own work: it never waits


class Probe:
    """Measures this process and writes the recording ``config["spool"]``.

    Every public method catches its own errors: what fails becomes an ``event``, and after a few
    failures the probe goes quiet. ``shell`` is the IPython shell of a notebook, or None.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.pid = os.getpid()
        self.shell = _shell() if config["context"] == "notebook" else None
        self.recorder = Recorder(config["spool"], config["cap"])  # first: it may raise
        self.counters = Counters()
        self.governor = Governor(config["cpu_share"], by_work=config["context"] == "script")
        self.interval = float(config["interval"])
        self.hooks: notebook.CellHooks | None = None
        self.crossed: set[float] = set()
        self.tracing: Any = None  # the module, where allocations are traced for this run
        self._census: Any = None
        self.errors = 0
        self.closed = False
        self.inside: Sequence[str] = config.get("inside") or ()  # holders, by expression
        self._engines = Engines(config)
        self._accountant: Any = None  # of the memory account, once it is asked for
        self._spark: Any = None  # the reader, once pyspark is in this process
        self._spark_cpu: Any = None  # the clock of its JVM, likewise
        self._to_note = False  # the next look at the roots is that of such a snapshot
        self.ledger: Any = None  # what the roots were at the last snapshot that was asked for
        self._outside: Any = None  # the reader of child processes and shared memory
        self.parting: str | None = None  # why the process is about to end, where a cell says so
        self._restarts: Any = None  # who reads that, on Databricks
        self._late: tuple[dict[str, Any], int] | None = None  # a snapshot on its way
        self._turns = Turns()  # at snapshots
        self._limits = config.get("limits") or _limits()
        self._write_header()

    @property
    def alive(self) -> bool:
        """Whether this is still the process the probe was made for, and still measuring."""
        return not self.closed and os.getpid() == self.pid and self.errors < _MOST_ERRORS

    def listen(self, ended: Any) -> None:
        """Replay the cells of before and follow the coming ones; ``ended`` runs after each."""
        if self.shell is None:
            return
        with self.guarded(on_user_thread=False):
            from . import notebook

            self.hooks = notebook.CellHooks(
                self.shell, self.counters, self._write_marker, self._in_hook,
                lambda: self._cell_ended(ended),
                reset_peak=bool(self.config.get("peak_reset", True)),
            )  # fmt: skip
            self.hooks.replay()
            self.hooks.install()
            if "DATABRICKS_RUNTIME_VERSION" in os.environ:
                from .restarts import Restarts

                self._restarts = Restarts(self, self.shell)
                self._restarts.install()

    def sample(self, *, on_user_thread: bool = False) -> None:
        """Write one sample, and a snapshot where a share of the limit is crossed."""
        with self.guarded(on_user_thread=on_user_thread):
            reading = self.counters.read()
            reading["interval"] = self.interval
            reading["cost"] = self.governor.report(self.recorder.written)
            if self.shell is None:
                reading["lengths"] = self._lengths()
            self.recorder.write("sample", **reading)
            if self.hooks is not None and reading["rss"]:
                self.hooks.sampled_peak = max(self.hooks.sampled_peak, reading["rss"])
            self._collect(wait=0.0)
            if self.recorder.crowded:
                self.interval = float(self.config["interval"]) * 2
        self.watch_limit(on_user_thread=on_user_thread)

    def watch_limit(self, *, on_user_thread: bool = False) -> None:
        """Take a snapshot when RSS crosses a share of the limit for the first time."""
        limit = self._limits.get("effective")
        rss = self.counters.rss()
        if not limit or not rss:
            return
        passed = [share for share in THRESHOLDS if rss >= share * limit]
        new = [share for share in passed if share not in self.crossed]
        self.crossed.update(passed)
        if new:
            self.snapshot("threshold", threshold=new[-1], on_user_thread=on_user_thread)

    def mark_present_level(self) -> None:
        """Take the shares of the limit already passed for known (the first snapshot shows them)."""
        limit, rss = self._limits.get("effective"), self.counters.rss()
        if limit and rss:
            self.crossed.update(share for share in THRESHOLDS if rss >= share * limit)

    def due(self) -> bool:
        """Whether the governor allows a snapshot now."""
        return self.governor.due()

    def snapshot(
        self, reason: str, *, threshold: float | None = None, on_user_thread: bool = False,
        unhurried: bool = False,
    ) -> bool:  # fmt: skip
        """Take one snapshot and write it; skipped with the reason where it would take too long.

        ``unhurried`` lifts the bound on the pause: at exit nobody waits. Where another thread is
        at one, this waits for it, so that the last one in the recording is the youngest. Returns
        whether this one is in the recording.
        """
        if not self.alive:
            return False  # in a forked child, that other thread will never end
        patience = 0.0 if on_user_thread and reason in _OFFHAND else LONGEST_TURN
        if not self._turns.take(patience):
            if patience:
                self.event("snapshot-missed", reason)
            return False
        try:
            return self._snapshot(reason, threshold, on_user_thread, unhurried)
        finally:
            self._turns.give_back()

    def _snapshot(
        self, reason: str, threshold: float | None, on_user_thread: bool, unhurried: bool
    ) -> bool:
        if reason in _WITH_SPARK:
            in_steps = reason == "marker" and self.shell is None
            reading = "step" if in_steps else _WITH_SPARK[reason]
            self.read_spark(reading, on_user_thread=on_user_thread)
        beside = self._beside(reason, on_user_thread)
        with self.guarded(on_user_thread=on_user_thread):
            if not self._collect(wait=0.0 if reason == "interval" else LONGEST_WAIT):
                if reason in _OFFHAND:
                    return False
                self._supersede()
            started, cpu = time.monotonic_ns(), time.thread_time_ns()
            self._engines.opened = () if reason in _ROUTINE else self.inside
            fields: dict[str, Any] = {
                "reason": reason, "engine": "fallback", "threshold": threshold,
                "rss": self.counters.rss(), "cell": self.hooks.last_cell if self.hooks else None,
                "busy": self.shell is not None and _cell_is_running(),
                "idle": _idle_seconds(self.shell), "cpu": self._cpu_of_program(),
                "libraries": _libraries(), "traced": allocation_sites.traced_frames(),
                **beside,
            }  # fmt: skip
            manner = AT_REST if unhurried else AWAITED
            if on_user_thread and reason in _OFFHAND and not unhurried:
                manner = LATER
            self._to_note = reason == "request"
            tables = self._tables(unhurried, manner, at_exit=reason == "exit")
            fields["pause_ns"] = time.thread_time_ns() - cpu
            if reason == "request" and self.ledger is not None:
                fields["number"] = self.ledger.number
            if self._engines.job is not None:
                self._late = ({**fields, **(tables or {})}, started)
                self.governor.rest_after(fields["pause_ns"], routine=reason == "interval")
                if reason == "threshold":
                    # Near the limit: what is not written at once may never be.
                    self._collect(wait=float(self.config["max_pause"]))
                return False
            fields.update(tables or {}, pause_ns=fields["pause_ns"])
            return self._write_snapshot(fields, started)
        return False

    def _beside(self, reason: str, on_user_thread: bool) -> dict[str, Any]:
        """Return what this context has outside of its own process, where there is time to look.

        Of a script at its end only: it would wait for it.
        """
        if reason not in (_BESIDE if self.shell is not None else _BESIDE_SCRIPT):
            return {}
        found: dict[str, Any] = {}
        with self.guarded(on_user_thread=on_user_thread):
            if self._outside is None:
                from .beside import Beside

                self._outside = Beside()
            found.update(self._outside.read(self.shell))
        return found

    def _write_snapshot(self, fields: dict[str, Any], started: int) -> bool:
        cpu = time.thread_time_ns()
        self._write_account(fields["reason"], fields["cell"], fields.pop("account", None))
        accounted = time.thread_time_ns() - cpu
        fields.setdefault("engine_note", self._engines.note)
        fields["engine"] = self._engines.engine
        fields["took_ns"] = time.monotonic_ns() - started
        written = self.recorder.write("snapshot", **fields)
        if not written and not self.recorder.failed:
            self.event("snapshot-dropped", "the size cap of the recording is reached")
        routine = fields["reason"] == "interval"
        copies = self._engines.copies_ns()
        self.governor.spent(copies, on_user_thread=False)
        cost = fields.get("pause_ns", 0) + copies + accounted
        self.governor.rest_after(cost, routine=routine)
        return written

    def _write_account(self, reason: str, cell: int | None, words: Any) -> None:
        """Write the account that comes with a snapshot, before it: who waits for that reads both.

        ``words``: the walker's; None where it did not count.
        """
        accountant, walker = self._accounting(), self._engines.walker
        if words is not None:
            # Only a notebook's probe has a thread of its own; at a script's end nobody waits.
            waiting = self.shell is None and reason != "exit"
            fields = accountant.full(words, walker, reason, waiting=waiting)
        else:
            why = self._engines.note or "the walker's account did not come to its end"
            fields = accountant.cheap(walker, why)
        self.recorder.write("account", reason=reason, cell=cell, **fields)

    def account(self) -> None:
        """Write the cheap account, where that is due; never on the user's thread."""
        with self.guarded(on_user_thread=False):
            accountant = self._accounting()
            if accountant.due():
                cell = self.hooks.last_cell if self.hooks else None
                fields = accountant.cheap(self._engines.walker)
                self.recorder.write("account", reason="interval", cell=cell, **fields)

    def _write_of_spark(self, kind: str, **fields: Any) -> None:
        self._accounting().context.note(kind, fields)
        self.recorder.write(kind, **fields)

    def _accounting(self) -> Any:
        if self._accountant is None:
            from .account import Accountant

            self._accountant = Accountant(self.pid)
        return self._accountant

    def _collect(self, wait: float) -> bool:
        """Write the snapshot that a copy has worked on; return whether none is left to wait for."""
        if self._late is None or self._engines.job is None:
            return True
        if not self._engines.job.wait(wait):
            return False
        (fields, started), self._late = self._late, None
        cpu = time.thread_time_ns()
        tables = self._engines.collect(lambda: roots.script_roots())
        if tables is None:
            tables = {"skipped": self._engines.note}
        fields = {**tables, **fields}
        fields["pause_ns"] += time.thread_time_ns() - cpu
        self._write_snapshot(fields, started)
        return True

    def _supersede(self) -> None:
        """Give up a snapshot that is still on its way: one that cannot wait takes its place."""
        self._late = None
        self._engines.close()

    def spark(self) -> Any:
        """Return the reader of Spark, or None: no pyspark is loaded. Imports nothing of it."""
        if self._spark is None and "pyspark" in sys.modules and not self.closed:
            from .spark import SparkReader

            self._spark = SparkReader(
                self._write_of_spark, self.governor.share,
                lambda: self.hooks.last_cell if self.hooks else None, self.shell,
            )  # fmt: skip
        return self._spark

    def jvm_times(self, *, look: bool) -> dict[str, float | None]:
        """Return a marker's fields of the CPU time of Spark's JVM; none without pyspark."""
        if "pyspark" not in sys.modules:
            return {}
        if self._spark_cpu is None:
            from .spark_cpu import SparkCpu

            self._spark_cpu = SparkCpu()
        jvm, workers = self._spark_cpu.read(look=look)
        return {} if jvm is None else {"jvm_cpu": jvm, "workers_cpu": workers}

    def read_spark(self, reason: str | None = None, *, on_user_thread: bool = False) -> None:
        """Read the Spark application, where there is one; without a reason, where that is due."""
        with self.guarded(on_user_thread=on_user_thread):
            reader = self.spark()
            if reader is not None and not reader.failed:
                reader.settle()
                reason = reason or reader.due()
                if reason is not None:
                    wanted = reason == "request" and bool(self.config.get("jvm_histogram"))
                    reader.read(reason, histogram=wanted)

    def _cell_ended(self, ended: Any) -> None:
        reader = self.spark()
        if reader is not None and self.hooks is not None:
            reader.cell_ended(self.hooks.last_cell)
        ended()

    def event(self, event: str, detail: str | None = None, client: str | None = None) -> None:
        """Write an event record."""
        self.recorder.write("event", event=event, detail=detail, client=client)

    def close(self, reason: str, *, final_snapshot: str | None = None) -> None:
        """Write the last records, stop listening and close every file. Safe to call twice."""
        if self.closed:
            return
        self.end_log()
        if self.alive:
            with self.guarded(on_user_thread=False):
                self._collect(wait=LONGEST_WAIT)
        began, at_exit = cpu_seconds(), final_snapshot == "exit"
        if self.alive and final_snapshot:
            self.snapshot(final_snapshot, unhurried=at_exit)
        if self.alive:
            self.sample()
        self.closed = True
        try:
            if self.hooks is not None:
                self.hooks.remove()
            if self._restarts is not None:
                self._restarts.remove()
            self.counters.high_water()
            ended = cpu_seconds()
            took = ended - began if at_exit and began is not None and ended is not None else None
            self.recorder.write("end", reason=reason, peak=self.counters.peak or None,
                                cpu=time.process_time(), at_exit=took)  # fmt: skip
            if self._spark is not None:
                self._spark.close()
        finally:
            self.abandon()

    def trace_allocations(self) -> None:
        """Start what the session asks for beside us; the last thing before the program begins."""
        if self.config.get("memray") or self.config.get("tracemalloc"):
            from . import allocation_tracing

            self.tracing = allocation_tracing
            failed = allocation_tracing.start(self.config)
            if failed:
                self.event("allocations-failed", failed)

    def end_log(self) -> None:
        """End the log of allocations, so that a last snapshot tells what was held just then."""
        if self.tracing is not None:
            with self.guarded(on_user_thread=False):
                self.tracing.stop_log()

    def abandon(self) -> None:
        """Close every file without writing: what a forked child does."""
        if self.tracing is not None:
            self.tracing.stop()
        if self._spark is not None:
            self._spark.abandon()
        self._engines.close()
        if self._accountant is not None:
            self._accountant.context.close()
        self.closed = True
        self.recorder.close()
        self.counters.close()

    def _cpu_of_program(self) -> float:
        """Return the CPU seconds of this process without those that measuring took."""
        own = self.governor.report(self.recorder.written)["cpu_ns"] / 1e9
        return max(0.0, time.process_time() - own)

    def _lengths(self) -> dict[str, int]:
        """Return the containers whose length changed since the sample before."""
        changes: dict[str, int] = self._counted().changes()
        return changes

    def _counted(self) -> Any:
        if self._census is None:
            from .census import Census

            self._census = Census()
        return self._census

    def _growing(self) -> list[str]:
        """Return the containers that were found longer time and again."""
        if self.hooks is not None:
            return self.hooks.growing()
        return [] if self._census is None else list(self._census.growing())

    def _usage(self, *, at_exit: bool) -> dict[str, list[Any]]:
        """Return what the code does with containers: of a script at its end, else of the cells."""
        if self.hooks is not None:
            return {"memos": self.hooks.memos()}
        if self.shell is not None or not at_exit:
            return {}
        from . import usage

        calls = None
        if "pyspark" in sys.modules:
            from .cache_calls import CacheCalls

            calls = CacheCalls()
        also = None if calls is None else calls.learn
        found = usage.of_program(usage.program_files(), also)
        exprs = self._counted().exprs()
        told: dict[str, list[Any]] = {"grown": found.grown(exprs),
                                      "memos": usage.named(exprs, found.memos)}  # fmt: skip
        if calls is not None:
            told["cache_calls"] = calls.told()
        return told

    def guarded(self, *, on_user_thread: bool) -> Guarded:
        """Return a context that accounts the block's CPU time and turns its errors into events."""
        return Guarded(self, on_user_thread)

    def look(self, *, at_exit: bool = False) -> list[roots.Root]:
        """Return every reference of this context that can keep an object."""
        if self.shell is None:
            return roots.script_roots(at_exit=at_exit)
        found = roots.notebook_roots(self.shell, self.hooks.waiting if self.hooks else None)
        if self.hooks is not None:
            roots.tell_cells(found, self.hooks.figures, self.hooks.last_cell)
        if self._to_note:
            self._note(found)
        return found

    def _note(self, found: list[roots.Root]) -> None:
        """Take down what the roots of a snapshot that was asked for are: for ``release``."""
        from .ledger import Ledger

        self._to_note = False
        self.ledger = self.ledger or Ledger()
        self.ledger.note(found)

    def _tables(self, unhurried: bool, manner: str, *, at_exit: bool) -> dict[str, Any] | None:
        """Return a snapshot's tables; where a copy works on them, what was known beforehand."""
        max_pause_ns = int((60.0 if unhurried else float(self.config["max_pause"])) * 1e9)
        usage = self._usage(at_exit=at_exit)
        asked = [*usage.get("grown", ()), *self._growing()]
        stops = roots.stop_ids(self.shell)
        try:
            tables = self._engines.take(
                lambda: self.look(at_exit=at_exit), stops, asked, max_pause_ns, manner,
                self.counters.rss(),
            )  # fmt: skip
        except TooLong as reason:
            limit = f"{max_pause_ns / 1e6:.0f} ms"
            return {"skipped": f"{reason} (--max-pause is {limit})"}
        except Unsafe as reason:
            return {"skipped": f"{reason}; a walk in the program itself might do the same to it"}
        except RuntimeError:
            return {"skipped": "a container changed while it was read"}
        if tables is None:
            return dict(usage)
        tables.update(usage)
        spent = tables.pop("pause_ns", 0)
        if self.shell is not None:
            tables["awaited"] = _awaited(self.shell.user_ns, max_pause_ns - spent)
        _complete_cycles(tables, max_pause_ns - spent, stops)
        return tables

    def _write_marker(self, **fields: Any) -> None:
        times = {} if fields["phase"] == "replay" else self.jvm_times(look=fields["phase"] == "end")
        self.recorder.write("marker", marker="cell", **fields, **times)

    def _in_hook(self) -> Guarded:
        return self.guarded(on_user_thread=True)

    def _program(self) -> str:
        """Return the notebook's or script's name; only from inside is it known under VS Code."""
        program = str(self.config["program"])
        if self.shell is not None and not program.endswith(".ipynb"):
            path = self.shell.user_ns.get("__vsc_ipynb_file__")
            return os.path.basename(path) if type(path) is str else program
        return program

    def _databricks(self) -> dict[str, Any] | None:
        """Return which Databricks compute this is, or None; elsewhere nothing is imported."""
        told = self.config.get("databricks")
        if told is None and "DATABRICKS_RUNTIME_VERSION" not in os.environ:
            return None
        from .databricks import place

        return place(told)

    def _write_header(self) -> None:
        config = self.config
        self.recorder.write(
            "header", format=FORMAT, memprobe=VERSION, python=_python(),
            implementation=sys.implementation.name, platform=_platform(),
            context=config["context"], pid=self.pid, start=time.time(),
            program=self._program(), argc=config["argc"], session=config["session"],
            method=config["method"], limits=self._limits, libraries=_libraries(),
            interval=self.interval, cap=config["cap"], databricks=self._databricks(),
        )  # fmt: skip


class Guarded:
    """Accounts a block's CPU time; an error in it becomes an ``event`` of the recording.

    Only what a signal handler of the program raised passes through: that belongs to the program.
    """

    def __init__(self, probe: Probe, on_user_thread: bool) -> None:
        self._probe = probe
        self._on_user_thread = on_user_thread
        self._started = 0

    def __enter__(self) -> None:
        self._started = time.thread_time_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        step: TracebackType | None,
    ) -> bool:  # fmt: skip
        try:
            if not isinstance(error, Exception) or user_signals.behind(error):
                return False
            self._probe.errors += 1
            self._probe.event("probe-error", _where(error))
            return True
        finally:
            # What was loaded only now left our folder where a program could see it.
            sys.path_importer_cache.pop(_FOLDER, None)
            spent = time.thread_time_ns() - self._started
            self._probe.governor.spent(spent, on_user_thread=self._on_user_thread)


# A script's start must not wait for what only notebooks need: see docs/how-it-works.md.
def _shell() -> Any:
    from . import notebook

    return notebook.running_shell()


def _cell_is_running() -> bool:
    from . import notebook

    return notebook.cell_is_running()


def _idle_seconds(shell: Any) -> float | None:
    if shell is None:
        return None
    from . import notebook

    return notebook.idle_seconds(shell)


def _limits() -> dict[str, Any]:
    from . import limits

    return limits.effective(None)


def _awaited(namespace: dict[str, Any], budget_ns: int) -> list[str]:
    """Return what callbacks may read; where looking takes too long, all they could read."""
    from . import names

    affordable = 2 * sys.getallocatedblocks() * NS_PER_BLOCK < budget_ns
    found = names.awaited(namespace) if affordable else names.mentioned(namespace)
    return sorted(found)[:_MOST_NAMES]


def _complete_cycles(tables: dict[str, Any], max_pause_ns: int, stop_ids: set[int]) -> None:
    from . import cycles

    cycles.complete(tables, max_pause_ns, stop_ids)


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _platform() -> str:
    return f"{sys.platform}-{os.uname().machine}" if hasattr(os, "uname") else sys.platform


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if type(version) is str:
            found[name] = version
    return found


def _where(error: BaseException) -> str:
    """Say what failed without a word of the user's: type, and our file and line."""
    step = error.__traceback__
    place = ""
    while step is not None:
        code = step.tb_frame.f_code
        if "memprobe_probes" in code.co_filename:
            place = f"{os.path.basename(code.co_filename)}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {place}"
