"""What the user's code does with its containers: which it only fills, and which are caches.

Read from the syntax trees of the sources. Containers are known by their bare names, wherever in
the program they are used: when in doubt a container counts as read. Names are all that leaves
this module.
"""

from __future__ import annotations

import _ast as ast
import sys

from . import roots, sizes, syntax
from .handed import Handed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

MOST_FILES = 100
LONGEST_SOURCE = 512 * 1024  # bytes of one file
LONGEST_SOURCES = 4 * 1024 * 1024

_ADDS = frozenset(
    {"append", "appendleft", "extend", "extendleft", "add", "update", "insert", "setdefault"}
)
_REMOVES = frozenset({"pop", "popitem", "popleft", "remove", "discard"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
ADD, READ, LOOK_UP, NEUTRAL = "add", "read", "look up", "neutral"


class Usage:
    """Collects over any number of sources what is done with each bare name."""

    def __init__(self) -> None:
        self.added: set[str] = set()
        self.read: set[str] = set()
        self.looked_up_and_filled: set[str] = set()
        self.shrunk: set[str] = set()  # single items are taken out somewhere
        self.handed = Handed()
        self._stored: dict[str, int] = {}  # name → plain assignments to it

    def learn(self, source: str | bytes) -> None:
        """Add what ``source`` does; one that does not parse teaches nothing."""
        tree = syntax.parsed(source)
        if tree is not None:
            self.learn_tree(tree)

    def learn_tree(self, tree: ast.Module) -> None:
        """Add what a source does whose syntax tree this is."""
        try:
            _Reader(self).visit(tree)
            self.handed.learn(tree)
        except (ValueError, RecursionError, MemoryError):
            return

    def stored(self, name: str) -> None:
        """Count a plain assignment: a second one empties the container now and then."""
        self._stored[name] = self._stored.get(name, 0) + 1

    @property
    def only_filled(self) -> set[str]:
        """Names that the code makes once and adds to, and neither reads nor replaces."""
        once = {name for name, times in self._stored.items() if times == 1}
        return (self.added & once) - self.read

    @property
    def memos(self) -> set[str]:
        """Names of dicts that a function looks up and fills by key, and that nothing bounds."""
        return self.looked_up_and_filled - self.shrunk

    def grown(self, exprs: Iterable[str]) -> list[str]:
        """Return the expressions of containers that are only filled, and handed to nobody."""
        modules = set(sys.modules)
        filled = named(exprs, self.only_filled)
        return [expr for expr in filled if not self.handed.may_read(expr, modules)]


class _Scope:
    """One function (or the module): its own names, and what it does with containers by key."""

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.looked_up: set[str] = set()
        self.filled: set[str] = set()
        self.emptied: set[str] = set()


class _Reader:
    def __init__(self, usage: Usage) -> None:
        self.usage = usage
        self.above: list[ast.AST] = []
        self.scopes = [_Scope(set())]

    def visit(self, node: ast.AST) -> None:
        """Visit one node, knowing the nodes above it."""
        if isinstance(node, _FUNCTIONS):
            self.scopes.append(_Scope(_own_names(node)))
        if isinstance(node, ast.Name) and not self._is_local(node.id):
            self._judge(node, node.id)
        elif isinstance(node, ast.Attribute):
            self._judge(node, node.attr)
        self.above.append(node)
        for below in syntax.children(node):
            self.visit(below)
        self.above.pop()
        if isinstance(node, (*_FUNCTIONS, ast.Module)):
            scope = self.scopes.pop() if len(self.scopes) > 1 else self.scopes[0]
            self.usage.looked_up_and_filled |= (scope.looked_up & scope.filled) - scope.emptied

    def _is_local(self, name: str) -> bool:
        return any(name in scope.own for scope in self.scopes)

    def _judge(self, node: ast.Name | ast.Attribute, name: str) -> None:
        scope = self.scopes[-1]
        if isinstance(node.ctx, ast.Store):
            if isinstance(self.above[-1], ast.AugAssign):
                self.usage.added.add(name)
            else:
                self.usage.stored(name)
            return
        removes = _removes(node, self.above)
        if removes == "clear":
            scope.emptied.add(name)
        elif removes:
            self.usage.shrunk.add(name)
        use, by_key = _use(node, self.above)
        if use == ADD:
            self.usage.added.add(name)
        elif use in (READ, LOOK_UP):
            self.usage.read.add(name)
        if use == LOOK_UP:
            scope.looked_up.add(name)
        if by_key and use != READ and not _counts_up(self.above, name):
            scope.filled.add(name)


def _use(node: ast.AST, above: list[ast.AST]) -> tuple[str, bool]:
    """Return what is done with the container at ``node``, and whether an item is set by key."""
    parent = above[-1] if above else None
    if isinstance(parent, ast.Attribute):
        return _method(parent, above)
    if isinstance(parent, ast.Subscript) and parent.value is node:
        if isinstance(parent.ctx, ast.Store):
            counting = isinstance(above[-2], ast.AugAssign)
            return (READ, False) if counting else (ADD, True)
        chained = _use(parent, above[:-1])[0] if isinstance(parent.ctx, ast.Load) else READ
        return (ADD, False) if chained == ADD else (READ, False)
    if isinstance(parent, ast.Compare) and node in parent.comparators:
        inside = any(isinstance(one, ast.In | ast.NotIn) for one in parent.ops)
        return (LOOK_UP, False) if inside else (READ, False)
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name):
        return (NEUTRAL, False) if parent.func.id == "len" else (READ, False)
    return READ, False


def _removes(node: ast.AST, above: list[ast.AST]) -> str | None:
    """Return the way in which items are taken out of the container at ``node``, or None."""
    parent = above[-1] if above else None
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return "del" if isinstance(parent.ctx, ast.Del) else None
    called = len(above) > 1 and isinstance(above[-2], ast.Call) and above[-2].func is parent
    if not called or not isinstance(parent, ast.Attribute):
        return None
    return parent.attr if parent.attr in _REMOVES or parent.attr == "clear" else None


def _method(attribute: ast.Attribute, above: list[ast.AST]) -> tuple[str, bool]:
    call = above[-2] if len(above) > 1 else None
    if not isinstance(call, ast.Call) or call.func is not attribute:
        return READ, False
    around = above[-3] if len(above) > 2 else None
    if attribute.attr == "get":
        return LOOK_UP, False
    if attribute.attr not in _ADDS:
        return READ, False
    if isinstance(around, ast.Expr):
        return ADD, attribute.attr == "setdefault"
    if attribute.attr != "setdefault":
        return READ, False
    chained = _use(call, above[:-2])[0] == ADD
    return (ADD, False) if chained else (LOOK_UP, True)


def _counts_up(above: list[ast.AST], name: str) -> bool:
    """Whether the item set is computed from the container's own: a tally and no cache."""
    statement = next((one for one in reversed(above) if isinstance(one, ast.stmt)), None)
    value = getattr(statement, "value", None)
    if not isinstance(statement, ast.Assign) or value is None:
        return False
    return any(
        name in (getattr(one, "id", ""), getattr(one, "attr", "")) for one in syntax.walk(value)
    )


def _own_names(function: ast.AST) -> set[str]:
    """Return the names that are local to a function."""
    own: set[str] = set()
    elsewhere: set[str] = set()
    for node in syntax.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere.update(node.names)
    return own - elsewhere


def of_program(
    files: Iterable[tuple[str, bytes]], also: Callable[[str, ast.Module], None] | None = None
) -> Usage:
    """Return what the ``files`` of a program do, as ``program_files`` returns them.

    ``also`` is given the path and the tree of each: they are parsed once, one after the other.
    """
    usage = Usage()
    for path, source in files:
        tree = syntax.parsed(source)
        if tree is None:
            continue
        usage.learn_tree(tree)
        if also is not None:
            also(path, tree)
    return usage


def program_files() -> list[tuple[str, bytes]]:
    """Return path and content of the main program and of the user's modules.

    None of them where one cannot be read, or they are too long: what was not read may read any
    container, and it is better to say nothing than something wrong.
    """
    found: list[tuple[str, bytes]] = []
    total = 0
    for path, source in _sources():
        total += len(source)
        if total > LONGEST_SOURCES:
            return []
        found.append((path, source))
    return found


def named(exprs: Iterable[str], names: set[str]) -> list[str]:
    """Return the expressions whose last name is among ``names``."""
    return sorted(expr for expr in exprs if expr.rpartition(".")[2] in names)


def _path(names: dict[str, Any]) -> str | None:
    """Return a module's file; of the main program it is gone from the names when it has run."""
    path = names.get("__file__")
    if path is None:
        path = (sizes.instance_dict(names.get("__loader__")) or {}).get("path")
    return path if type(path) is str else None


def _sources() -> Iterator[tuple[str, bytes]]:
    """Yield path and content; what cannot be read has more bytes than anybody looks at."""
    main = sys.modules.get("__main__")
    spaces = [vars(main)] if main is not None else []
    spaces += [names for _, names in roots.user_modules(set())]
    for names in spaces[:MOST_FILES]:
        path = _path(names)
        if path is None or not path.endswith(".py"):
            continue
        try:
            with open(path, "rb") as file:
                yield path, file.read(LONGEST_SOURCE + 1)
        except OSError:
            yield path, b"\0" * (LONGEST_SOURCES + 1)
