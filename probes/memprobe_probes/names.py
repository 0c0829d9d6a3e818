"""Which names a cell binds, uses and deletes, from the syntax tree of the transformed cell.

"Uses" is on the safe side: a name counts as used when the cell, or a function that it may call,
could read it. Source text is never kept: only names and line numbers leave this module.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import sizes

_WORD = re.compile(r"[^\W\d]\w*")
# Calls whose text arguments are code or name variables.
_READS_TEXT = frozenset(
    {"eval", "exec", "query", "sql", "run_line_magic", "run_cell_magic", "system", "getoutput",
     "run_cell", "ex", "ev"}
)  # fmt: skip
_NAMESPACES = frozenset({"globals", "locals", "vars"})
_MOST_OBJECTS = 2000
_LONGEST_TEXT = 100_000


class CellNames:
    """Names of one cell: ``bound`` (name → line), ``used``, ``deleted``; ``texts`` are the names
    whose text is given to ``eval`` and its like; ``shows`` is True when the last statement is an
    expression that IPython displays."""

    def __init__(self) -> None:
        self.bound: dict[str, int] = {}
        self.used: set[str] = set()
        self.deleted: set[str] = set()
        self.texts: set[str] = set()
        self.shows = False


def of_cell(source: str) -> CellNames:
    """Return the names of a transformed cell; empty for one that does not parse."""
    names = CellNames()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return names
    try:
        _Visitor(names).visit(tree)
    except RecursionError:
        pass
    last = tree.body[-1] if tree.body else None
    names.shows = isinstance(last, ast.Expr) and not source.rstrip().endswith(";")
    return names


class _Visitor(ast.NodeVisitor):
    """Collects names; a nested function's own locals are taken for uses, never for bindings."""

    def __init__(self, names: CellNames) -> None:
        self.names = names
        self.depth = 0

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.names.used.add(node.id)
        elif isinstance(node.ctx, ast.Del):
            self.names.deleted.add(node.id)
        elif self.depth == 0:
            self.names.bound[node.id] = node.lineno

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.names.used.add(node.target.id)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.names.bound.update(dict.fromkeys(node.names, node.lineno))

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        if self.depth == 0:
            for alias in node.names:
                bound = (alias.asname or alias.name).partition(".")[0]
                self.names.bound[bound] = node.lineno

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name and self.depth == 0:
            self.names.bound[node.name] = node.lineno
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if self.depth == 0:
            self.names.bound[node.name] = node.lineno
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if part is not None:
                self.visit(part)
        # A definition uses nothing yet: its body counts in the cell that calls it.

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if self.depth == 0:
            self.names.bound[node.name] = node.lineno
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def _visit_comprehension(self, node: ast.AST) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.names.bound[node.target.id] = node.lineno
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_namespace(node.value) and isinstance(node.slice, ast.Constant):
            self._words(node.slice)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _called_name(node.func) in _READS_TEXT or _is_namespace_method(node.func):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                for part in ast.walk(argument):
                    self._words(part)
                    if isinstance(part, ast.Name):
                        self.names.texts.add(part.id)
        self.generic_visit(node)

    def _words(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.names.used.update(_WORD.findall(node.value))


def _called_name(func: ast.expr) -> str:
    if isinstance(func, ast.Name):
        return func.id
    return func.attr if isinstance(func, ast.Attribute) else ""


def _is_namespace(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return _called_name(node.func) in _NAMESPACES
    return isinstance(node, ast.Attribute) and node.attr in ("user_ns", "user_global_ns")


def _is_namespace_method(func: ast.expr) -> bool:
    return isinstance(func, ast.Attribute) and _is_namespace(func.value)


def with_called(names: CellNames, namespace: Mapping[str, Any]) -> set[str]:
    """Return what the cell uses and every global name that code reachable from it mentions.

    Follows functions, methods of the user's classes, instances of such classes, closures,
    partials and wrapped functions whose globals are ``namespace``, and texts that are evaluated.
    No user code runs.
    """
    used = names.used | _words_in(names.texts, namespace)
    found = {name for name in used if name in namespace}
    pending = [namespace[name] for name in found]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_OBJECTS:
        obj = pending.pop()
        if id(obj) in seen:
            continue
        seen.add(id(obj))
        for name in _names_in(obj, namespace):
            if name in namespace and name not in found:
                found.add(name)
                pending.append(namespace[name])
        pending.extend(_callees(obj, namespace))
    return found | used


def _words_in(texts: Iterable[str], namespace: Mapping[str, Any]) -> set[str]:
    """Return the identifiers in the texts that these names are bound to; the texts stay here."""
    words: set[str] = set()
    for name in texts:
        text = namespace.get(name)
        if type(text) is str and len(text) < _LONGEST_TEXT:
            words.update(_WORD.findall(text))
    return words


def _names_in(obj: Any, namespace: Mapping[str, Any]) -> Iterator[str]:
    if type(obj) is types.FunctionType and obj.__globals__ is namespace:
        mentioned = list(_names_of_code(obj.__code__))
        yield from mentioned
        if _reads_text(obj.__code__):
            yield from _words_in(mentioned, namespace)


def _reads_text(code: types.CodeType) -> bool:
    """Whether code mentions ``eval``, ``query``, ``globals`` or another reader of names in text."""
    return not (_READS_TEXT | _NAMESPACES).isdisjoint(code.co_names)


def _names_of_code(code: types.CodeType) -> Iterator[str]:
    reads_text = _reads_text(code)
    yield from code.co_names
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from _names_of_code(constant)
        elif reads_text and type(constant) is str:
            yield from _WORD.findall(constant)


def _callees(obj: Any, namespace: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what may run when ``obj`` is used."""
    kind = type(obj)
    if kind is types.FunctionType:
        yield from _function_parts(obj)
    elif kind is types.MethodType:
        yield from (obj.__func__, obj.__self__)
    elif type in sizes.mro(kind):
        yield from _class_parts(obj, namespace)
    elif kind in (list, tuple, set, frozenset):
        yield from list(obj)[:_FEW] if len(obj) <= _FEW else ()
    elif kind is dict:
        yield from list(obj.values()) if len(obj) <= _FEW else ()
    elif sizes.module_of(kind) == "functools":
        yield from _partial_parts(obj)
    elif _is_users(kind, namespace):
        yield kind
        yield from (sizes.instance_dict(obj) or {}).values()


_FEW = 200


def _function_parts(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    wrapped = function.__dict__.get("__wrapped__")
    if wrapped is not None:
        yield wrapped


def _class_parts(cls: type, namespace: Mapping[str, Any]) -> Iterator[Any]:
    for base in sizes.mro(cls):
        if not _is_users(base, namespace):
            continue
        for value in list(type.__dict__["__dict__"].__get__(base).values()):
            yield _unwrapped(value)


def _unwrapped(value: Any) -> Any:
    if type(value) in (staticmethod, classmethod):
        return value.__func__
    return value.fget if type(value) is property else value


def _partial_parts(obj: Any) -> Iterator[Any]:
    for name in ("func", "args", "keywords", "__wrapped__", "attrname"):
        part = getattr(obj, name, None)
        if part is not None:
            yield part


def _is_users(cls: type, namespace: Mapping[str, Any]) -> bool:
    return bool(sizes.module_of(cls) == namespace.get("__name__", "__main__"))


def source_hash(source: str) -> str:
    """Return the 12 hex digits by which a cell's source is known without being kept."""
    import hashlib

    return hashlib.sha256(source.strip().encode("utf-8", "replace")).hexdigest()[:12]
