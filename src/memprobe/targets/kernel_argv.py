"""What a process's command line says about the Jupyter kernel it may be."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from memprobe.targets.processes import Process, link

# Programs whose arguments may name a connection file without being the kernel that serves it.
_BYSTANDERS = {"cat", "code", "cp", "emacs", "grep", "less", "more", "nano", "rm", "rsync"} | {
    *("scp", "strace", "stat", "sudo", "su", "tail", "vi", "view", "vim", "watch", "conda", "jq"),
}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "env"}
_NAMED_LIKE_A_KERNEL = re.compile(r"(^|/)(kernel-[^/]*|kernel-connections/[^/]*)\.json$")
_FILE_OPTION = re.compile(r"^(-f|--f|--(\w+\.)?connection[_-]file)$")
_LANGUAGES = {"ark": "R", "Rscript": "R", "evcxr_jupyter": "Rust", "java": "Scala or Java"}
# Kernels written in Python whose cells hold another language.
_WRAPPERS = {
    "bash_kernel": "bash",
    "calysto_scheme": "Scheme",
    "echo_kernel": "no language",
    "fish_kernel": "fish",
    "gnuplot_kernel": "gnuplot",
    "matlab_kernel": "MATLAB",
    "jupyter_matlab_kernel": "MATLAB",
    "octave_kernel": "Octave",
    "sas_kernel": "SAS",
    "stata_kernel": "Stata",
    "zsh_kernel": "zsh",
}
_REMOTE = re.compile(r"sparkmagic|livy|(^|[.\W])(py)?spark(3|r)?kernel", re.IGNORECASE)
_LARGEST_CONNECTION_FILE = 64 * 1024


@dataclass(frozen=True)
class KernelProcess:
    """A process that serves the connection file ``file``. ``language`` is what its cells hold."""

    process: Process
    file: Path
    language: str
    remote: bool  # its code runs on another machine

    @property
    def kernel_id(self) -> str:
        """The kernel's id as Jupyter puts it into the file's name."""
        return kernel_id(self.file)


def kernel_id(file: Path) -> str:
    """Return the kernel id in a connection file's name: ``kernel-ID.json`` or ``ID.json``."""
    return file.stem.removeprefix("kernel-")


def as_kernel(process: Process) -> KernelProcess | None:
    """Tell which kernel a process is, or None when its argv names no connection file."""
    if not process.argv or process.program in _BYSTANDERS:
        return None
    python = process.is_python
    named = _option_value(process.argv) if python else _mentioned(process.argv)
    if named is None:
        return None
    file = locate(named, process.pid)
    if python and not (_NAMED_LIKE_A_KERNEL.search(named) or is_connection_file(file)):
        return None  # a program of the user's with a `-f` of its own
    language = _language(process, python)
    return KernelProcess(process, file, language, is_remote(" ".join(process.argv)))


def is_remote(text: str) -> bool:
    """Tell whether argv or a kernelspec's name belongs to a Livy (sparkmagic) kernel."""
    return _REMOTE.search(text) is not None


def is_connection_file(file: Path) -> bool:
    """Tell whether a file holds a kernel's ports (False when it cannot be read)."""
    return connection(file) is not None


def connection(file: Path) -> dict[str, object] | None:
    """Return a connection file's content, or None for any other file."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_CONNECTION_FILE:
            return None
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    known = isinstance(content, dict) and "shell_port" in content and "control_port" in content
    return content if known else None


def locate(named: str, pid: int) -> Path:
    """Return the path by which this process can open a file that another one names."""
    if not os.path.isabs(named):
        named = os.path.join(link(pid, "cwd") or "", named)
    inside = Path(f"/proc/{pid}/root{named}")  # a container has its own files
    if not os.path.exists(named) and os.access(inside, os.R_OK):
        return inside
    return Path(named)


def _option_value(argv: tuple[str, ...]) -> str | None:
    """Return FILE of ``-f FILE``, ``--f=FILE``, ``--IPKernelApp.connection_file=FILE``."""
    for position, argument in enumerate(argv):
        option, equals, value = argument.partition("=")
        if _FILE_OPTION.match(option):
            if equals:
                return value
            if position + 1 < len(argv):
                return argv[position + 1]
    return None


def _mentioned(argv: tuple[str, ...]) -> str | None:
    """Return the argument of a kernel in another language that is a connection file."""
    if PurePath(argv[0]).name in _SHELLS and "-c" in argv[:3]:
        return None  # the shell that starts a kernel, not the kernel
    values = (argument.partition("=")[2] or argument for argument in argv[1:])
    return next((v for v in values if _NAMED_LIKE_A_KERNEL.search(v)), None)


def _language(process: Process, python: bool) -> str:
    argv = process.argv
    if python:
        module = argv[argv.index("-m") + 1] if "-m" in argv[:-1] else ""
        return _WRAPPERS.get(module.partition(".")[0], "Python")
    program = process.program
    if program in _SHELLS and len(argv) > 1:
        program = PurePath(argv[1]).name
    return _LANGUAGES.get(program, program)
