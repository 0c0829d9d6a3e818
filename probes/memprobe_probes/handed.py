"""What the user's code gives away whole: objects that others then read in ways no name shows.

``pickle.dump(report)`` reads every attribute of ``report``, and ``getattr(tables, name)`` may read
any. Read from the syntax trees of the sources, like ``usage``; names are all that is kept.
"""

from __future__ import annotations

import _ast as ast

from . import syntax

# Functions that read all attributes of what they are given, and modules that have such ones.
_SERIALISERS = frozenset({"pickle", "cloudpickle", "dill", "joblib", "copy"})
_SERIALISE = frozenset({"dump", "dumps", "copy", "Pickler"})
_INTROSPECTING = frozenset({"asdict", "astuple", "deepcopy", "vars", "attrgetter", "pprint"})
_ANYTHING = frozenset({"globals", "eval", "exec"})
# These look at an object, and not at what it holds.
_HARMLESS = frozenset({
    "isinstance", "issubclass", "type", "id", "len", "super", "hasattr", "hash", "callable",
    "bool", "ref", "append", "add", "print",
})  # fmt: skip
_AROUND = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Starred, ast.keyword)
_OWN = ("self", "cls")


class Handed:
    """Collects over any number of sources what is handed on, and to whom.

    ``names`` are names read by words the code computes, ``anything`` and ``attributes`` whether
    every name or every attribute may be read that way.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.anything = False
        self.attributes = False
        self._defined: set[str] = set()
        self._modules: set[str] = set()
        self._given: set[tuple[str, str]] = set()  # the called function, the name it is given

    def learn(self, tree: ast.AST) -> None:
        """Add what one module does."""
        for node in syntax.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._defined.add(node.name)
            elif isinstance(node, ast.Import):
                self._modules |= {one.asname or one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                self.names |= {one.name for one in node.names if one.asname}
            elif isinstance(node, ast.Attribute) and node.attr == "__dict__":
                self.attributes = True
            elif isinstance(node, ast.Call):
                self._call(node)

    def may_read(self, expr: str, modules: set[str]) -> bool:
        """Whether something may read the container ``expr`` without using its name."""
        owner, _, name = expr.rpartition(".")
        if self.anything or name in self.names:
            return True
        if not owner or owner in modules:
            return False
        if self.attributes:
            return True
        words = {*owner.split("."), *_OWN}
        return any(given in words and callee not in self._defined for callee, given in self._given)

    def _call(self, call: ast.Call) -> None:
        function = call.func
        name: str = getattr(function, "id", "") or getattr(function, "attr", "")
        if name in _ANYTHING and isinstance(function, ast.Name):
            self.anything = True
        elif name == "getattr" and len(call.args) > 1:
            self._getattr(*call.args[:2])
        elif name in _INTROSPECTING or (name in _SERIALISE and _base(function) in _SERIALISERS):
            self.attributes = True
        elif name not in _HARMLESS:
            given = [*call.args, *(one.value for one in call.keywords)]
            self._given |= {(name, one) for value in given for one in _bare(value)}

    def _getattr(self, owner: ast.expr, name: ast.expr) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.names.add(name.value)
        elif not (isinstance(owner, ast.Name) and owner.id in self._modules):
            self.attributes = True


def _base(function: ast.expr) -> str:
    value = getattr(function, "value", None)
    return value.id if isinstance(value, ast.Name) else ""


def _bare(value: ast.expr | None) -> set[str]:
    """Return the names that ``value`` is, or that it is a display of."""
    if isinstance(value, ast.Name):
        return {value.id}
    if not isinstance(value, _AROUND):
        return set()
    return {name for one in syntax.children(value) for name in _bare(one)}  # type: ignore[arg-type]
