"""One notebook cell as plain Python: IPython's own transformer first, then what only it knows.

A magic that only measures or shows becomes the code it runs; one that concerns IPython itself is
left out; a shell command becomes ``subprocess``. What has no meaning outside a notebook is left
out and told.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from memprobe.statements import by_line, first_line

# Magics whose cell or line is ordinary code that they time, watch or capture.
CODE_MAGICS = frozenset(
    {"time", "timeit", "capture", "prun", "memprobe", "memit", "mprun", "lprun", "python"}
)
# Magics without an effect on the work itself.
IPYTHON_ONLY = frozenset(
    {
        *("matplotlib", "config", "load_ext", "reload_ext", "unload_ext", "autoreload", "pdb"),
        *("pinfo", "pinfo2", "psearch", "who", "whos", "who_ls", "history", "hist", "colors"),
        *("xmode", "precision", "alias", "automagic", "page", "doctest_mode", "memprobe"),
        *("logstart", "logstop", "pprint", "notebook", "lsmagic", "magic", "quickref"),
    }
)
MAGIC_OPTIONS = re.compile(r"^(?:-[a-zA-Z]\S*(?:\s+\d+)?\s+)*")
INSTALLS = re.compile(r"^\s*(?:\S*python\S*\s+-m\s+)?(?:pip|pip3|conda|mamba|apt|apt-get|uv)\b")


@dataclass
class Translated:
    """A cell's Python, the names of ``__future__`` it asked for, and what was left out, why."""

    source: str
    futures: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def transformed(source: str) -> str:
    """Return the cell as IPython would compile it, magics as calls of ``get_ipython()``.

    Raises ImportError without IPython.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    transformer: Any = TransformerManager
    return str(transformer().transform_cell(source))


def translate(source: str, *, may_raise: bool = False) -> Translated:
    """Return ``source`` as plain Python. ``may_raise``: the notebook goes on when it fails.

    Raises ImportError without IPython.
    """
    if source.lstrip().startswith("%%"):
        name, rest, body = _cell_magic(source)
        if name not in CODE_MAGICS:
            return Translated("", left_out=[(f"%%{name}", "it is no Python")])
        found = translate(_with_setup(name, rest, body), may_raise=may_raise)
        return _captured(found, rest) if name == "capture" else found
    python = transformed(source)
    try:
        tree = ast.parse(python)
    except (SyntaxError, ValueError):
        # As it stands: the script fails there as the notebook does.
        return Translated(source)
    return _assembled(python, tree, may_raise)


def _cell_magic(source: str) -> tuple[str, str, str]:
    head, _, body = source.lstrip().partition("\n")
    name, _, rest = head[2:].partition(" ")
    return name.strip(), rest.strip(), body


def _with_setup(name: str, rest: str, body: str) -> str:
    """Return the code of a cell magic; what ``%%timeit`` has on its first line is code too."""
    setup = MAGIC_OPTIONS.sub("", rest + " ").strip() if name in ("time", "timeit") else ""
    return f"{setup}\n{body}" if setup else body


def _captured(found: Translated, rest: str) -> Translated:
    """Return ``%%capture NAME``'s body so that NAME has the ``stdout`` it would have."""
    names = [word for word in rest.split() if word.isidentifier()]
    body = ast.parse(found.source).body
    if not names or not body:
        return found
    name, library = names[0], "__import__('{}')".format
    block: Any = ast.parse(
        f"with {library('contextlib')}.redirect_stdout({library('io')}.StringIO()) as {name}:\n"
        f"    pass\n{name} = {library('types')}.SimpleNamespace("
        f"stdout={name}.getvalue(), stderr='', outputs=[])"
    )
    block.body[0].body = body
    found.source = ast.unparse(block)
    return found


def _assembled(python: str, tree: ast.Module, may_raise: bool) -> Translated:
    magics = _Magics()
    lines = python.splitlines(keepends=True)
    futures: list[str] = []
    pieces: list[str] = []
    position = 0
    for group in by_line(tree.body):
        first, last = first_line(group[0]), max(one.end_lineno or one.lineno for one in group)
        between, own = lines[position : first - 1], lines[first - 1 : last]
        position = last
        pieces += between
        names = [name for one in group for name in _futures(one)]
        if names:
            futures += names
        elif _calls_ipython(group):
            changed = [new for one in group for new in magics.statement(one)]
            pieces += [ast.unparse(ast.fix_missing_locations(one)) + "\n" for one in changed]
        else:
            pieces += own
    text = "".join([*pieces, *lines[position:]]).strip("\n")
    return Translated(_wrapped(text, may_raise), futures, magics.left_out)


def _wrapped(text: str, may_raise: bool) -> str:
    """Return code that needs a running loop, or may fail, in what lets a script run it."""
    body = ast.parse(text).body
    if not body:
        return text
    if _awaits(text):
        text = _in_a_loop(body)
    if may_raise:
        report = "__import__('traceback').print_exc()"
        guard: Any = ast.parse(f"try:\n    pass\nexcept Exception:\n    {report}").body[0]
        guard.body = ast.parse(text).body
        text = ast.unparse(guard)
    return text


def _awaits(text: str) -> bool:
    """Whether the code compiles only where ``await`` is allowed at the top level."""
    try:
        compile(text, "cell", "exec", dont_inherit=True)
    except SyntaxError:
        try:
            compile(text, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError:
            return False
        return True
    return False


def _in_a_loop(body: list[ast.stmt]) -> str:
    from memprobe_probes.names import of_cell

    bound = sorted(of_cell(ast.unparse(ast.Module(body=body, type_ignores=[]))).bound)
    head = f"    global {', '.join(bound)}\n" if bound else ""
    inner = "\n".join("    " + line for one in body for line in ast.unparse(one).splitlines())
    call = "__import__('asyncio').run(_cell())\ndel _cell"
    return f"async def _cell():\n{head}{inner}\n{call}"


class _Magics:
    """Replaces calls of ``get_ipython()`` in a statement; ``left_out`` says what could not be."""

    def __init__(self) -> None:
        self.left_out: list[tuple[str, str]] = []

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """Return what replaces ``node``."""
        if not _calls_ipython([node]):
            return [node]
        if isinstance(node, ast.Expr):
            return self._expression(node)
        if isinstance(node, ast.Assign) and _magic(node.value):
            return self._assignment(node)
        if _has_body(node):
            return [self._inside(node)]
        return self._dropped("get_ipython()", "it asks IPython itself")

    def _expression(self, node: ast.Expr) -> list[ast.stmt]:
        call = _magic(node.value)
        if call is None:
            return self._dropped("get_ipython()", "it asks IPython itself")
        kind, arguments = call
        if kind == "run_line_magic":
            return self._line_magic(arguments[0], arguments[1])
        if kind == "system":
            command = self._command(arguments[0], "!")
            return command if command is not None else []
        if kind == "getoutput":
            return self._command(arguments[0], "!!") or []
        return self._dropped(f"%%{arguments[0]}", "it is no Python")

    def _line_magic(self, name: str, rest: str) -> list[ast.stmt]:
        if name in CODE_MAGICS:
            return ast.parse(MAGIC_OPTIONS.sub("", rest + " ").strip()).body
        if name in IPYTHON_ONLY or (name == "reset" and rest.split()[-1:] == ["out"]):
            return ast.parse("pass").body
        if name in ("env", "set_env") and "=" in rest:
            key, _, value = rest.partition("=")
            return ast.parse(f"__import__('os').environ[{key.strip()!r}] = {value.strip()!r}").body
        if name == "cd" and rest and not rest.startswith("-"):
            target = rest.strip().strip("\"'")
            return ast.parse(f"__import__('os').chdir({target!r})").body
        if name == "xdel" and rest.strip().isidentifier():
            output = rest.strip().startswith("_")
            return ast.parse("pass" if output else f"del {rest.strip()}").body
        return self._dropped(f"%{name}", "it has no counterpart in plain Python")

    def _assignment(self, node: ast.Assign) -> list[ast.stmt]:
        kind, arguments = _magic(node.value) or ("", [])
        if kind == "getoutput":
            command = self._command(arguments[0], "!")
            if not command:
                return []
            node.value = ast.parse(
                f"__import__('subprocess').run({arguments[0]!r}, shell=True, "
                "capture_output=True, text=True).stdout.splitlines()",
                mode="eval",
            ).body
            return [node]
        if kind == "run_line_magic" and arguments[0] in CODE_MAGICS:
            node.value = ast.parse(arguments[1].strip(), mode="eval").body
            return [node]
        sign = f"%{arguments[0]}" if kind == "run_line_magic" else "get_ipython()"
        return self._dropped(sign, "its result is made by IPython")

    def _command(self, command: str, sign: str) -> list[ast.stmt] | None:
        if INSTALLS.match(command):
            return self._dropped(f"{sign}{command.split()[0]}", "it installs packages")
        if "{" in command or "$" in command:
            return self._dropped(f"{sign}command", "IPython puts variables into it")
        return ast.parse(f"__import__('subprocess').run({command!r}, shell=True)").body

    def _inside(self, node: ast.stmt) -> ast.stmt:
        """Replace magics within a compound statement's blocks."""
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if block:
                new = [one for old in block for one in self.statement(old)]
                setattr(node, name, new or [ast.Pass()])
        for handler in getattr(node, "handlers", []):
            new = [one for old in handler.body for one in self.statement(old)]
            handler.body = new or [ast.Pass()]
        return node

    def _dropped(self, what: str, why: str) -> list[ast.stmt]:
        self.left_out.append((what, why))
        return []


def _magic(node: ast.expr) -> tuple[str, list[str]] | None:
    """Return (method, arguments) of ``get_ipython().method("text", …)``."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    if node.func.attr not in ("run_line_magic", "run_cell_magic", "system", "getoutput"):
        return None
    if not _is_get_ipython(node.func.value):
        return None
    texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
    if not texts or len(texts) != len(node.args) or not all(isinstance(one, str) for one in texts):
        return None
    return node.func.attr, [str(one) for one in texts]


def _is_get_ipython(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "get_ipython"
    )


def _calls_ipython(nodes: list[ast.stmt]) -> bool:
    return any(_is_get_ipython(inner) for node in nodes for inner in ast.walk(node))


def _has_body(node: ast.stmt) -> bool:
    return bool(getattr(node, "body", None))


def _futures(node: ast.stmt) -> list[str]:
    future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return [alias.name for alias in node.names] if future else []  # type: ignore[attr-defined]
