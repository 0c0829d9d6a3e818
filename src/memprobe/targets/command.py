"""What ``memprobe run`` was asked to run, as a command line."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

from memprobe.errors import TargetError, UsageError


@dataclass(frozen=True)
class Command:
    """A command to spawn. ``direct``: the process spawned is itself the Python to measure."""

    line: tuple[str, ...]
    program: str  # a file's or module's name, never its arguments
    argc: int
    direct: bool


def is_notebook(arguments: tuple[str, ...]) -> bool:
    """Whether the target is a Jupyter notebook, or a Databricks one in source form."""
    from memprobe.targets.databricks_source import is_source_notebook

    if not arguments:
        return False
    return arguments[0].endswith(".ipynb") or is_source_notebook(arguments[0])


def resolve(arguments: tuple[str, ...]) -> Command:
    """Return the command for ``-m MOD …``, ``-mMOD …``, ``SCRIPT …`` or ``OTHER …``.

    Raises ``UsageError`` or ``TargetError`` for what can never start.
    """
    if not arguments:
        raise UsageError(
            "nothing to run",
            remedy="name a script, a module or a command: memprobe run etl.py",
            docs="verbs/run.md",
        )
    first, *rest = arguments
    if first.startswith("-m") and first != "--":
        return _module(first[2:], rest)
    if _is_python_program(first):
        return _script(first, rest)
    return _other(first, rest)


def check_readable(path: str) -> None:
    """Raise ``TargetError`` unless ``path`` can be read."""
    if not os.path.exists(path):
        raise TargetError(
            f"cannot run {path}",
            cause="no such file",
            remedy="check the name; it is looked up from " + os.getcwd(),
            docs="verbs/run.md",
        )
    if not os.access(path, os.R_OK):
        raise TargetError(
            f"cannot run {path}",
            cause="permission denied",
            remedy=f"make it readable: chmod u+r {path}",
            docs="verbs/run.md",
        )


def _module(name: str, rest: list[str]) -> Command:
    if not name:
        if not rest:
            raise UsageError(
                "-m needs the name of a module",
                remedy="memprobe run -m package.module",
                docs="verbs/run.md",
            )
        name, *rest = rest
    return Command((sys.executable, "-m", name, *rest), name, len(rest), direct=True)


def _is_python_program(first: str) -> bool:
    return first.endswith((".py", ".pyw", ".pyz", ".pyc")) or os.path.isfile(
        os.path.join(first, "__main__.py")
    )


def _script(path: str, rest: list[str]) -> Command:
    check_readable(path)
    name = os.path.basename(os.path.normpath(path))
    return Command((sys.executable, path, *rest), name, len(rest), direct=True)


def _other(name: str, rest: list[str]) -> Command:
    found = shutil.which(name)
    if found is None:
        raise _not_runnable(name)
    return Command((name, *rest), os.path.basename(name), len(rest), direct=False)


def _not_runnable(name: str) -> TargetError:
    if not os.path.exists(name):
        return TargetError(
            f"cannot run {name}",
            cause="no such file, and no such command on PATH",
            remedy="check the name; a script's name ends in .py, a module follows -m",
            docs="verbs/run.md",
        )
    return TargetError(
        f"cannot run {name}",
        cause="it is a directory without __main__.py" if os.path.isdir(name) else "not executable",
        remedy=f"for a Python program: memprobe run python {name}",
        docs="verbs/run.md",
    )
