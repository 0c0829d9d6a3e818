"""Every context one could attach to, as rows: what ``memprobe ps`` shows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memprobe.targets import obstacles
from memprobe.targets.jupyter_files import (
    NotebookSession,
    connection_files,
    running_servers,
    runtime_folders,
    sessions,
)
from memprobe.targets.kernel_argv import KernelProcess, as_kernel, is_remote, kernel_id
from memprobe.targets.live_sessions import LiveSession, live_sessions
from memprobe.targets.obstacles import Obstacle
from memprobe.targets.processes import (
    Process,
    ProcessTable,
    environment,
    read_processes,
    user_name,
)
from memprobe_probes import limits

if TYPE_CHECKING:
    from memprobe.targets.remote import Remote

MOST_PLAIN_PROCESSES = 10


@dataclass(frozen=True)
class KernelContext:
    """One kernel as a verb needs it. ``pid`` is 0 when its kernel has ended, or runs elsewhere.

    ``remote``: where it is reached, if not through files of this machine.
    """

    pid: int
    connection_file: Path | None
    kernel_id: str
    notebook: str | None
    name: str
    server: str | None
    attachable: bool
    why_not: str = ""
    remedy: str = ""
    method: str = ""  # kernel, pending-call, remote-exec, server: how it is attached to
    remote: Remote | None = None


@dataclass(frozen=True)
class ContextRow:
    """One line of ``memprobe ps``. Sizes in bytes, times in seconds; None: not known."""

    pid: int | None
    kind: str  # kernel, python, left-over
    name: str
    notebook: str | None = None
    kernel_id: str = ""
    connection_file: Path | None = None
    server: str | None = None
    language: str = "Python"
    user: str = ""
    state: str = "unknown"  # busy, idle, unknown
    age: float | None = None
    rss: int | None = None
    limit: int | None = None
    limit_source: str = "unknown"
    limit_used: int | None = None  # of the cgroup or host that has the limit
    slope: float | None = None  # bytes per second
    spark: str | None = None  # application name
    probe: str | None = None  # session id
    parent: int | None = None  # of a script: may be `memprobe run`, under its arguments
    idle: float | None = None  # seconds since it last did something, as its server says
    remote: Remote | None = None  # where it is reached, if not on this machine
    attachable: bool = False
    why_not: str = ""
    remedy: str = ""
    method: str = ""  # kernel, pending-call, remote-exec; empty: not attachable

    @property
    def share(self) -> float | None:
        """This process's own share of the effective limit, 0 to 1."""
        return self.rss / self.limit if self.rss is not None and self.limit else None

    @property
    def seconds_to_limit(self) -> float | None:
        """Seconds until the limit is reached at the present slope; None: not growing, or unknown.

        What counts against the limit is all that is in use there, not this process alone.
        """
        if not self.slope or self.slope <= 0 or self.limit is None or self.limit_used is None:
            return None
        return max(0.0, self.limit - self.limit_used) / self.slope

    @property
    def is_recorded_script(self) -> bool:
        """Whether ``memprobe run`` records it: a request can reach that probe."""
        return self.kind == "python" and self.probe is not None and not self.attachable

    def context(self) -> KernelContext:
        """Return the row as the context that other verbs work on."""
        return KernelContext(
            pid=self.pid or 0,
            connection_file=self.connection_file,
            kernel_id=self.kernel_id,
            notebook=self.notebook,
            name=self.name,
            server=self.server,
            attachable=self.attachable,
            why_not=self.why_not,
            remedy=self.remedy,
            method=self.method,
            remote=self.remote,
        )


@dataclass(frozen=True)
class Surroundings:
    """What one look at the machine found."""

    table: ProcessTable
    kernels: tuple[KernelProcess, ...]
    notebooks: dict[str, NotebookSession]  # by kernel id
    probes: dict[int, LiveSession]
    servers: frozenset[int]  # pids
    left_over: tuple[Path, ...]


def contexts(measure: float = 0.0) -> list[ContextRow]:
    """Return the kernels first, then plain Python processes of this user, then left-over files.

    ``measure``: seconds between two readings of each kernel's memory, for the slope of those
    that no recording tells it of. Raises TargetError where there is no ``/proc``.
    """
    seen = look_around()
    slopes = _measured_slopes(seen, measure)
    kernels = [_kernel_row(kernel, seen, slopes) for kernel in seen.kernels]
    kernels.sort(key=lambda row: (not row.attachable, -(row.rss or 0)))
    plain = [plain_row(process, seen) for process in _plain_processes(seen)]
    plain.sort(key=lambda row: not row.attachable)
    return [*kernels, *plain, *(_left_over_row(file) for file in seen.left_over)]


def look_around() -> Surroundings:
    """Read processes, Jupyter's runtime folders, its servers' session lists, and our probes."""
    table = read_processes()
    folders = runtime_folders()
    found = [kernel for kernel in map(as_kernel, table) if kernel is not None]
    files = connection_files(folders)
    found += _kernels_named_by_pid(files, found, table)
    kernels = _one_per_file(found, table)
    folders += {k.file.parent for k in kernels if k.process.is_readable} - set(folders)
    servers = running_servers(folders, table.by_pid)
    notebooks = [session for server in servers for session in sessions(server)]
    served = {kernel.file.name for kernel in found}
    return Surroundings(
        table=table,
        kernels=tuple(kernels),
        notebooks={session.kernel_id: session for session in notebooks},
        probes=live_sessions({process.pid: process.created for process in table}),
        servers=frozenset(server.pid for server in servers),
        left_over=tuple(file for file in files if file.name not in served),
    )


def _kernels_named_by_pid(
    files: Iterable[Path], found: Iterable[KernelProcess], table: ProcessTable
) -> list[KernelProcess]:
    """Find kernels that chose their file themselves: ``ipython kernel`` writes kernel-PID.json."""
    named = {kernel.file.name for kernel in found}
    more = []
    for file in files:
        number = kernel_id(file)
        process = table.by_pid.get(int(number)) if number.isdecimal() else None
        if file.name not in named and process is not None and process.is_python:
            more.append(KernelProcess(process, file, "Python", remote=False))
    return more


def _one_per_file(found: list[KernelProcess], table: ProcessTable) -> list[KernelProcess]:
    """Keep the process that serves each file: neither its launcher nor its forked children."""
    argvs = {kernel.process.pid: kernel.process.argv for kernel in found}
    originals = [
        kernel for kernel in found if argvs.get(kernel.process.parent or 0) != kernel.process.argv
    ]
    return [
        kernel
        for kernel in originals
        if not any(
            other.file == kernel.file and table.is_below(other.process.pid, kernel.process.pid)
            for other in originals
        )
    ]


def _kernel_row(kernel: KernelProcess, seen: Surroundings, slopes: dict[int, float]) -> ContextRow:
    process = kernel.process
    session = seen.notebooks.get(kernel.kernel_id)
    probe = seen.probes.get(process.pid)
    obstacle = obstacles.of_kernel(kernel, session is not None and is_remote(session.kernel_name))
    notebook = _notebook(session, process)
    return _row(
        process,
        kind="kernel",
        name=os.path.basename(notebook or "") or _program(probe) or kernel.kernel_id,
        notebook=notebook,
        kernel_id=kernel.kernel_id,
        connection_file=kernel.file,
        server=session.server if session else None,
        language=kernel.language,
        state=_state(session, probe),
        slope=probe.slope if probe and probe.slope is not None else slopes.get(process.pid),
        spark=seen.table.spark_app(process.pid),
        probe=probe.session if probe else None,
        obstacle=obstacle,
        method="kernel",
    )


def plain_row(process: Process, seen: Surroundings) -> ContextRow:
    """Return the line of a Python process that is no kernel."""
    probe = seen.probes.get(process.pid)
    recorded = probe is not None and probe.is_run
    way = obstacles.of_recorded(process) if recorded else obstacles.way_into(process)
    return _row(
        process,
        kind="python",
        name=_script_name(process.argv),
        parent=process.parent,
        slope=probe.slope if probe else None,
        spark=seen.table.spark_app(process.pid),
        probe=probe.session if probe else None,
        obstacle=way if isinstance(way, Obstacle) else None,
        method="" if isinstance(way, Obstacle) else way,
    )


def _left_over_row(file: Path) -> ContextRow:
    obstacle = obstacles.of_left_over(file)
    return ContextRow(
        pid=None,
        kind="left-over",
        name=file.name,
        kernel_id=kernel_id(file),
        connection_file=file,
        why_not=obstacle.why,
        remedy=obstacle.remedy,
    )


def _row(
    process: Process, *, obstacle: Obstacle | None, method: str, **known: object
) -> ContextRow:
    limit = limits.effective(process.pid)
    return ContextRow(
        pid=process.pid,
        user=user_name(process.uid),
        age=max(0.0, time.time() - process.created) if process.created else None,
        rss=process.rss,
        limit=limit["effective"],
        limit_source=limit["source"],
        limit_used=limits.used(process.pid),
        attachable=obstacle is None,
        why_not=obstacle.why if obstacle else "",
        remedy=obstacle.remedy if obstacle else "",
        method=method if obstacle is None else "",
        **known,  # type: ignore[arg-type]
    )


def _notebook(session: NotebookSession | None, process: Process) -> str | None:
    """Return the notebook's path: a server knows renames, else what the kernel was started with.

    Jupyter and VS Code put it in ``JPY_SESSION_NAME``. (VS Code also binds
    ``__vsc_ipynb_file__``, which can be read only from within.)
    """
    if session is not None and session.path:
        return session.path
    return environment(process.pid).get("JPY_SESSION_NAME") or None


def _state(session: NotebookSession | None, probe: LiveSession | None) -> str:
    """Prefer the probe's own markers: a server shows idle after any request on control."""
    if probe is not None and probe.state != "unknown":
        return probe.state
    known = session is not None and session.state in ("busy", "idle")
    return session.state if session is not None and known else "unknown"


def _program(probe: LiveSession | None) -> str:
    return os.path.basename(probe.program) if probe else ""


def _plain_processes(seen: Surroundings) -> list[Process]:
    """Return this user's largest Python processes that are no kernel, no part of one, not we."""
    kernels = {kernel.process.pid for kernel in seen.kernels}
    not_these = kernels | seen.servers | _we(seen.table)
    own = [
        process
        for process in seen.table
        if process.pid not in not_these
        and process.uid == os.geteuid()
        and process.is_python
        and kernels.isdisjoint(above.pid for above in seen.table.ancestors(process.pid))
    ]
    # Those with a probe first: whoever asks for one of them means it, however small it is.
    own.sort(key=lambda process: (process.pid not in seen.probes, -(process.rss or 0)))
    return own[:MOST_PLAIN_PROCESSES]


def _we(table: ProcessTable) -> set[int]:
    return {os.getpid(), *(process.pid for process in table.ancestors(os.getpid()))}


def _script_name(argv: tuple[str, ...]) -> str:
    """Return ``etl.py`` or ``-m etl``, never the arguments, which may hold secrets."""
    rest = list(argv[1:])
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest.pop(0)
    if rest[:1] == ["-c"]:
        return "python -c"
    if rest[:1] == ["-m"]:
        return " ".join(rest[:2])
    return os.path.basename(rest[0]) if rest else os.path.basename(argv[0]) if argv else ""


def _measured_slopes(seen: Surroundings, seconds: float) -> dict[int, float]:
    """Read each kernel's memory again after ``seconds``; nothing when that is zero."""
    if seconds <= 0:
        return {}
    first = _readings(seen)
    time.sleep(seconds)
    second = _readings(seen)
    return {
        pid: (rss - first[pid][1]) / (at - first[pid][0])
        for pid, (at, rss) in second.items()
        if pid in first and at > first[pid][0]
    }


def _readings(seen: Surroundings) -> dict[int, tuple[float, int]]:
    import psutil

    readings = {}
    for kernel in seen.kernels:
        pid = kernel.process.pid
        try:
            readings[pid] = (time.monotonic(), psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            continue  # it has ended meanwhile
    return readings
