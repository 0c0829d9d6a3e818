"""Which names a cell's assignments compute from which others, from its syntax tree.

Only names and the methods of a fixed vocabulary leave this module, never a constant or a text.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What makes a copy in another form of what it is called on.
_CONVERSIONS = frozenset(
    {"to_pandas", "toPandas", "toArrow", "collect", "tolist", "to_list", "to_dict", "to_dicts",
     "to_numpy", "to_records", "to_arrow", "to_pylist", "to_pydict", "to_polars"}
)  # fmt: skip
# The same where the source is the argument: pa.Table.from_pandas(df).
_FROM = frozenset({"from_pandas", "from_arrow", "from_pylist", "from_pydict", "from_records"})
# What keeps every row and column on the way from the source to the conversion.
_WHOLE = frozenset(
    {"values", "copy", "reset_index", "combine_chunks", "astype", "fillna", "sort_values",
     "rename", "unify_dictionaries", "itertuples", "lazy", "cache", "persist"}
)  # fmt: skip
# These read a query that holds no data itself: whatever was chosen in it, it is the source.
_FROM_QUERIES = frozenset({"toPandas", "toArrow", "collect"})
# What fills a frame of the same form with other values: no near-copy of what it came from.
_RECOMPUTE = frozenset(
    {"abs", "add", "agg", "aggregate", "corr", "count", "cov", "cummax", "cummin", "cumprod",
     "cumsum", "describe", "diff", "div", "eq", "ewm", "expanding", "floordiv", "ge", "get_dummies",
     "groupby", "gt", "isin", "isna", "isnull", "le", "lt", "mean", "melt", "mod", "mul", "ne",
     "notna", "notnull", "nunique", "pct_change", "pivot", "pivot_table", "pow", "rank", "resample",
     "rolling", "stack", "std", "sub", "sum", "transpose", "truediv", "unstack", "value_counts"}
)  # fmt: skip
_BLOCKS = ("body", "orelse", "finalbody")
_MOST_SOURCES = 20


class Derivations:
    """``made`` (name → names its value was computed from), ``recomputed`` (those of them whose
    values are new ones, by arithmetic, windows or groups), ``collected`` (name → [source,
    method])."""

    def __init__(self) -> None:
        self.made: dict[str, list[str]] = {}
        self.recomputed: set[str] = set()
        self.collected: dict[str, list[str]] = {}

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Note that ``target = value`` ran; the last assignment of a name counts."""
        if isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, ast.Name):
            self._bind(target.id, value)

    def extend(self, name: str, value: ast.expr) -> None:
        """Note that ``name += value`` ran: it holds what it held, and the value."""
        found = [name, *self.made.get(name, ()), *sources(value)]
        self.made[name] = _first_of_each(found)

    def _unpack(self, targets: list[ast.expr], value: ast.expr) -> None:
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
        apart = len(parts) == len(targets) and not any(
            isinstance(one, ast.Starred) for one in (*targets, *parts)
        )
        for target, part in zip(targets, parts if apart else [value] * len(targets)):
            self.assign(target, part)

    def _bind(self, name: str, value: ast.expr) -> None:
        found = sources(value)
        if name in found:
            found += self.made.get(name, [])
        else:
            self.recomputed.discard(name)
        self.made.pop(name, None)
        self.collected.pop(name, None)
        if found:
            self.made[name] = _first_of_each(found)
            if recomputes(value):
                self.recomputed.add(name)
        conversion = conversion_in(value)
        if conversion is not None and conversion[0] != name:
            self.collected[name] = conversion


def of_tree(tree: ast.Module) -> Derivations:
    """Return what the assignments at the cell's own level compute from what."""
    found = Derivations()
    for statement in _statements(tree.body):
        for walrus in _walruses(statement):
            found.assign(walrus.target, walrus.value)
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                found.assign(target, statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found.assign(statement.target, statement.value)
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            found.extend(statement.target.id, statement.value)
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements in order, those inside of ``with``, ``for``, ``if`` and ``try`` as well."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for block in _BLOCKS[:1]:
            yield from _statements(getattr(statement, block, []))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(part.body)
        for block in _BLOCKS[1:]:
            yield from _statements(getattr(statement, block, []))


def _walruses(statement: ast.stmt) -> Iterator[ast.NamedExpr]:
    """Yield the ``:=`` of a statement's own expressions, not of the statements inside it."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    pending: list[ast.AST] = [
        child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)
    ]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.NamedExpr):
            yield node
        if not isinstance(node, (ast.Lambda, ast.ExceptHandler)):
            pending += [
                child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)
            ]


def sources(value: ast.expr) -> list[str]:
    """Return the names whose objects ``value`` is computed from, in order, each once.

    A function that is called by its name is none, nor is what only chooses rows or columns.
    """
    return _first_of_each(_names_in(value))


def _names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name):
            yield from _names_in(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _names_in(argument)
    elif isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
        yield from _names_in(node.value)
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        yield from _of_comprehension(node)
    elif isinstance(node, ast.IfExp):
        yield from (*_names_in(node.body), *_names_in(node.orelse))
    elif not isinstance(node, (ast.Lambda, ast.JoinedStr, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from _names_in(child)


def _of_comprehension(node: ast.AST) -> Iterator[str]:
    generators = node.generators  # type: ignore[attr-defined]
    own = {
        part.id
        for generator in generators
        for part in ast.walk(generator.target)
        if isinstance(part, ast.Name)
    }
    parts = [getattr(node, name, None) for name in ("elt", "key", "value")]
    for part in (*(generator.iter for generator in generators), *parts):
        if part is not None:
            yield from (name for name in _names_in(part) if name not in own)


def recomputes(value: ast.expr) -> bool:
    """Whether the value's own form is arithmetic, or a chain with a method that makes new values.

    ``df[df.a > 1]`` and ``df.fillna(df.mean())`` are none: there the rows are carried over.
    """
    node: ast.AST = value
    while True:
        if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare)):
            return True
        if isinstance(node, ast.Attribute) and node.attr in _RECOMPUTE:
            return True
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, (ast.Attribute, ast.Subscript, ast.Await, ast.NamedExpr)):
            node = node.value
        else:
            return False


def conversion_in(value: ast.expr) -> list[str] | None:
    """Return ``[source, method]`` where ``value`` is a whole source in another form."""
    if isinstance(value, (ast.Await, ast.NamedExpr)):
        return conversion_in(value.value)
    if isinstance(value, ast.Attribute) and value.attr == "values":
        return _converted(value.value, value.attr)
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return None
    method = value.func.attr
    if method in _FROM:
        given = value.args[0] if value.args else None
        return _converted(given, method) if given is not None else None
    if method in _CONVERSIONS:
        return _converted(value.func.value, method)
    return conversion_in(value.func.value) if method in _WHOLE else None


def _converted(node: ast.expr, method: str) -> list[str] | None:
    """Return ``[source, method]`` for what the conversion was called on."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Call):
            node = node.func
            if not isinstance(node, ast.Attribute):
                return None
        elif isinstance(node, ast.Attribute):
            if node.attr not in _WHOLE and method not in _FROM_QUERIES:
                return None
            node = node.value
        elif isinstance(node, ast.Subscript) and method in _FROM_QUERIES:
            node = node.value
        else:
            return None
    return [node.id, method]


def _first_of_each(found: Iterator[str] | list[str]) -> list[str]:
    return list(dict.fromkeys(found))[:_MOST_SOURCES]
