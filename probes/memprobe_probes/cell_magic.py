"""``%%memprobe``: a cell that runs as ever, and a report of its memory after it.

The magic's line is taken away before IPython compiles the cell. What runs is the user's cell by
IPython's own hands: names, display, ``await``, tracebacks, line numbers and history are what they
are without it. Only inside another magic (``%%time``) the body is run from here.
"""

from __future__ import annotations

import ast

from . import bootstrap, cell_report
from .cell_measure import CellMeasure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = "%%memprobe"


class MeasuredCells:
    """Puts ``%%memprobe`` into an IPython shell and takes it out again."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._depth = 0  # cells that are running, one inside the other
        self._measure: CellMeasure | None = None

    def install(self) -> None:
        """Register the magic, the look at a cell's first line, and the hooks around cells."""
        self._shell.register_magic_function(self._inside_another, "cell", "memprobe")
        self._shell.input_transformers_cleanup.append(self._uncover)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def remove(self) -> None:
        """Take all of it out. Safe to call twice."""
        self._shell.magics_manager.magics["cell"].pop("memprobe", None)
        if self._uncover in self._shell.input_transformers_cleanup:
            self._shell.input_transformers_cleanup.remove(self._uncover)
        for event, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            try:
                self._shell.events.unregister(event, callback)
            except ValueError:
                continue

    def _uncover(self, lines: list[str]) -> list[str]:
        """Return a cell without the magic's line; an empty one in its place keeps the numbers."""
        if self._depth or not lines or not _is_ours(lines[0]):
            return lines
        rest = lines[1:]
        return rest if rest and rest[0].startswith("%%") else ["\n", *rest]

    def _before(self, info: Any) -> None:
        self._depth += 1
        raw = getattr(info, "raw_cell", None)
        if self._depth == 1 and type(raw) is str and _is_ours(raw.lstrip()):
            self._measure = begin(self._shell)

    def _after(self, result: Any) -> None:
        self._depth = max(0, self._depth - 1)
        if not self._depth and self._measure is not None:
            measure, self._measure = self._measure, None
            finish(self._shell, measure)

    def _inside_another(self, line: str, cell: str) -> Any:
        """Run a cell and say what its memory did."""
        measure = begin(self._shell)
        try:
            return _run(self._shell, cell)
        finally:
            if measure is not None:
                finish(self._shell, measure)


def begin(shell: Any) -> CellMeasure | None:
    """Start to measure, or say in one line why not."""
    try:
        return CellMeasure(shell, bootstrap.active())
    except Exception as error:
        print(f"memprobe: this cell is not measured: {type(error).__name__}")
        return None


def finish(shell: Any, measure: CellMeasure) -> None:
    """End the measurement and show its report below the cell's output."""
    try:
        cell_report.show(shell, measure.end())
    except Exception as error:
        print(f"memprobe: this cell could not be measured: {type(error).__name__}")


def _is_ours(text: str) -> bool:
    return text.split(None, 1)[:1] == [_NAME]


def _run(shell: Any, cell: str) -> Any:
    """Run a cell's body in the user's namespace and return the value of a last expression."""
    source = shell.transform_cell(cell)
    tree = shell.transform_ast(shell.compile.ast_parse(source))
    name = shell.compile.cache(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(shell.compile(tree, name, "exec"), shell.user_ns)
    if last is None or source.rstrip().endswith(";"):
        if last is not None:
            exec(shell.compile(ast.Module([last], []), name, "exec"), shell.user_ns)
        return None
    return eval(shell.compile(ast.Expression(last.value), name, "eval"), shell.user_ns)
