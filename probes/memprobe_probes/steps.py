"""Run a script in steps, with a marker and a snapshot between them: what ``contrast`` measures.

The program's top-level statements are compiled in groups and run one after the other in the real
``__main__``, under the script's own name and line numbers. So a boundary costs nothing while a
step runs, on every version of Python, and no frame of ours holds an object of the program.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import os
import re
import sys
import time
from types import CodeType

from . import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FLAGS = {name: getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}
_INHERITED = ("__annotations__", "__builtins__", "__package__", "__spec__", "__name__")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
MOST_NAMES = 400


class Plan:
    """Where the steps of a script begin: ``starts`` holds [line, name, hash] in order of lines.

    ``folder`` replaces the script's own directory as the first entry of ``sys.path``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.folder: str | None = config.get("folder")
        self.starts: list[list[Any]] = sorted(config["starts"], key=lambda start: int(start[0]))


class Step:
    """One step: its name and hash for the marker, its source for the names, its code to run.

    ``line`` is where it begins in the file.
    """

    def __init__(self, name: str, digest: str, line: int, source: str, code: CodeType) -> None:
        self.name = name
        self.line = line
        self.hash = digest
        self.source = source
        self.code = code


def run(plan: Plan, around: Callable[[Step, Callable[[], None]], None]) -> None:
    """Run the script that ``sys.argv[1]`` names, as ``python SCRIPT …`` would.

    ``around(step, work)`` is called for each step and calls ``work`` once. What the program
    raises leaves as Python itself would show it, without a frame of ours.
    """
    path = _become_script(plan.folder)
    status = _shown_failure(lambda: _run_steps(path, plan, around))
    if status:
        raise SystemExit(status)


def _run_steps(path: str, plan: Plan, around: Callable[[Step, Callable[[], None]], None]) -> None:
    with open(path, "rb") as file:
        content = file.read()
    space = sys.modules["__main__"].__dict__
    for step in split(content, path, plan.starts):
        around(step, lambda code=step.code: exec(code, space))  # type: ignore[misc]


def split(content: bytes, path: str, starts: list[list[Any]]) -> list[Step]:
    """Return the steps of a script; raises SyntaxError as its compilation would."""
    compile(content, path, "exec", dont_inherit=True)  # whole, for errors as Python tells them
    tree = ast.parse(content, path)
    lines = _lines(content)
    flags = _future_flags(tree)
    groups = _grouped(tree.body, [int(start[0]) for start in starts])
    bounds = [_first_line(group[0]) if group else 0 for group in groups] + [len(lines) + 1]
    steps: list[Step] = []
    for number, group in enumerate(groups):
        if not group:
            continue
        following = next((line for line in bounds[number + 1 :] if line), len(lines) + 1)
        source = "".join(lines[bounds[number] - 1 : following - 1])
        # Only the first string of a file is its docstring.
        body = group if not steps else _without_docstring(group)
        code = compile(
            ast.Module(body=body, type_ignores=[]), path, "exec", flags=flags, dont_inherit=True
        )
        name, digest = ("", "") if number == 0 else (starts[number - 1][1], starts[number - 1][2])
        steps.append(Step(str(name), str(digest), bounds[number], source, code))
    return steps


def _grouped(body: list[ast.stmt], starts: list[int]) -> list[list[ast.stmt]]:
    """Return the statements before the first start, and those of each step."""
    groups: list[list[ast.stmt]] = [[] for _ in range(len(starts) + 1)]
    for statement in body:
        line = _first_line(statement)
        groups[sum(start <= line for start in starts)].append(statement)
    return groups


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _lines(content: bytes) -> list[str]:
    """Return the source's lines as Python counts them; its compilation has judged it before."""
    cookies = [_COOKIE.match(line) for line in content.split(b"\n", 2)[:2]]
    encoding = next((cookie[1].decode() for cookie in cookies if cookie), "utf-8")
    text = content.removeprefix(b"\xef\xbb\xbf").decode(encoding, "replace")
    return [line + "\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                flags |= _FLAGS.get(alias.name, 0)
    return flags


def _without_docstring(group: list[ast.stmt]) -> list[ast.stmt]:
    first = group[0]
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return group[1:] if text else group


def _become_script(folder: str | None) -> str:
    """Make ``__main__``, ``sys.argv`` and ``sys.path`` those of the script; return its path."""
    launcher = sys.argv.pop(0)
    original = getattr(sys, "orig_argv", None)
    if type(original) is list and launcher in original:
        original.remove(launcher)
    path = os.path.abspath(sys.argv[0])
    if launcher in sys.path_importer_cache:  # Python asks whether what it runs is a folder
        sys.path_importer_cache[path] = sys.path_importer_cache.pop(launcher)
    if not getattr(sys.flags, "safe_path", False) and sys.path:
        sys.path[0] = folder or os.path.dirname(os.path.realpath(path))
    main: Any = sys.modules["__main__"]
    for name in [name for name in main.__dict__ if name not in _INHERITED]:
        del main.__dict__[name]
    loader = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", path)
    main.__dict__.update(
        __file__=path, __cached__=None, __doc__=None, __loader__=loader, __builtins__=builtins
    )
    return path


def _shown_failure(work: Callable[[], None]) -> int:
    """Do ``work``; show an exception as Python shows it and return the status to exit with."""
    try:
        work()
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        trace = error.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_code):
            trace = trace.tb_next
        error.__traceback__ = trace
        _show(error, trace)
        return 1
    return 0


def _is_ours(code: CodeType) -> bool:
    return code.co_filename == __file__ or "memprobe_probes" in code.co_filename


def _show(error: BaseException, trace: Any) -> None:
    interpreter: Any = sys
    interpreter.last_type, interpreter.last_value = type(error), error
    interpreter.last_traceback = trace
    if sys.version_info >= (3, 12):
        interpreter.last_exc = error
    try:
        sys.excepthook(type(error), error, trace)
    except BaseException:
        sys.__excepthook__(type(error), error, trace)


class StepRecorder:
    """Writes the markers of a step, and takes the snapshot between two of them."""

    def __init__(self, probe: Any) -> None:
        self._probe = probe
        self._began = 0

    def around(self, step: Step, work: Callable[[], None]) -> None:
        """Run one step between its markers; the snapshot after it is in no step's time."""
        self._start(step)
        error: str | None = None
        try:
            work()
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            if self._probe.alive:  # not in a forked child
                self._end(step, error)

    def _start(self, step: Step) -> None:
        with self._probe.guarded(on_user_thread=True):
            self._probe.counters.reset_high_water()
            self._mark("start", step)
        self._began = time.monotonic_ns()

    def _end(self, step: Step, error: str | None) -> None:
        seconds = (time.monotonic_ns() - self._began) / 1e9
        cpu = time.process_time()
        with self._probe.guarded(on_user_thread=True):
            rss = self._probe.counters.rss()
            peak = self._probe.counters.high_water()
            self._mark(
                "end", step, seconds=seconds, cpu=cpu, error=error, rss=rss, peak=peak,
                peak_by="kernel" if peak else None, **_names_of(step),
            )  # fmt: skip
        if error is None:
            self._probe.snapshot("marker", on_user_thread=True, unhurried=True)

    def _mark(self, phase: str, step: Step, **fields: Any) -> None:
        fields.setdefault("cpu", time.process_time())
        fields.setdefault("rss", self._probe.counters.rss())
        self._probe.recorder.write(
            "marker", marker="phase", phase=phase, name=step.name or None,
            hash=step.hash or None, **fields, **self._probe.jvm_times(look=phase == "end"),
        )  # fmt: skip


def _names_of(step: Step) -> dict[str, Any]:
    """Return the names of a step, those it bound with their lines in the file."""
    found = names.of_cell(step.source)
    bound = [(name, step.line + line - 1) for name, line in found.bound.items()]
    space = sys.modules["__main__"].__dict__
    used = names.with_called(found, space)
    return {
        "bound": dict(bound[:MOST_NAMES]),
        "used": sorted(name for name in used if name in space or name in found.bound)[:MOST_NAMES],
        "deleted": sorted(found.deleted)[:MOST_NAMES],
    }
