"""The processes of this machine, read once: argv, owner, size, and who started whom."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from memprobe.errors import TargetError

_PYTHON_NAMES = ("python", "pypy", "ipython")
_SPARK_NAME_OPTIONS = ("spark.app.name=", "spark.databricks.clusterUsageTags.clusterName=")


@dataclass(frozen=True)
class Process:
    """One process. ``rss`` is in bytes, ``created`` in unix seconds; None: not ours to read."""

    pid: int
    parent: int | None
    argv: tuple[str, ...]
    uid: int | None
    created: float | None
    rss: int | None
    status: str = ""

    @property
    def program(self) -> str:
        """The file name of what runs, without its folder."""
        return PurePath(self.argv[0]).name if self.argv else ""

    @property
    def is_python(self) -> bool:
        """Whether a Python interpreter runs here, by argv or else by the executable."""
        if self.program.startswith(_PYTHON_NAMES):
            return True
        return PurePath(link(self.pid, "exe") or "").name.startswith(_PYTHON_NAMES)

    @property
    def is_ours(self) -> bool:
        """Whether it runs as this user: the probe shares files with us that no other may open."""
        return self.uid is None or self.uid == os.geteuid()

    @property
    def is_readable(self) -> bool:
        """Whether this user may read its files: as its user, or as root."""
        return self.is_ours or os.geteuid() == 0


@dataclass(frozen=True)
class ProcessTable:
    """All processes at one instant."""

    by_pid: dict[int, Process] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Process]:
        return iter(self.by_pid.values())

    def ancestors(self, pid: int) -> list[Process]:
        """Return the process's parent, its parent, and so on."""
        chain: list[Process] = []
        process = self.by_pid.get(pid)
        while process is not None and process.parent in self.by_pid and len(chain) < 64:
            process = self.by_pid[process.parent]
            chain.append(process)
        return chain

    def is_below(self, pid: int, above: int) -> bool:
        """Tell whether ``pid`` was started by ``above``, directly or not."""
        return any(process.pid == above for process in self.ancestors(pid))

    def spark_app(self, pid: int) -> str | None:
        """Return the name of the Spark application whose driver JVM goes with this process.

        The JVM is a child (pyspark starts it) or an ancestor (a platform starts Python from it).
        """
        above = {process.pid for process in self.ancestors(pid)}
        for process in self:
            if not _is_spark_driver(process):
                continue
            if process.pid in above or self.is_below(process.pid, pid):
                return _spark_name(process.argv)
        return None


def read_processes() -> ProcessTable:
    """Read the table of processes.

    Raises TargetError where there is nothing to read it from (no ``/proc``).
    """
    require_proc()
    import psutil

    names = ["pid", "ppid", "cmdline", "uids", "create_time", "memory_info", "status"]
    rows = (_process(each.info) for each in psutil.process_iter(names))
    return ProcessTable({row.pid: row for row in rows if row.status != psutil.STATUS_ZOMBIE})


def require_proc(root: str = "/") -> None:
    """Raise TargetError on a Linux without ``/proc``: then no process can be found."""
    if sys.platform == "linux" and not os.path.exists(os.path.join(root, "proc/self/stat")):
        raise TargetError(
            "cannot look for processes",
            cause="/proc is not mounted here",
            remedy="mount it (mount -t proc proc /proc), or run memprobe where it is",
            docs="verbs/ps.md",
        )


def link(pid: int, name: str) -> str | None:
    """Return where ``/proc/PID/name`` points, or None when that is not ours to know."""
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return None


def status_fields(pid: int) -> dict[str, str]:
    """Return the rows of ``/proc/PID/status``, empty when it is not there or not ours to read."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in rows}


def environment(pid: int) -> dict[str, str]:
    """Return the environment a process was started with, empty when it cannot be read."""
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def user_name(uid: int | None) -> str:
    """Return ``1002 (ada)``, or the number alone for a user without a name here."""
    import pwd

    try:
        return f"{uid} ({pwd.getpwuid(uid).pw_name})" if uid is not None else "unknown"
    except KeyError:
        return str(uid)


def _process(info: dict[str, object]) -> Process:
    uids, memory = info["uids"], info["memory_info"]
    return Process(
        pid=info["pid"],  # type: ignore[arg-type]
        parent=info["ppid"],  # type: ignore[arg-type]
        argv=tuple(info["cmdline"] or ()),  # type: ignore[arg-type]
        uid=getattr(uids, "real", None),
        created=info["create_time"],  # type: ignore[arg-type]
        rss=getattr(memory, "rss", None),
        status=str(info["status"] or ""),
    )


def _is_spark_driver(process: Process) -> bool:
    return process.program == "java" and any("org.apache.spark" in a for a in process.argv)


def _spark_name(argv: tuple[str, ...]) -> str:
    for position, argument in enumerate(argv):
        for option in _SPARK_NAME_OPTIONS:
            if option in argument:
                return argument.partition(option)[2] or "Spark"
        if argument == "--name" and position + 1 < len(argv):
            return argv[position + 1]
    return "Spark"
