"""Puts lines into a cell, and makes what it displays let go; the rest of it stays as it is."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass, field

from memprobe.edits.cell_source import CellSource

# What is displayed of these is a by-product: the picture itself is shown in another way.
BY_PRODUCTS = ("matplotlib.", "seaborn.")


@dataclass
class Editing:
    """The edits of one cell; ``text`` applies all of them. ``display`` is the function's name."""

    cell: CellSource
    shows: str | None = None  # "display" or ";": how the shown expression lets go
    calls: dict[int, list[str]] = field(default_factory=dict)  # after group → lines
    deleted: dict[int, list[str]] = field(default_factory=dict)  # after group → names
    first: list[str] = field(default_factory=list)  # lines before everything

    def must_display(self, display: bool) -> bool:
        """Make the displayed expression one that nothing remembers; False where that cannot be."""
        if self.shows is None:
            if self.cell.shown_expression() is None:
                return False
            self.shows = "display" if display else ";"
        return True

    def delete(self, group: int, name: str) -> bool:
        """Put ``del name`` after a group; False where that cannot be."""
        if not self._can_go_after(group):
            return False
        names = self.deleted.setdefault(group, [])
        if name not in names:
            names.append(name)
        return True

    def call(self, group: int, line: str) -> bool:
        """Put a line after a group; False where that cannot be."""
        if not self._can_go_after(group):
            return False
        lines = self.calls.setdefault(group, [])
        if line not in lines:
            lines.append(line)
        return True

    def only_deletes(self) -> list[str]:
        """Return the names that are deleted, where nothing else is edited; else none."""
        if self.calls or self.first or self.shows is not None:
            return []
        return list(dict.fromkeys(name for names in self.deleted.values() for name in names))

    def text(self) -> str:
        """Return the cell with all its edits."""
        assert self.cell.groups is not None
        insertions: list[tuple[int, list[str]]] = []
        for group in sorted({*self.calls, *self.deleted}):
            at = self.cell.position_after(group)
            assert at is not None
            insertions.append((at, self._lines_after(group)))
        if self.first:
            insertions.append((self._begin(), self.first))
        lines = self._shown(list(self.cell.lines))
        for at, added in sorted(insertions, key=lambda one: one[0], reverse=True):
            lines[at:at] = added
        return "\n".join(lines)

    def _lines_after(self, group: int) -> list[str]:
        lines = list(self.calls.get(group, ()))
        names = self.deleted.get(group)
        if names:
            return [*lines, f"del {', '.join(names)}"]
        assert self.cell.groups is not None
        if lines and group + 1 == len(self.cell.groups) and _is_expression(lines[-1]):
            lines[-1] += ";"  # else the notebook would show and keep what the call returns
        return lines

    def _can_go_after(self, group: int) -> bool:
        if not self.cell.groups or self.cell.position_after(group) is None:
            return False
        last = group + 1 == len(self.cell.groups)
        # A line behind the last expression would take its display away.
        return not (last and self.cell.shows) or self.must_display(True)

    def _begin(self) -> int:
        """Return after how many raw lines the first statement may come: imports of the future."""
        for number, group in enumerate(self.cell.groups or ()):
            future = any(
                isinstance(one, ast.ImportFrom) and one.module == "__future__"
                for one in group.nodes
            )
            if not future:
                return group.first - 1 if group.first is not None else self.cell.head
            after = self.cell.position_after(number)
            if after is not None:
                return after
        return self.cell.head

    def _shown(self, lines: list[str]) -> list[str]:
        if self.shows is None:
            return lines
        span = self.cell.shown_expression()
        assert span is not None
        (first, begin), (last, end) = span
        if self.shows == ";":
            lines[last - 1] = f"{lines[last - 1][:end]};{lines[last - 1][end:]}"
            return lines
        opening, closing = ("display((", "))") if self._is_bare_tuple(span) else ("display(", ")")
        lines[last - 1] = f"{lines[last - 1][:end]}{closing}{lines[last - 1][end:]}"
        lines[first - 1] = f"{lines[first - 1][:begin]}{opening}{lines[first - 1][begin:]}"
        return lines

    def _is_bare_tuple(self, span: tuple[tuple[int, int], tuple[int, int]]) -> bool:
        (first, begin), (last, end) = span
        text = self.cell.lines[first - 1 : last]
        text[-1] = text[-1][:end]
        text[0] = text[0][begin:]
        source = "\n".join(text)
        try:
            parsed = ast.parse(source.strip(), mode="eval").body
        except SyntaxError:
            return False
        return isinstance(parsed, ast.Tuple) and not _is_bracketed(source)


def _is_expression(line: str) -> bool:
    return isinstance(ast.parse(line).body[-1], ast.Expr)


def _is_bracketed(source: str) -> bool:
    """Whether one pair of brackets holds all of an expression."""
    depth = 0
    tokens = [one for one in tokenize.generate_tokens(io.StringIO(source).readline)
              if one.type == tokenize.OP or one.string.strip()]  # fmt: skip
    tokens = [one for one in tokens if one.type != tokenize.COMMENT]
    for number, token in enumerate(tokens):
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if depth == 0:
            return number + 1 == len(tokens)
    return False
