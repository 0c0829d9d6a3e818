"""One code cell as a user wrote it, with its top-level statements at their own lines.

Magics and shell lines stay as they are: statements are found in the cell as IPython would compile
it, and only lines that are the same there can be told apart and edited.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import tokenize
from dataclasses import dataclass, field

from memprobe.statements import by_line, first_line
from memprobe.targets.magics import CODE_MAGICS, transformed

# Cell magics whose body runs in the notebook's own namespace, as it stands.
_RUN_AS_CELL = CODE_MAGICS - {"timeit", "python"}
_SHOWING_MAGIC = re.compile(r"^%(?:time|memprobe|prun)[ \t]+(?=[^\s-])")
_SILENT = (tokenize.ENDMARKER, tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT,
           tokenize.DEDENT)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Statements that share lines. ``first`` and ``last`` are raw lines, None where not known.

    ``source`` is their Python; ``last`` is the end of the logical line, comment included.
    """

    source: str
    nodes: tuple[ast.stmt, ...]
    first: int | None
    last: int | None


@dataclass
class CellSource:
    """A cell's text; ``groups`` is None where it is no Python or cannot be told apart."""

    raw: str
    lines: list[str] = field(default_factory=list)  # without line ends
    head: int = 0  # lines of a cell magic, which stay first
    groups: list[Group] | None = None
    shows: bool = False  # it ends in an expression that is displayed

    @classmethod
    def of(cls, raw: str) -> CellSource:
        """Read a cell. Raises ImportError without IPython."""
        cell = cls(raw, raw.split("\n"))
        body = _body(cell)
        if body is None:
            return cell
        python = transformed(body)
        try:
            tree = ast.parse(python)
        except (SyntaxError, ValueError):
            return cell
        cell.groups = _groups(tree, python, cell)
        last = tree.body[-1] if tree.body else None
        cell.shows = isinstance(last, ast.Expr) and not (_prints(last) or _is_silenced(python))
        return cell

    def position_after(self, number: int) -> int | None:
        """Return after how many raw lines a line has to be put to come after a group."""
        assert self.groups is not None
        last = self.groups[number].last
        if last is not None:
            return last
        if number + 1 == len(self.groups):
            return len(self.lines) - _blank_at_end(self.lines)
        following = self.groups[number + 1].first
        return None if following is None else following - 1

    def shown_expression(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return begin and end of the displayed expression, as (raw line, column); 1-based lines.

        None where there is none, or it is not at the same place in what IPython compiles.
        """
        if not self.shows or not self.groups:
            return None
        return self._in_magic() or self._in_python()

    def _in_python(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        assert self.groups is not None
        group = self.groups[-1]
        if group.first is None or group.last is None:
            return None
        text = "\n".join(self.lines[group.first - 1 : group.last]) + "\n"
        tokens = [one for one in _tokens(text) if one.type not in _SILENT]
        begins = _statement_starts(tokens)
        if not tokens or not begins:
            return None
        first, last = tokens[begins[-1]], tokens[-1]
        shift = group.first - 1
        return (first.start[0] + shift, first.start[1]), (last.end[0] + shift, last.end[1])

    def _in_magic(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return the expression behind ``%time`` in the last line that has anything."""
        number = len(self.lines) - _blank_at_end(self.lines)
        line = self.lines[number - 1] if number else ""
        found = _SHOWING_MAGIC.match(line)
        if found is None:
            return None
        try:
            ast.parse(line[found.end() :].strip(), mode="eval")
            tokens = [one for one in _tokens(line[found.end() :]) if one.type not in _SILENT]
        except SyntaxError:
            return None
        end = tokens[-1].end[1] if tokens else 0
        return (number, found.end()), (number, found.end() + end)


def _body(cell: CellSource) -> str | None:
    """Return what of the cell is Python; None where nothing is."""
    at = next((number for number, line in enumerate(cell.lines) if line.strip()), None)
    if at is None:
        return None
    if not cell.lines[at].startswith("%%"):
        return cell.raw
    name = cell.lines[at][2:].split(None, 1)[0] if cell.lines[at][2:].strip() else ""
    if name not in _RUN_AS_CELL:
        return None
    cell.head = at + 1
    return "\n".join(cell.lines[cell.head :])


def _groups(tree: ast.Module, python: str, cell: CellSource) -> list[Group]:
    ours = python.split("\n")
    raw_of = _same_lines(ours, cell.lines[cell.head :])
    ends = _logical_ends(python)
    groups = []
    for nodes in by_line(tree.body):
        first = first_line(nodes[0])
        last = max(one.end_lineno or one.lineno for one in nodes)
        end = min((line for line in ends if line >= last), default=last)
        known = [raw_of.get(line) for line in range(first, end + 1)]
        whole = None not in known
        groups.append(Group(
            source="\n".join(ours[first - 1 : end]) + "\n", nodes=tuple(nodes),
            first=cell.head + (known[0] or 0) if whole else None,
            last=cell.head + (known[-1] or 0) if whole else None,
        ))  # fmt: skip
    return groups


def _same_lines(python: list[str], raw: list[str]) -> dict[int, int]:
    """Return line of the Python → line of the body, of those that are the same; 1-based."""
    matcher = difflib.SequenceMatcher(None, python, raw, autojunk=False)
    return {
        block.a + step + 1: block.b + step + 1
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    }


def _logical_ends(python: str) -> list[int]:
    """Return the lines in which a logical line ends: a comment behind it belongs to it."""
    return sorted({one.start[0] for one in _tokens(python) if one.type == tokenize.NEWLINE})


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return []


def _statement_starts(tokens: list[tokenize.TokenInfo]) -> list[int]:
    """Return where statements begin that are separated by ``;`` outside of any bracket."""
    depth, begins = 0, [0] if tokens else []
    for number, token in enumerate(tokens):
        if token.type != tokenize.OP:
            continue
        depth += (token.string in "([{") - (token.string in ")]}")
        if token.string == ";" and not depth and number + 1 < len(tokens):
            begins.append(number + 1)
    return begins


def _prints(node: ast.Expr) -> bool:
    """Whether it is a call of ``print``, whose value is nothing to display."""
    call = node.value
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    )


def _is_silenced(python: str) -> bool:
    """Whether the last token is a semicolon, as IPython asks before it displays."""
    last = [one for one in _tokens(python) if one.type not in _SILENT][-1:]
    return bool(last) and last[0].string == ";"


def _blank_at_end(lines: list[str]) -> int:
    count = 0
    for line in reversed(lines):
        if line.strip():
            break
        count += 1
    return count
