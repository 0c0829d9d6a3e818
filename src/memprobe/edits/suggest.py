"""From a notebook's findings to the smallest edits of its cells that would let go of the bytes.

Every holder of a finding has to be cut, or nothing comes back: where one of them cannot be cut by
an edit, there is none, and the reason is told instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memprobe.analysis.evidence import NAMESPACE, OUTPUT, TRACEBACK
from memprobe.contrasts import CellEdit, EditReason, Suggestions, Unsuggested
from memprobe.edits.as_function import wrapped
from memprobe.edits.cached_names import cached_in
from memprobe.edits.cell_source import CellSource
from memprobe.edits.diff import unified
from memprobe.edits.edited_cell import BY_PRODUCTS, Editing
from memprobe.edits.uses import Place, Uses
from memprobe.findings import Finding
from memprobe_probes.names import of_cell

_OUTPUT_MAGIC = ("%xdel ", "%reset ")
_COUNT = re.compile(r"^(?:Out\[|_)(\d+)\]?")
_RDDS = "getPersistentRDDs"
_GROWING = ("MP101", "MP102", "MP204")  # of what code adds to, not of what is displayed
SPARK_ROOTS = ("spark-executor", "spark-driver")


class NoEdit(Exception):
    """Why there is no edit for a finding."""


@dataclass(frozen=True)
class Act:
    """One thing to do: ``what`` is ``display``, ``delete``, ``call`` or ``clear``."""

    what: str
    cell: int = 0  # from 0
    group: int = 0
    text: str = ""  # the name to delete, the line to put there


@dataclass
class Notebook:
    """The cells of a notebook as a suggestion needs them. ``ids``: the notebook's own, if any."""

    sources: list[str]
    seen: list[set[str]] = field(default_factory=list)  # names each cell was seen to touch
    awaited: frozenset[str] = frozenset()  # names that something may read at any time
    ids: list[str | None] = field(default_factory=list)
    shows: list[bool] = field(default_factory=list)  # whether the cell's last value was displayed

    def __post_init__(self) -> None:
        self.cells = [CellSource.of(source) for source in self.sources]
        for cell, shows in zip(self.cells, self.shows):
            cell.shows = cell.shows and shows  # print(x) ends in an expression, too
        self.uses = Uses(self.cells, self.seen)


def suggest(findings: Sequence[Finding], notebook: Notebook) -> Suggestions:
    """Return one edit per cell that has any, and the findings that no edit lets go of.

    Raises ImportError without IPython.
    """
    editings: dict[int, Editing] = {}
    reasons: dict[int, list[EditReason]] = {}
    left: list[Unsuggested] = []
    for finding in findings:
        try:
            acts = list(_acts(finding, notebook))
            _try_all(acts, notebook)
        except NoEdit as why:
            left.append(Unsuggested(
                code=finding.code, fingerprint=finding.fingerprint, title=finding.title,
                why=str(why), fix=finding.fix,
            ))  # fmt: skip
            continue
        for act in acts:
            _do(act, editings.setdefault(act.cell, Editing(notebook.cells[act.cell])))
            told = reasons.setdefault(act.cell, [])
            reason = _reason(finding)
            if reason not in told:
                told.append(reason)
    edits = [_edit(number, editings[number], reasons[number], notebook)
             for number in sorted(editings)]  # fmt: skip
    return Suggestions(edits=[one for one in edits if one.after != one.before], left=left)


def _reason(finding: Finding) -> EditReason:
    return EditReason(
        code=finding.code, fingerprint=finding.fingerprint, title=finding.title,
        bytes=finding.exclusive_bytes, where=finding.reclaim.where,
        per_round=finding.growth.bytes_per_round if finding.growth is not None else None,
    )  # fmt: skip


def _edit(number: int, editing: Editing, reasons: list[EditReason], notebook: Notebook) -> CellEdit:
    before, after = notebook.sources[number], _as_function(number, editing, notebook)
    after = after or editing.text()
    return CellEdit(
        cell=number + 1, cell_id=notebook.ids[number] if number < len(notebook.ids) else None,
        before=before, after=after, diff=unified(before, after, number + 1), reasons=reasons,
    )  # fmt: skip


def _as_function(number: int, editing: Editing, notebook: Notebook) -> str | None:
    """Return the cell with a function whose end lets go of what else is deleted; None: not sure."""
    names = editing.only_deletes()
    others = (one for at, one in enumerate(notebook.seen) if at != number)
    known = set(notebook.awaited).union(*others)
    text = wrapped(number, names, notebook.cells, known) if names else None
    return text if text is not None and CellSource.of(text).groups is not None else None


def _try_all(acts: Sequence[Act], notebook: Notebook) -> None:
    """Try the edits on cells of their own: all can be made and parse as before, or NoEdit."""
    tried: dict[int, Editing] = {}
    for act in acts:
        _do(act, tried.setdefault(act.cell, Editing(notebook.cells[act.cell])))
    for number, editing in tried.items():
        after = CellSource.of(editing.text())
        if after.groups is None:
            raise NoEdit(f"an edited cell {number + 1} would not parse")


def _do(act: Act, editing: Editing) -> None:
    done = True
    if act.what == "display":
        done = editing.must_display(act.text != ";")
    elif act.what == "delete":
        done = editing.delete(act.group, act.text)
    elif act.what == "call":
        done = editing.call(act.group, act.text)
    elif act.text not in editing.first:
        editing.first.append(act.text)
    if not done:
        raise NoEdit(
            f"the text of cell {act.cell + 1} cannot be edited there: a magic is in the way"
        )


def _acts(finding: Finding, notebook: Notebook) -> Iterator[Act]:
    """Yield what has to be done so that all holders of a finding let go. Raises NoEdit."""
    roots = {holding.root for holding in finding.holders}
    known = {NAMESPACE, OUTPUT, TRACEBACK, "figure", *SPARK_ROOTS}
    if not roots <= known:
        other = next(one for one in finding.holders if one.root not in known)
        raise NoEdit(f"`{other.expr}` keeps it too ({other.root}), and no line of a cell cuts that")
    grows_on_purpose = finding.code in _GROWING or OUTPUT not in roots
    if finding.growth is not None and NAMESPACE in roots and grows_on_purpose:
        raise NoEdit("what is kept from round to round may be meant: empty it where a round begins")
    yield from _outputs(finding, notebook)
    if TRACEBACK in roots:
        yield _clearing(finding, notebook)
    lines = list(_lines(finding))
    if any(_RDDS in line for line in lines):
        yield _of_orphan(finding, notebook)
        return
    names = [line for line in lines if line.startswith("del ")]
    for line in names:
        yield from _deletions(line, notebook)
    if TRACEBACK in roots or (names and NAMESPACE in roots and "figure" not in roots):
        return
    calls = [line for line in lines if not line.startswith("del ")]
    if not calls and not names and not roots <= {OUTPUT}:
        raise NoEdit(f"{finding.fix.splitlines()[0]}" if finding.fix else "the rule knows no line")
    for line in calls:
        yield _call(finding, line, notebook)


def _lines(finding: Finding) -> Iterator[str]:
    """Yield the lines of a fix that are Python, without comments; prose is none."""
    for line in finding.fix.splitlines():
        code = line.partition("  #")[0].strip()
        if code.startswith(_OUTPUT_MAGIC):
            continue
        try:
            ast.parse(code)
        except SyntaxError:
            continue
        if code:
            yield code


def _outputs(finding: Finding, notebook: Notebook) -> Iterator[Act]:
    positions = []
    for holding in finding.holders:
        if holding.root != OUTPUT:
            continue
        found = _COUNT.match(holding.expr)
        if found is not None:
            positions.append((int(found[1]) - 1) % len(notebook.cells))
        elif finding.created is not None and finding.created.cell:
            positions.append((finding.created.cell - 1) % len(notebook.cells))
    shown = list(dict.fromkeys(positions))
    if not shown and any(one.root == OUTPUT for one in finding.holders):
        raise NoEdit("it is not known which cell displayed it")
    for cell in shown:
        _refuse_history(cell, notebook)
        if notebook.cells[cell].shown_expression() is None:
            raise NoEdit(f"cell {cell + 1} does not end in an expression that could be changed")
        yield Act("display", cell, text=_how_to_show(finding, notebook))


def _how_to_show(finding: Finding, notebook: Notebook) -> str:
    """Return ``display``, or ``;`` for what is no use to see or where the name is taken."""
    taken = any(
        "display" in of_cell(group.source).bound
        for cell in notebook.cells for group in cell.groups or ()
    )  # fmt: skip
    return ";" if taken or finding.object.type.startswith(BY_PRODUCTS) else "display"


def _refuse_history(cell: int, notebook: Notebook) -> None:
    """Raise NoEdit where a cell reads what IPython remembers of an output."""
    own = {"Out", "_oh", f"_{cell + 1}"}
    for number, other in enumerate(notebook.cells):
        for group in other.groups or ():
            found = of_cell(group.source)
            read = found.used - set(found.bound)
            if read & own or (number > cell and read & {"_", "__", "___"}):
                raise NoEdit(f"cell {number + 1} reads it from the history of outputs")


def _clearing(finding: Finding, notebook: Notebook) -> Act:
    made = finding.created.cell if finding.created is not None else None
    lines = [line for line in _lines(finding) if line.endswith("= None")]
    lines = [line for line in lines if not line.partition(".")[0].isidentifier()
             or line.startswith(("import sys", "get_ipython"))]  # fmt: skip
    if made is None or not lines:
        raise NoEdit("it is not known which cell failed")
    if made >= len(notebook.cells):
        raise NoEdit("the cell that failed is the last one: a cell behind it would let go")
    if notebook.cells[made].groups is None:
        raise NoEdit(f"cell {made + 1}, which would let go, is no plain Python")
    return Act("clear", made, text="\n".join(lines))


def _deletions(line: str, notebook: Notebook) -> Iterator[Act]:
    for target in ast.parse(line).body:
        assert isinstance(target, ast.Delete)
        for one in target.targets:
            if not isinstance(one, ast.Name):
                raise NoEdit(f"`{ast.unparse(one)}` is inside of something that is still in use")
            place = _last(notebook, {one.id}, one.id)
            yield Act("delete", place.cell, place.group, one.id)


def _last(notebook: Notebook, names: set[str], shown: str) -> Place:
    if not notebook.awaited.isdisjoint(names):
        raise NoEdit(f"a callback, timer or thread may still read `{shown}`")
    place = notebook.uses.last(names)
    if place is None:
        raise NoEdit(f"no cell mentions `{shown}`")
    if place.group < 0:
        raise NoEdit(f"cell {place.cell + 1} may use `{shown}` last, and is no plain Python")
    return place


def _call(finding: Finding, line: str, notebook: Notebook) -> Act:
    """Return a call behind the last use of what it lets go of, and of all made from that."""
    tree = ast.parse(line)
    statement = tree.body[0]
    if isinstance(statement, ast.Assign):
        return _replacement(finding, line, statement, notebook)
    if len(tree.body) > 1 or not isinstance(statement, (ast.Expr, ast.For)):
        raise NoEdit(f"no edit of a cell, but once: {line}")
    loads = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)}
    stores = {one.id for one in ast.walk(tree)
              if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}  # fmt: skip
    names = loads - stores
    if finding.reclaim.where == "executors" or "unpersist" in line:
        # Spark computes late: a frame made from a cached one reads the cache when it runs.
        names = {made for name in names for made in notebook.uses.made_from(name)}
    place = _last(notebook, names, ", ".join(sorted(loads - stores)))
    return Act("call", place.cell, place.group, line)


def _replacement(finding: Finding, line: str, statement: ast.Assign, notebook: Notebook) -> Act:
    """Return ``x = x.copy()`` behind the statement that made ``x``."""
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        raise NoEdit(f"no edit of a cell, but once: {line}")
    for cell in range(len(notebook.cells) - 1, -1, -1):
        groups = notebook.cells[cell].groups or []
        for number in range(len(groups) - 1, -1, -1):
            if target.id in of_cell(groups[number].source).bound:
                return Act("call", cell, number, line)
    raise NoEdit(f"no cell binds `{target.id}` by a statement of its own")


def _of_orphan(finding: Finding, notebook: Notebook) -> Act:
    """Return ``name.unpersist()`` for a cache whose name was deleted or bound anew since."""
    made = finding.created.cell if finding.created is not None else None
    if made is None or not 0 < made <= len(notebook.cells):
        raise NoEdit("it is not known which cell cached it")
    found = cached_in(notebook.cells[made - 1])
    if len(found) != 1:
        many = "several frames are" if found else "no frame is"
        raise NoEdit(f"{many} cached by name in cell {made}: give each a name, and unpersist it")
    name, group = found[0]
    start = Place(made - 1, group)
    end = _gone(notebook, name, start)
    later = notebook.uses.last(notebook.uses.made_from(name) - {name})
    if end is None:
        place = _last(notebook, notebook.uses.made_from(name), name)
        return Act("call", place.cell, place.group, f"{name}.unpersist()")
    if later is not None and later >= end:
        raise NoEdit(
            f"cell {end.cell + 1} lets `{name}` go while cell {later.cell + 1} may still read from "
            "it: keep its name until then, and unpersist it"
        )
    before = _group_before(notebook, end)
    if before is None or before < start:
        raise NoEdit(f"`{name}` is bound anew by the statement that cached it")
    return Act("call", before.cell, before.group, f"{name}.unpersist()")


def _gone(notebook: Notebook, name: str, start: Place) -> Place | None:
    """Return the first group after ``start`` that deletes a name or binds it anew."""
    for cell in range(start.cell, len(notebook.cells)):
        for number, group in enumerate(notebook.cells[cell].groups or ()):
            found = of_cell(group.source)
            if Place(cell, number) > start and name in {*found.deleted, *found.bound}:
                return Place(cell, number)
    return None


def _group_before(notebook: Notebook, place: Place) -> Place | None:
    """Return the last group in front of a place, in its cell or in one before."""
    if place.group > 0:
        return Place(place.cell, place.group - 1)
    for cell in range(place.cell - 1, -1, -1):
        if notebook.cells[cell].groups:
            return Place(cell, len(notebook.cells[cell].groups or ()) - 1)
    return None
