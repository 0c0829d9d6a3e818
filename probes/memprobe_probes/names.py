"""Which names a cell binds, uses and deletes, from the syntax tree of the transformed cell.

"Uses" is on the safe side: a name counts as used when the cell, or a function that it may call,
could read it. Source text is never kept: only names and line numbers leave this module.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
import types

from . import derivations, sizes, syntax
from .sampling import OWN_REFERENCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_WORD = re.compile(r"[^\W\d]\w*")
# Calls whose text arguments are code or name variables.
_READS_TEXT = frozenset(
    {"eval", "exec", "query", "sql", "run_line_magic", "run_cell_magic", "system", "getoutput",
     "run_cell", "ex", "ev", "execute"}
)  # fmt: skip
_MAIN = "__main__"
_NAMESPACES = frozenset({"globals", "locals", "vars"})
_SUSPENDED = {
    types.GeneratorType: "gi_", types.CoroutineType: "cr_", types.AsyncGeneratorType: "ag_",
}  # fmt: skip
_MOST_OBJECTS = 2000
_LONGEST_TEXT = 100_000


class CellNames:
    """Names of one cell: ``bound`` (name → line), ``used``, ``deleted``; ``texts`` are the names
    whose text is given to ``eval`` and its like; ``words`` are the identifiers in the cell's own
    texts, which count if code it calls reads names in text; ``attributes`` are the names behind
    dots, which are global ones where the module of the cells is before the dot; ``derived`` says
    which of them were computed from which; ``shows`` is True when the last statement is an
    expression that IPython displays."""

    def __init__(self) -> None:
        self.bound: dict[str, int] = {}
        self.used: set[str] = set()
        self.deleted: set[str] = set()
        self.texts: set[str] = set()
        self.words: set[str] = set()
        self.attributes: set[str] = set()
        self.derived = derivations.Derivations()
        self.shows = False


def of_cell(source: str) -> CellNames:
    """Return the names of a transformed cell; empty for one that does not parse."""
    names = CellNames()
    try:
        tree = syntax.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return names
    try:
        _Visitor(names).visit(tree)
        names.derived = derivations.of_tree(tree)
    except RecursionError:
        pass
    if not _NAMESPACES.isdisjoint(names.used):
        names.used |= names.words
    if _MAIN in names.used or _MAIN in names.words:
        names.used |= names.attributes
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

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.names.attributes.add(node.attr)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.names.used.add(node.target.id)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.names.bound.update(dict.fromkeys(node.names, node.lineno))

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        if self.depth == 0:
            for alias in node.names:
                if alias.name == "*":
                    continue  # what it binds shows when the cell has ended
                bound = (alias.asname or alias.name).partition(".")[0]
                self.names.bound[bound] = node.lineno

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name and self.depth == 0:
            self.names.bound[node.name] = node.lineno
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name and self.depth == 0:
            self.names.bound[node.name] = node.lineno
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest and self.depth == 0:
            self.names.bound[node.rest] = node.lineno
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

    def visit_Constant(self, node: ast.Constant) -> None:
        self.names.words.update(_words(node))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_namespace(node.value):
            self._read_as_text(node.slice)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _called_name(node.func) in _READS_TEXT or _is_namespace_method(node.func):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                self._read_as_text(argument)
        self.generic_visit(node)

    def _read_as_text(self, node: ast.expr) -> None:
        for part in ast.walk(node):
            self.names.used.update(_words(part))
            if isinstance(part, ast.Name):
                self.names.texts.add(part.id)


def _words(node: ast.AST) -> list[str]:
    """Return the identifiers in a constant text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _WORD.findall(node.value)
    return []


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
    partials, wrapped functions, suspended generators and compiled code whose globals are
    ``namespace``, and texts that are evaluated.
    No user code runs.
    """
    used = names.used | _words_in(names.texts, namespace)
    if any(_is_module_of(namespace.get(name), namespace) for name in used):
        used |= names.attributes
    found = {name for name in used if name in namespace}
    told = names.words | _words_in(names.used, namespace)
    pending = [namespace[name] for name in found]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_OBJECTS:
        obj = pending.pop()
        if id(obj) in seen:
            continue
        seen.add(id(obj))
        if type in sizes.mro(type(obj)) and namespace.get(_class_name(obj)) is obj:
            found.add(_class_name(obj))  # an instance uses what its class keeps
        for name in _names_in(obj, namespace, told):
            if name in namespace and name not in found:
                found.add(name)
                pending.append(namespace[name])
        pending.extend(_callees(obj, namespace))
    return found | used


def _is_module_of(obj: Any, namespace: Mapping[str, Any]) -> bool:
    """Whether it is the module that the cells run in: ``import __main__ as here``."""
    return type(obj) is types.ModuleType and obj.__dict__ is namespace


def _class_name(cls: Any) -> str:
    name: str = type.__dict__["__name__"].__get__(cls)
    return name


def mentioned(namespace: Mapping[str, Any]) -> set[str]:
    """Return every name that a function of the namespace mentions, called or not."""
    found: set[str] = set()
    for value in list(namespace.values()):
        if type(value) is types.FunctionType and value.__globals__ is namespace:
            found.update(_names_of_code(value.__code__))
    return {name for name in found if name in namespace}


def awaited(namespace: Mapping[str, Any]) -> set[str]:
    """Return the global names that code outside of any cell may read at any time.

    A function of this namespace that something else refers to as well (a widget, a timer, a
    running thread, an exit handler) can be called without a cell. Names and classes of the
    namespace do not count: who uses those is known. Two passes over the heap.
    """
    functions = [
        function
        for function in gc.get_referrers(namespace)
        if type(function) is types.FunctionType and function.__globals__ is namespace
    ]
    known = _references_by_name(namespace)
    _count_methods(functions, known)
    names = CellNames()
    counts = list(map(sys.getrefcount, functions))
    for function, count in zip(functions, counts):
        if count - OWN_REFERENCES > known.get(id(function), 0):
            names.used.update(_names_of_code(function.__code__))
    return {name for name in with_called(names, namespace) if name in namespace}


def _references_by_name(namespace: Mapping[str, Any]) -> dict[int, int]:
    """Return id → number of names for what the namespace holds."""
    found: dict[int, int] = {}
    for value in list(namespace.values()):
        found[id(value)] = found.get(id(value), 0) + 1
    return found


def _count_methods(functions: list[Any], known: dict[int, int]) -> None:
    """Add the references that the bodies of classes hold to ``known``."""
    wanted = {id(function) for function in functions}
    for referrer in gc.get_referrers(*functions) if functions else ():
        if type(referrer) is dict and "__module__" in referrer and "__doc__" in referrer:
            for value in referrer.values():
                if id(value) in wanted:
                    known[id(value)] = known.get(id(value), 0) + 1


def _words_in(texts: Iterable[str], namespace: Mapping[str, Any]) -> set[str]:
    """Return the identifiers in the texts that these names are bound to; the texts stay here."""
    words: set[str] = set()
    for name in texts:
        text = namespace.get(name)
        if type(text) is str and len(text) < _LONGEST_TEXT:
            words.update(_WORD.findall(text))
    return words


def _names_in(obj: Any, namespace: Mapping[str, Any], told: set[str]) -> Iterator[str]:
    """Yield the names that running ``obj`` may read; ``told`` are the words it may be handed."""
    code = _code_in(obj, namespace)
    if code is not None:
        mentioned = list(_names_of_code(code))
        yield from mentioned
        if _reads_text(code):
            yield from _words_in(mentioned, namespace)
            yield from told


def _code_in(obj: Any, namespace: Mapping[str, Any]) -> types.CodeType | None:
    """Return the code that ``obj`` runs with ``namespace`` as its globals."""
    kind = type(obj)
    if kind is types.CodeType:
        return obj  # type: ignore[no-any-return]
    if kind is types.FunctionType:
        return obj.__code__ if obj.__globals__ is namespace else None
    prefix = _SUSPENDED.get(kind)
    frame = getattr(obj, prefix + "frame") if prefix else None
    if frame is None or frame.f_globals is not namespace:
        return None
    return frame.f_code  # type: ignore[no-any-return]


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
        for value in list(sizes.class_namespace(base).values()):
            yield _unwrapped(value)


def _unwrapped(value: Any) -> Any:
    if type(value) is staticmethod or type(value) is classmethod:
        return value.__func__
    return value.fget if type(value) is property else value


def _partial_parts(obj: Any) -> Iterator[Any]:
    for name in ("func", "args", "keywords", "__wrapped__", "attrname"):
        part = getattr(obj, name, None)
        if part is not None:
            yield part


def _is_users(cls: type, namespace: Mapping[str, Any]) -> bool:
    return bool(sizes.module_of(cls) == namespace.get("__name__", _MAIN))


def source_hash(source: str) -> str:
    """Return the 12 hex digits by which a cell's source is known without being kept."""
    import hashlib

    return hashlib.sha256(source.strip().encode("utf-8", "replace")).hexdigest()[:12]
